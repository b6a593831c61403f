//! Conditions in words, and the facts that they rest on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::acl::eval::Facts;
use crate::acl::{Condition, Sample};
use crate::topology::{SessionFacts, Topology};

/// What is known of a client before it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client {
    /// Its address (`src`).
    pub source: Option<IpAddr>,
    /// The port that it connects to (`dst_port`).
    pub port: Option<u16>,
}

/// A condition with the graph that its names come from.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    condition: &'a Condition,
    topology: &'a Topology,
    client: Client,
}

impl<'a> Words<'a> {
    /// `condition` in the names of `topology`, for any client.
    pub fn new(condition: &'a Condition, topology: &'a Topology) -> Self {
        Self::for_client(condition, topology, Client::default())
    }

    /// `condition` in the names of `topology`, for `client`.
    pub fn for_client(condition: &'a Condition, topology: &'a Topology, client: Client) -> Self {
        Self {
            condition,
            topology,
            client,
        }
    }

    /// Whether the condition holds now; `None` if that depends on what is not known of the
    /// client.
    pub fn truth(self) -> Option<bool> {
        match self.condition {
            Condition::All(inner) => self.decided_by(false, inner),
            Condition::Any(inner) => self.decided_by(true, inner),
            Condition::Not(inner) => self.with(inner).truth().map(|holds| !holds),
            Condition::Named(_, definition) => self.with(definition).truth(),
            Condition::Source(_) if self.client.source.is_none() => None,
            Condition::Compare(Sample::DestinationPort, ..) if self.client.port.is_none() => None,
            Condition::Source(_) | Condition::Compare(..) | Condition::ServerIsUp(_) => {
                Some(self.condition.holds(&self.facts()))
            }
        }
    }

    /// The facts that the condition rests on, such as `nbsrv(farm) = 2, le 2`, without those
    /// that depend on what is not known of the client.
    pub fn evidence(self) -> String {
        let mut found = Vec::new();
        self.collect_evidence(&mut found);
        found.join("; ")
    }

    /// Whether the condition looks at how many sessions are open.
    pub fn counts_sessions(self) -> bool {
        self.any_test(|test| match test {
            Condition::Compare(sample, ..) => matches!(
                sample,
                Sample::BackendSessions(_) | Sample::FrontendSessions(_)
            ),
            _ => false,
        })
    }

    /// Whether the condition looks at the client's address.
    pub fn looks_at_source(self) -> bool {
        self.any_test(|test| matches!(test, Condition::Source(_)))
    }

    fn any_test(self, wanted: fn(&Condition) -> bool) -> bool {
        let inside = |inner| self.with(inner).any_test(wanted);
        match self.condition {
            Condition::All(inner) | Condition::Any(inner) => inner.iter().any(inside),
            Condition::Not(inner) => inside(inner),
            Condition::Named(_, definition) => inside(definition),
            test => wanted(test),
        }
    }

    fn collect_evidence(self, found: &mut Vec<String>) {
        match self.condition {
            Condition::All(inner) | Condition::Any(inner) => {
                for condition in inner {
                    self.with(condition).collect_evidence(found);
                }
            }
            Condition::Not(inner) => self.with(inner).collect_evidence(found),
            Condition::Named(_, definition) => self.with(definition).collect_evidence(found),
            Condition::Source(_) | Condition::Compare(..) | Condition::ServerIsUp(_) => {
                found.extend(self.truth().map(|holds| self.fact(holds)));
            }
        }
    }

    /// The value that a single test saw, and what it asks for.
    fn fact(self, holds: bool) -> String {
        let not = if holds { "" } else { "not " };
        match self.condition {
            Condition::Compare(sample, comparison, limit) => {
                let (name, value) = (self.sample(*sample), sample.value(&self.facts()));
                format!("{name} = {value}, {not}{} {limit}", comparison.keyword())
            }
            Condition::ServerIsUp(server) => {
                let state = if holds { "up" } else { "down" };
                format!("{} is {state}", self.topology.server(*server).path)
            }
            _ => {
                let source = self.facts().client();
                let networks = self.to_string();
                format!(
                    "src = {source}, {not}in{}",
                    networks.trim_start_matches("src")
                )
            }
        }
    }

    /// `decisive` if one of `inner` is that, its opposite if all are.
    fn decided_by(self, decisive: bool, inner: &[Condition]) -> Option<bool> {
        let mut known = true;
        for condition in inner {
            match self.with(condition).truth() {
                Some(holds) if holds == decisive => return Some(decisive),
                Some(_) => {}
                None => known = false,
            }
        }
        known.then_some(!decisive)
    }

