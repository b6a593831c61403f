//! A [`Condition`] as text that [`super::parse`] reads back to the same condition.

use std::fmt;

use ipnet::IpNet;

use super::{Condition, Sample};
use crate::id::{BackendId, FrontendId, ServerId};

/// Knows what objects are called.
pub trait Names {
    /// What the backend is called.
    fn backend(&self, id: BackendId) -> &str;
    /// What the frontend is called.
    fn frontend(&self, id: FrontendId) -> &str;
    /// What the server is called, without its backend.
    fn server(&self, id: ServerId) -> &str;
}

/// A condition with the names to show it by.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    condition: &'a Condition,
    names: &'a dyn Names,
}

impl Condition {
    /// The condition for people. Named ACLs show as their names.
    pub fn show<'a>(&'a self, names: &'a dyn Names) -> Shown<'a> {
        Shown {
            condition: self,
            names,
        }
    }

    /// The condition in full: as what their definitions say where [`Condition::show`] has the
    /// names of ACLs, so that two of the same text mean the same.
    pub fn written_out(&self, names: &dyn Names) -> String {
        self.without_names().show(names).to_string()
    }

    fn without_names(&self) -> Self {
        let all = |inner: &[Self]| inner.iter().map(Self::without_names).collect();
        match self {
            Self::All(inner) => Self::All(all(inner)),
            Self::Any(inner) => Self::Any(all(inner)),
            Self::Not(inner) => Self::Not(inner.without_names().into()),
            Self::Named(_, definition) => definition.without_names(),
            Self::Source(_) | Self::Compare(..) | Self::ServerIsUp(_) => self.clone(),
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Condition::All(inner) => self.join(f, inner, " and "),
            Condition::Any(inner) => self.join(f, inner, " or "),
            Condition::Not(inner) => write!(f, "not {}", self.grouped(inner)),
            Condition::Named(name, _) => f.write_str(name),
            Condition::Compare(sample, comparison, value) => {
                self.sample(f, *sample)?;
                write!(f, " {} {value}", comparison.keyword())
            }
            Condition::Source(networks) => {
                f.write_str("src")?;
                networks
                    .iter()
                    .try_for_each(|network| show_network(f, network))
            }
            Condition::ServerIsUp(id) => {
                let backend = self.names.backend(id.backend);
                write!(f, "srv_is_up({backend}/{})", self.names.server(*id))
            }
        }
    }
}

impl<'a> Shown<'a> {
    fn join(self, f: &mut fmt::Formatter<'_>, inner: &'a [Condition], word: &str) -> fmt::Result {
        for (index, condition) in inner.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { word })?;
            write!(f, "{}", self.grouped(condition))?;
        }
        Ok(())
    }

    fn sample(self, f: &mut fmt::Formatter<'_>, sample: Sample) -> fmt::Result {
        match sample {
            Sample::UsableServers(id) => write!(f, "nbsrv({})", self.names.backend(id)),
            Sample::BackendSessions(id) => write!(f, "be_conn({})", self.names.backend(id)),
            Sample::FrontendSessions(id) => write!(f, "fe_conn({})", self.names.frontend(id)),
            Sample::DestinationPort => f.write_str("dst_port"),
        }
    }

    /// In parentheses if it is made of several.
    fn grouped(self, condition: &'a Condition) -> Grouped<'a> {
        Grouped(condition.show(self.names))
    }
}

struct Grouped<'a>(Shown<'a>);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.condition {
            Condition::All(_) | Condition::Any(_) => write!(f, "({})", self.0),
            _ => self.0.fmt(f),
        }
    }
}

