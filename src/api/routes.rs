//! `show routes`: where the new sessions of each frontend go now, and why.

use std::fmt::Write as _;
use std::time::{Instant, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Api;
use super::command::{Answer, Client};
use crate::admin::routes::{Usual, why};
use crate::explain::{Route, Routes, servers_in_use};
use crate::topology::{Frontend, Topology};

/// `show routes [json]`: the lines at the top of the stats page, in its words.
pub fn show(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let topology = &*api.running.topology;
    let now = (Instant::now(), SystemTime::now());
    let frontends = topology.frontends.iter();
    let lines = frontends.map(|frontend| Line::of(frontend, topology, now));
    if words.contains(&"json") {
        let lines: Vec<_> = lines.collect();
        return Answer::line(serde_json::to_string(&lines).unwrap_or_default());
    }
    Answer::Text(lines.map(|line| line.text()).collect())
}

/// A frontend.
#[derive(Debug, Serialize)]
struct Line {
    frontend: String,
    /// `ok` when all is as the configuration's first choice has it, `bad` when sessions are
    /// refused, else `warn`.
    usual: &'static str,
    /// For clients that only some rules are about.
    for_some: Vec<Way>,
    /// For all others; `null` when they are refused.
    otherwise: Option<Way>,
    because: String,
    /// Since when `otherwise` is what it is, in UTC; `null` before sessions are accepted.
    since: Option<String>,
    /// The same in seconds until now.
    age: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Way {
    backend: String,
    servers: String,
    because: String,
}

impl Way {
    fn of(route: &Route<'_>) -> Self {
        Self {
            backend: route.backend.config.name.clone(),
            servers: servers_in_use(route.backend),
            because: route.because(),
        }
    }
}

impl Line {
    fn of(frontend: &Frontend, topology: &Topology, now: (Instant, SystemTime)) -> Self {
        let routes = Routes::of(frontend, topology);
        let age = frontend
            .routed_since()
            .map(|since| now.0.saturating_duration_since(since));
        Self {
            frontend: frontend.config.name.clone(),
            usual: Usual::of(frontend, &routes, topology).word(),
            for_some: routes.for_some.iter().map(Way::of).collect(),
            otherwise: routes.otherwise.as_ref().map(Way::of),
            because: why(&routes),
            since: age.and_then(|age| now.1.checked_sub(age)).map(clock),
            age: age.map(|age| age.as_secs()),
        }
    }

    fn text(&self) -> String {
        let name = &self.frontend;
        let mut text = String::new();
        for way in &self.for_some {
            let (backend, servers, because) = (&way.backend, &way.servers, &way.because);
            let _ = writeln!(
                text,
                "{name} -> {backend} for some clients: {servers}, because {because}"
            );
        }
        let _ = match &self.otherwise {
            Some(way) => write!(text, "{name} -> {}: {}", way.backend, way.servers),
            None => write!(text, "{name} -> refused"),
        };
        let _ = write!(text, ", because {}", self.because);
        if let Some(since) = &self.since {
            let _ = write!(text, ", since {since}");
        }
        text + "\n"
    }
}

fn clock(at: SystemTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(at).format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acl::Condition;
    use crate::config::RuleConfig;
    use crate::id::BackendId;
    use crate::topology::sample::{single_farm, take_down, with_rules, without_default};

    fn line(topology: &Topology) -> Line {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let started = topology.started;
        let now = (started + Duration::from_secs(60), wall);
        topology.frontends[0].rerouted(started + Duration::from_secs(48));
        Line::of(&topology.frontends[0], topology, now)
    }

    #[test]
    fn a_line_says_where_why_and_since_when() {
        let topology = single_farm(false);
        assert_eq!(
            line(&topology).text(),
            "ft -> bk: 2 of 2 primaries, because it is the default and no rule holds, \
             since 2023-11-14T22:13:08Z\n"
        );
        assert_eq!(line(&topology).usual, "ok");
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        assert_eq!(line(&topology).usual, "warn");
        take_down(&topology, 0, 2);
        take_down(&topology, 0, 3);
        assert_eq!(line(&topology).usual, "bad");
    }

    #[test]
    fn refused_sessions_and_some_clients_are_told() {
        assert!(line(&without_default()).text().starts_with(
            "ft-app -> refused, because no rule applies and there is no default_backend"
        ),);
        let inside = Condition::Source(vec!["10.0.0.0/8".parse().unwrap()]);
        let topology = with_rules(vec![RuleConfig {
            backend: BackendId(1),
            condition: Some(inside),
            until: None,
            text: String::new(),
        }]);
        let text = line(&topology).text();
        assert!(
            text.starts_with(
                "ft-app -> bk-app-backup for some clients: 2 of 2 primaries, because \
                 src 10.0.0.0/8 holds for some clients\nft-app -> bk-app-main: "
            ),
            "{text}"
        );
    }
}
