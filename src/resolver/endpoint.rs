//! The places that names lead to.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::rr::{Name, RData, Record};

use crate::config::value;
use crate::topology::status::ServiceRecord;

/// Where a server may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// The SRV record that says so, if it was one.
    pub(super) record: Option<ServiceRecord>,
}

impl Endpoint {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            record: None,
        }
    }
}

/// An SRV record that can be used.
pub(super) struct Service {
    /// Where its address is found.
    pub(super) name: Name,
    port: u16,
    record: ServiceRecord,
}

impl Service {
    /// What `record` says; `None` if it says that there is no service, or something that no
    /// configuration could. Its priority does not count, as in HAProxy (`src/resolvers.c`).
    pub(super) fn of(record: &Record) -> Option<Self> {
        let RData::SRV(srv) = &record.data else {
            return None;
        };
        let target = srv.target.to_ascii();
        let target = value::host(&target).ok()?;
        let is_name = target.parse::<IpAddr>().is_err();
        (is_name && srv.port > 0).then(|| Self {
            name: srv.target.clone(),
            port: srv.port,
            record: ServiceRecord {
                target: target.trim_end_matches('.').to_owned(),
                weight: weight(srv.weight),
            },
        })
    }

    pub(super) fn at(&self, ip: IpAddr) -> Endpoint {
        Endpoint {
            address: SocketAddr::new(ip, self.port),
            record: Some(self.record.clone()),
        }
    }
}

/// From 0 to 65535 to 0 to 256, where only 0 is 0 (HAProxy's `src/resolvers.c`).
fn weight(of_record: u16) -> u16 {
    of_record.div_ceil(256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_scaled_as_haproxy_does() {
        let scaled = [0, 1, 256, 257, 32768, 65535].map(weight);
        assert_eq!(scaled, [0, 1, 1, 2, 128, 256]);
    }
}