fn show_network(f: &mut fmt::Formatter<'_>, network: &IpNet) -> fmt::Result {
    if network.prefix_len() == network.max_prefix_len() {
        write!(f, " {}", network.addr())
    } else {
        write!(f, " {network}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;
    use crate::acl::parse::{self, Name};
    use crate::acl::resolve::{Scope, resolve};
    use crate::acl::{Comparison, Sample};

    /// Backends, each with these servers, and frontends; ACLs are all defined alike.
    const NAMES: [&str; 4] = ["bk-app", "and", "x.1:80", "_"];

    struct Fixed;

    impl Names for Fixed {
        fn backend(&self, id: BackendId) -> &str {
            NAMES[id.index()]
        }

        fn frontend(&self, id: FrontendId) -> &str {
            NAMES[id.index()]
        }

        fn server(&self, id: ServerId) -> &str {
            NAMES[id.index()]
        }
    }

    fn definition() -> Arc<Condition> {
        let sample = Sample::DestinationPort;
        Arc::new(Condition::Compare(sample, Comparison::Equal, 80))
    }

    fn position(name: &Name) -> Option<u32> {
        let found = NAMES.iter().position(|known| *known == name.text);
        found.map(|position| position as u32)
    }

    impl Scope for Fixed {
        fn backend(&mut self, name: &Name) -> Option<BackendId> {
            position(name).map(BackendId)
        }

        fn server(&mut self, backend: BackendId, name: &Name) -> Option<ServerId> {
            position(name).map(|position| ServerId { backend, position })
        }

        fn frontend(&mut self, name: &Name) -> Option<FrontendId> {
            position(name).map(FrontendId)
        }

        fn acl(&mut self, _: &Name) -> Option<Arc<Condition>> {
            Some(definition())
        }
    }

    fn read(text: &str) -> Option<Condition> {
        parse::parse(text)
            .ok()
            .and_then(|expression| resolve(&expression, &mut Fixed))
    }

    fn number(sample: Sample) -> impl Strategy<Value = Condition> {
        let most = match sample {
            Sample::DestinationPort => 65_535,
            _ => u64::MAX,
        };
        (prop::sample::select(Comparison::ALL.to_vec()), 1..=most)
            .prop_map(move |(comparison, value)| Condition::Compare(sample, comparison, value))
    }

    fn networks() -> impl Strategy<Value = Condition> {
        let four = (any::<u32>(), 0..=32u8)
            .prop_map(|(bits, prefix)| IpNet::V4(Ipv4Net::new(bits.into(), prefix).unwrap()));
        let six = (any::<u128>(), 0..=128u8)
            .prop_map(|(bits, prefix)| IpNet::V6(Ipv6Net::new(bits.into(), prefix).unwrap()));
        let network = prop_oneof![four, six].prop_map(|network| network.trunc());
        prop::collection::vec(network, 1..4).prop_map(Condition::Source)
    }

    fn test() -> impl Strategy<Value = Condition> {
        let ids = || 0..NAMES.len() as u32;
        prop_oneof![
            ids().prop_flat_map(|id| number(Sample::UsableServers(BackendId(id)))),
            ids().prop_flat_map(|id| number(Sample::BackendSessions(BackendId(id)))),
            ids().prop_flat_map(|id| number(Sample::FrontendSessions(FrontendId(id)))),
            number(Sample::DestinationPort),
            networks(),
            (ids(), ids()).prop_map(|(backend, position)| Condition::ServerIsUp(ServerId {
                backend: BackendId(backend),
                position,
            })),
            "[a-z_][A-Za-z0-9_.:-]{0,8}"
                .prop_filter("may be the name of an ACL", |name| {
                    !parse::is_keyword(name) && name.parse::<std::net::IpAddr>().is_err()
                })
                .prop_map(|name| Condition::Named(name, definition())),
        ]
    }

    fn condition() -> impl Strategy<Value = Condition> {
        test().prop_recursive(5, 24, 4, |inner| {
            let several = || prop::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                several().prop_map(Condition::All),
                several().prop_map(Condition::Any),
                inner
                    .clone()
                    .prop_map(|inner| Condition::Not(Box::new(inner))),
            ]
        })
    }

    #[test]
    fn reads_as_people_write() {
        let text = "not (nbsrv(bk-app) le 2 and src 10.0.0.0/8 ::1) or local";
        assert_eq!(read(text).unwrap().show(&Fixed).to_string(), text);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(condition in condition()) {
            let text = condition.show(&Fixed).to_string();
            prop_assert_eq!(read(&text), Some(condition), "{}", text);
        }
    }
}
