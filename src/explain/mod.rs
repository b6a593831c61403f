//! Where a frontend's new sessions go now, and why.
//!
//! A rule's condition may look at the client, of whom not all may be known. Such a rule is
//! listed as holding for some clients, and the search goes on for the others.
//!
//! - [`words`]: conditions and the values that they saw.
//! - [`servers`]: which servers of a backend get sessions, in which order, and why not the others.
//! - [`scenario`]: a configuration with some of its servers down.
//! - [`session`]: the way of a new session through a frontend, as text.
//! - [`plan`]: what follows as servers fail one after another.

pub mod plan;
pub mod scenario;
pub mod servers;
pub mod session;
pub mod words;

use std::fmt;

pub use self::servers::servers_in_use;
use self::words::{Client, Words};
use crate::topology::{Backend, Frontend, Topology};

/// Where a frontend's new sessions go now.
#[derive(Debug)]
pub struct Routes<'a> {
    /// Backends of rules that hold for some clients only.
    pub for_some: Vec<Route<'a>>,
    /// The backend of all other clients; `None` when their sessions are refused.
    pub otherwise: Option<Route<'a>>,
}

/// A backend and the reason for it.
#[derive(Debug)]
pub struct Route<'a> {
    /// Where sessions go.
    pub backend: &'a Backend,
    /// Why they go there.
    pub why: Why<'a>,
}

/// Why sessions go to a backend.
#[derive(Debug)]
pub enum Why<'a> {
    /// It is the default and no rule holds.
    Default,
    /// A rule without a condition names it.
    Unconditional,
    /// A rule's condition holds.
    Holds(Words<'a>),
    /// A rule's condition held, and what ends it has not come yet.
    Until(Words<'a>, Words<'a>),
    /// A rule's condition holds for some clients.
    HoldsForSome(Words<'a>),
}

impl<'a> Routes<'a> {
    /// The routes of `frontend` now, for any client.
    pub fn of(frontend: &'a Frontend, topology: &'a Topology) -> Self {
        Self::for_client(frontend, topology, Client::default())
    }

    /// The routes of `frontend` now, for `client`.
    pub fn for_client(frontend: &'a Frontend, topology: &'a Topology, client: Client) -> Self {
        let mut for_some = Vec::new();
        for (index, rule) in frontend.config.rules.iter().enumerate() {
            let backend = &**topology.backend(rule.backend);
            let condition = rule.condition.as_ref();
            let words = condition.map(|c| Words::for_client(c, topology, client));
            let until = rule.until.as_ref().filter(|_| frontend.is_latched(index));
            let until = until.map(|condition| Words::new(condition, topology));
            let why = match words.map(|words| (words, words.truth())) {
                None => Why::Unconditional,
                Some((words, Some(false))) => match until {
                    Some(until) => Why::Until(words, until),
                    None => continue,
                },
                Some((words, Some(true))) => Why::Holds(words),
                Some((words, None)) => {
                    let why = Why::HoldsForSome(words);
                    for_some.push(Route { backend, why });
                    continue;
                }
            };
            let otherwise = Some(Route { backend, why });
            return Self {
                for_some,
                otherwise,
            };
        }
        let default = frontend.config.default_backend;
        let otherwise = default.map(|id| Route {
            backend: topology.backend(id),
            why: Why::Default,
        });
        Self {
            for_some,
            otherwise,
        }
    }
}

impl Route<'_> {
    /// Why sessions go there, such as `few holds: nbsrv(main) = 2, le 2`.
    pub fn because(&self) -> String {
        match &self.why {
            Why::Default => "it is the default and no rule holds".into(),
            Why::Unconditional => "a rule without a condition names it".into(),
            Why::Holds(words) => format!("{words} holds: {}", words.evidence()),
            Why::Until(words, until) => {
                format!("{words} held, until {until}: {}", until.evidence())
            }
            Why::HoldsForSome(words) => format!("{words} holds for some clients"),
        }
    }

    /// What follows the backend's name, such as ` (default): 2 of 2 primaries`.
    pub fn reason(&self) -> String {
        let servers = servers_in_use(self.backend);
        match &self.why {
            Why::Default => format!(" (default): {servers}"),
            Why::Unconditional => format!(" (a rule without a condition): {servers}"),
            Why::Holds(words) => format!(": {words} holds ({}); {servers}", words.evidence()),
            Why::Until(words, until) => {
                format!(
                    ": {words} held, until {until} ({}); {servers}",
                    until.evidence()
                )
            }
            Why::HoldsForSome(words) => format!(" if {words}: {servers}"),
        }
    }
}

impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.backend.config.name, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::acl::{Comparison, Condition, Sample};
    use crate::config::RuleConfig;
    use crate::id::BackendId;
    use crate::topology::sample::{farms, single_farm, take_down, with_rules, without_default};

    fn told(topology: &Topology) -> Vec<String> {
        let routes = Routes::of(&topology.frontends[0], topology);
        routes
            .for_some
            .iter()
            .chain(&routes.otherwise)
            .map(Route::to_string)
            .collect()
    }

    #[test]
    fn the_default_and_then_the_rule() {
        let topology = farms();
        assert_eq!(told(&topology), ["bk-app-main (default): 4 of 4 primaries"]);
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        assert_eq!(
            told(&topology),
            [
                "bk-app-backup: MAIN_not_enough_capacity holds (nbsrv(bk-app-main) = 2, le 2); \
              2 of 2 primaries"
            ]
        );
    }

    #[test]
    fn backups_take_over() {
        let topology = single_farm(false);
        assert_eq!(told(&topology), ["bk (default): 2 of 2 primaries"]);
        take_down(&topology, 0, 0);
        assert_eq!(told(&topology), ["bk (default): 1 of 2 primaries"]);
        take_down(&topology, 0, 1);
        assert_eq!(
            told(&topology),
            ["bk (default): no primary is usable, backup s3 takes all"]
        );
        take_down(&topology, 0, 2);
        assert_eq!(
            told(&topology),
            ["bk (default): no primary is usable, backup s4 takes all"]
        );
        take_down(&topology, 0, 3);
        assert_eq!(
            told(&topology),
            ["bk (default): no server is usable, sessions are refused"]
        );
    }

    #[test]
    fn all_backups_share() {
        let topology = single_farm(true);
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        assert_eq!(
            told(&topology),
            ["bk (default): no primary is usable, 2 of 2 backups"]
        );
    }

    #[test]
    fn rules_on_the_client_are_listed_and_passed_over() {
        let rule = |condition: Option<Condition>, backend| RuleConfig {
            backend: BackendId(backend),
            condition,
            until: None,
            text: String::new(),
        };
        let inside = Condition::Source(vec!["10.0.0.0/8".parse().unwrap()]);
        let topology = with_rules(vec![rule(Some(inside), 0), rule(None, 1)]);
        assert_eq!(
            told(&topology),
            [
                "bk-app-main if src 10.0.0.0/8: 4 of 4 primaries",
                "bk-app-backup (a rule without a condition): 2 of 2 primaries",
            ]
        );
    }

    #[test]
    fn without_a_rule_and_a_default_sessions_are_refused() {
        assert!(told(&without_default()).is_empty());
    }

    proptest! {
        /// What is explained is what a worker does.
        #[test]
        fn for_a_known_client_it_is_the_rule_that_a_session_matches(
            conditions in prop::collection::vec((0..5u8, 0..5u64), 0..5),
            down in prop::collection::vec(0..4usize, 0..4),
            source: [u8; 4],
            port in 80..83u16,
        ) {
            let rules = conditions.iter().map(|&(kind, limit)| rule(kind, limit));
            let topology = with_rules(rules.collect());
            for &server in &down {
                take_down(&topology, 0, server);
            }
            topology.settle_rules();
            let frontend = &topology.frontends[0];
            let client = Client { source: Some(source.into()), port: Some(port) };
            let told = Routes::for_client(frontend, &topology, client);
            prop_assert!(told.for_some.is_empty());
            let facts = topology.facts((source, 1234).into(), ([127, 0, 0, 1], port).into());
            let rule = frontend.matching_rule(&facts);
            let taken = rule.map(|rule| rule.backend).or(frontend.config.default_backend);
            prop_assert_eq!(told.otherwise.map(|route| route.backend.id), taken);
        }
    }

    /// A rule of one of a few kinds.
    fn rule(kind: u8, limit: u64) -> RuleConfig {
        let usable = |comparison, limit| {
            Condition::Compare(Sample::UsableServers(BackendId(0)), comparison, limit)
        };
        let few = usable(Comparison::LessOrEqual, limit);
        let inside = Condition::Source(vec!["128.0.0.0/1".parse().unwrap()]);
        let port = Condition::Compare(Sample::DestinationPort, Comparison::Equal, 81);
        let (condition, until) = match kind {
            0 => (inside, None),
            1 => (
                Condition::All(vec![few, Condition::Not(inside.into())]),
                None,
            ),
            2 => (Condition::Any(vec![few, port]), None),
            3 => (few, Some(usable(Comparison::GreaterOrEqual, limit + 1))),
            _ => (few, None),
        };
        RuleConfig {
            backend: BackendId(u32::from(kind) % 2),
            condition: Some(condition),
            until,
            text: String::new(),
        }
    }
}
