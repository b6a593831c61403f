//! Where a frontend's new sessions go now, and why.
//!
//! A rule's condition may look at the client, which is not known here. Such a rule is listed as
//! holding for some clients, and the search goes on for the others.

pub mod words;

use std::fmt;

use self::words::Words;
use crate::topology::usable::Mode;
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
    /// The routes of `frontend` now.
    pub fn of(frontend: &'a Frontend, topology: &'a Topology) -> Self {
        let mut for_some = Vec::new();
        for (index, rule) in frontend.config.rules.iter().enumerate() {
            let backend = &**topology.backend(rule.backend);
            let words = rule.condition.as_ref().map(|c| Words::new(c, topology));
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

/// Which of a backend's servers get its new sessions, such as `2 of 2 primaries`.
pub fn servers_in_use(backend: &Backend) -> String {
    let set = backend.usable();
    let backups = backend.servers.iter().filter(|s| s.config.backup).count();
    let primaries = backend.servers.len() - backups;
    match set.mode() {
        Mode::Primaries => {
            let noun = if primaries == 1 {
                "primary"
            } else {
                "primaries"
            };
            format!("{} of {primaries} {noun}", set.nbsrv())
        }
        Mode::AllBackups => {
            let noun = if backups == 1 { "backup" } else { "backups" };
            let used = set.nbsrv();
            format!("{}{used} of {backups} {noun}", without_primary(primaries))
        }
        Mode::FirstBackup => {
            let position = set.in_use().first();
            let name = position.map_or("", |&p| &backend.server(p).config.name);
            format!("{}backup {name} takes all", without_primary(primaries))
        }
        Mode::Tier(tier) => format!("tier {tier}, {} servers", set.nbsrv()),
        Mode::Nothing => "no server is usable, sessions are refused".into(),
    }
}

fn without_primary(primaries: usize) -> &'static str {
    match primaries {
        0 => "",
        1 => "the primary is not usable, ",
        _ => "no primary is usable, ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Condition;
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
}
