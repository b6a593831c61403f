//! `resolve`, which `[defaults]`, backends and servers may say; of each key the nearest counts.

use std::net::SocketAddr;
use std::time::Duration;

use super::empty_list;
use crate::config::fields::{Fields, Item, Reader, one_or_list};
use crate::config::hints::Kind;
use crate::config::resolve::{Family, ResolveConfig};
use crate::config::value;

/// What is given on one level.
#[derive(Default, Clone)]
pub(in crate::config) struct RawResolve {
    nameservers: Option<Vec<SocketAddr>>,
    prefer: Option<Family>,
    timeout: Option<Duration>,
    interval: Option<Duration>,
    hold_valid: Option<Duration>,
    hold_nx: Option<Duration>,
    hold_obsolete: Option<Duration>,
}

pub(super) fn resolve(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawResolve> {
    let mut fields = r.table(item, Kind::Resolve)?;
    let families = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
    let resolve = RawResolve {
        nameservers: fields
            .read("nameservers", |item| nameservers(r, item))
            .given(),
        prefer: fields
            .read("prefer", |item| r.choice(item, &families))
            .given(),
        timeout: fields.read("timeout", |item| r.duration(item)).given(),
        interval: fields.read("interval", |item| r.duration(item)).given(),
        hold_valid: fields.read("hold_valid", |item| r.duration(item)).given(),
        hold_nx: hold(r, &mut fields, "hold_nx"),
        hold_obsolete: hold(r, &mut fields, "hold_obsolete"),
    };
    fields.finish(r);
    Some(resolve)
}

/// A time that may be zero.
fn hold(r: &mut Reader<'_>, fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let hold = fields.read(key, |item| r.duration_or_zero(item)).given();
    hold.map(|hold| hold.value)
}

/// The name servers, without those that are wrong; `None` if none is right.
fn nameservers(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<SocketAddr>> {
    let items = one_or_list(item);
    if items.is_empty() {
        let help = "add an address, such as \"10.0.0.53\", or leave the key out for those of \
                    /etc/resolv.conf";
        r.problems.push(empty_list(item, help));
    }
    let servers = items.into_iter();
    let servers: Vec<_> = servers
        .filter_map(|item| r.parsed(item, value::name_server))
        .map(|at| at.value)
        .collect();
    (!servers.is_empty()).then_some(servers)
}

impl RawResolve {
    /// What is said on the nearest of `levels`, the nearest first.
    pub(in crate::config) fn complete(levels: [&Self; 3]) -> ResolveConfig {
        let standard = ResolveConfig::default();
        let time = |of: fn(&Self) -> Option<Duration>, standard| {
            levels.into_iter().find_map(of).unwrap_or(standard)
        };
        let nameservers = levels.into_iter().find_map(|raw| raw.nameservers.clone());
        ResolveConfig {
            nameservers: nameservers.unwrap_or_default(),
            prefer: levels
                .into_iter()
                .find_map(|raw| raw.prefer)
                .unwrap_or_default(),
            timeout: time(|raw| raw.timeout, standard.timeout),
            interval: time(|raw| raw.interval, standard.interval),
            hold_valid: time(|raw| raw.hold_valid, standard.hold_valid),
            hold_nx: time(|raw| raw.hold_nx, standard.hold_nx),
            hold_obsolete: time(|raw| raw.hold_obsolete, standard.hold_obsolete),
        }
    }
}