    fn with(self, condition: &'a Condition) -> Self {
        Self { condition, ..self }
    }

    /// Facts for conditions that do not look at what is not known of the client.
    fn facts(self) -> SessionFacts<'a> {
        let source = self.client.source.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let port = self.client.port.unwrap_or(0);
        self.topology
            .facts(SocketAddr::new(source, 0), SocketAddr::new(source, port))
    }

    fn sample(self, sample: Sample) -> String {
        match sample {
            Sample::UsableServers(id) => {
                format!("nbsrv({})", self.topology.backend(id).config.name)
            }
            Sample::BackendSessions(id) => {
                format!("be_conn({})", self.topology.backend(id).config.name)
            }
            Sample::FrontendSessions(id) => {
                format!("fe_conn({})", self.topology.frontend(id).config.name)
            }
            Sample::DestinationPort => "dst_port".into(),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.show(self.topology).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::acl::Comparison;
    use crate::id::{BackendId, ServerId};
    use crate::topology::sample::{farms, take_down};

    fn usable_at_most(limit: u64) -> Condition {
        let sample = Sample::UsableServers(BackendId(0));
        Condition::Compare(sample, Comparison::LessOrEqual, limit)
    }

    fn inside() -> Condition {
        Condition::Source(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ])
    }

    fn port(number: u64) -> Condition {
        Condition::Compare(Sample::DestinationPort, Comparison::Equal, number)
    }

    #[test]
    fn conditions_read_as_they_are_written() {
        let topology = farms();
        let first = ServerId {
            backend: BackendId(0),
            position: 0,
        };
        let condition = Condition::All(vec![
            Condition::Not(Condition::Any(vec![inside(), port(81)]).into()),
            Condition::Named("few".into(), Arc::new(usable_at_most(2))),
            Condition::ServerIsUp(first),
        ]);
        assert_eq!(
            Words::new(&condition, &topology).to_string(),
            "not (src 10.0.0.0/8 fd00::/8 or dst_port eq 81) and few and \
             srv_is_up(bk-app-main/nginx1)"
        );
        assert_eq!(
            Words::new(&condition, &topology).evidence(),
            "nbsrv(bk-app-main) = 4, not le 2; bk-app-main/nginx1 is up"
        );
    }

    #[test]
    fn the_client_matters_only_where_nothing_else_decides() {
        let topology = farms();
        let truth = |condition: &Condition| Words::new(condition, &topology).truth();
        let (holds, fails) = (usable_at_most(4), usable_at_most(3));
        assert_eq!(truth(&inside()), None);
        assert_eq!(truth(&port(81)), None);
        assert_eq!(truth(&Condition::Not(inside().into())), None);
        assert_eq!(truth(&Condition::All(vec![inside(), holds.clone()])), None);
        assert_eq!(
            truth(&Condition::All(vec![inside(), fails.clone()])),
            Some(false)
        );
        assert_eq!(
            truth(&Condition::Any(vec![inside(), holds.clone()])),
            Some(true)
        );
        assert_eq!(truth(&Condition::Any(vec![inside(), fails.clone()])), None);
        assert_eq!(
            truth(&Condition::Any(vec![fails.clone(), fails])),
            Some(false)
        );
        assert_eq!(truth(&Condition::Not(holds.into())), Some(false));
    }

    #[test]
    fn what_is_known_of_the_client_decides_and_is_evidence() {
        let topology = farms();
        let client = Client {
            source: Some("10.1.2.3".parse().unwrap()),
            port: Some(82),
        };
        let words = |condition| Words::for_client(condition, &topology, client);
        let (inside, wrong_port) = (inside(), port(81));
        assert_eq!(words(&inside).truth(), Some(true));
        assert_eq!(words(&wrong_port).truth(), Some(false));
        let both = Condition::Any(vec![inside.clone(), wrong_port.clone()]);
        assert_eq!(
            words(&both).evidence(),
            "src = 10.1.2.3, in 10.0.0.0/8 fd00::/8; dst_port = 82, not eq 81"
        );
    }

    #[test]
    fn truth_follows_the_servers() {
        let topology = farms();
        let few = usable_at_most(3);
        assert_eq!(Words::new(&few, &topology).truth(), Some(false));
        take_down(&topology, 0, 1);
        assert_eq!(Words::new(&few, &topology).truth(), Some(true));
    }
}
