//! Conditions in words, and the facts that they rest on.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::acl::{Comparison, Condition, Sample};
use crate::topology::{SessionFacts, Topology};

/// A condition with the graph that its names come from.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    condition: &'a Condition,
    topology: &'a Topology,
}

impl<'a> Words<'a> {
    /// `condition` in the names of `topology`.
    pub fn new(condition: &'a Condition, topology: &'a Topology) -> Self {
        Self {
            condition,
            topology,
        }
    }

    /// Whether the condition holds now; `None` if that depends on the client.
    pub fn truth(self) -> Option<bool> {
        match self.condition {
            Condition::All(inner) => self.decided_by(false, inner),
            Condition::Any(inner) => self.decided_by(true, inner),
            Condition::Not(inner) => self.with(inner).truth().map(|holds| !holds),
            Condition::Named(_, definition) => self.with(definition).truth(),
            Condition::Source(_) | Condition::Compare(Sample::DestinationPort, ..) => None,
            Condition::Compare(..) | Condition::ServerIsUp(_) => {
                Some(self.condition.holds(&self.facts()))
            }
        }
    }

    /// The facts that the condition rests on, such as `nbsrv(farm) = 2, le 2`, without those
    /// that depend on the client.
    pub fn evidence(self) -> String {
        let mut found = Vec::new();
        self.collect_evidence(&mut found);
        found.join("; ")
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
            Condition::Source(_) | Condition::Compare(Sample::DestinationPort, ..) => {}
            Condition::Compare(sample, comparison, limit) => {
                let (name, value) = (self.sample(*sample), sample.value(&self.facts()));
                found.push(format!("{name} = {value}, {} {limit}", symbol(*comparison)));
            }
            Condition::ServerIsUp(server) => {
                let server = self.topology.server(*server);
                let state = if server.is_up() { "up" } else { "down" };
                found.push(format!("{} is {state}", server.path));
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
        Self::new(condition, self.topology)
    }

    /// Facts for conditions that do not look at the client.
    fn facts(self) -> SessionFacts<'a> {
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.topology.facts(nobody, nobody)
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

    fn write_joined(
        self,
        f: &mut fmt::Formatter<'_>,
        inner: &'a [Condition],
        joint: &str,
    ) -> fmt::Result {
        for (index, condition) in inner.iter().enumerate() {
            f.write_str(if index > 0 { joint } else { "" })?;
            self.write_grouped(f, condition)?;
        }
        Ok(())
    }

    /// In parentheses if it is several conditions.
    fn write_grouped(self, f: &mut fmt::Formatter<'_>, inner: &'a Condition) -> fmt::Result {
        match inner {
            Condition::All(_) | Condition::Any(_) => write!(f, "({})", self.with(inner)),
            _ => write!(f, "{}", self.with(inner)),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Condition::All(inner) => self.write_joined(f, inner, " and "),
            Condition::Any(inner) => self.write_joined(f, inner, " or "),
            Condition::Not(inner) => {
                f.write_str("not ")?;
                self.write_grouped(f, inner)
            }
            Condition::Named(name, _) => f.write_str(name),
            Condition::Source(networks) => {
                f.write_str("src")?;
                networks
                    .iter()
                    .try_for_each(|network| write!(f, " {network}"))
            }
            Condition::ServerIsUp(server) => {
                write!(f, "srv_is_up({})", self.topology.server(*server).path)
            }
            Condition::Compare(sample, comparison, limit) => {
                write!(
                    f,
                    "{} {} {limit}",
                    self.sample(*sample),
                    symbol(*comparison)
                )
            }
        }
    }
}

/// The word of the configuration.
fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "eq",
        Comparison::NotEqual => "ne",
        Comparison::Less => "lt",
        Comparison::LessOrEqual => "le",
        Comparison::Greater => "gt",
        Comparison::GreaterOrEqual => "ge",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
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
            "nbsrv(bk-app-main) = 4, le 2; bk-app-main/nginx1 is up"
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
    fn truth_follows_the_servers() {
        let topology = farms();
        let few = usable_at_most(3);
        assert_eq!(Words::new(&few, &topology).truth(), Some(false));
        take_down(&topology, 0, 1);
        assert_eq!(Words::new(&few, &topology).truth(), Some(true));
    }
}
