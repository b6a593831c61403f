//! What follows as servers fail one after another: the failover plan of a frontend.

use std::fmt::Write;

use super::scenario::Scenario;
use super::servers::{listed, servers_in_use};
use super::words::Client;
use super::{Route, Routes, Why};
use crate::config::Config;
use crate::id::{BackendId, FrontendId, ServerId};
use crate::topology::Topology;
use crate::topology::usable::Mode;

/// Rows of one frontend's plan at most.
const ROWS: usize = 40;

/// Up to so many servers in use fail one by one; of more, as many together as change nothing.
const ONE_BY_ONE: usize = 16;

/// How many servers are named in one row.
const NAMES: usize = 6;

/// The plan of one frontend.
#[derive(Debug)]
pub struct Plan {
    title: String,
    rows: Vec<Row>,
    remark: String,
}

/// What has failed, and what follows.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    failed: String,
    backend: String,
    servers: String,
    because: String,
}

/// What stays the same while servers of little consequence fail.
type Destination = Option<(BackendId, Mode)>;

/// The failures up to one moment, and the state that they led to.
struct History<'c> {
    config: &'c Config,
    frontend: FrontendId,
    client: Client,
    /// In the order in which they happened; rules with `until` remember.
    failures: Vec<Vec<ServerId>>,
    scenario: Scenario,
}

impl Plan {
    /// The plan of `frontend` for `client`, beginning with `down` already down.
    pub fn new(config: &Config, frontend: FrontendId, client: Client, down: &[ServerId]) -> Self {
        let mut history = History::new(config, frontend, client);
        history.fail(down.to_vec());
        let start = if down.is_empty() {
            "(nothing)"
        } else {
            "(those given)"
        };
        let mut rows = vec![history.row(start.into(), None)];
        let mut whole = true;
        while let Some(failing) = history.next_failure() {
            if rows.len() == ROWS {
                whole = false;
                break;
            }
            let before = history.destination();
            let failed = history.paths(&failing);
            history.fail(failing);
            rows.push(history.row(failed, Some(before)));
        }
        Self {
            title: format!("frontend {}", config.frontends[frontend.index()].name),
            rows,
            remark: history.remark(whole),
        }
    }
}

impl<'c> History<'c> {
    fn new(config: &'c Config, frontend: FrontendId, client: Client) -> Self {
        Self {
            config,
            frontend,
            client,
            failures: Vec::new(),
            scenario: Scenario::new(config),
        }
    }

    fn fail(&mut self, servers: Vec<ServerId>) {
        self.scenario.take_down(&servers);
        self.failures.push(servers);
    }

    /// The destination if `servers` failed too.
    fn after(&self, servers: &[ServerId]) -> Destination {
        let scenario = Scenario::new(self.config);
        self.failures
            .iter()
            .for_each(|failed| scenario.take_down(failed));
        scenario.take_down(servers);
        destination(scenario.topology(), self.frontend, self.client)
    }

    fn destination(&self) -> Destination {
        destination(self.topology(), self.frontend, self.client)
    }

    fn topology(&self) -> &Topology {
        self.scenario.topology()
    }

    fn route(&self) -> Option<Route<'_>> {
        route(self.topology(), self.frontend, self.client)
    }

    /// The servers in use now.
    fn in_use(&self) -> Vec<ServerId> {
        let Some(route) = self.route() else {
            return Vec::new();
        };
        let backend = route.backend.id;
        let of_backend = |&position: &u32| ServerId { backend, position };
        route
            .backend
            .usable()
            .in_use()
            .iter()
            .map(of_backend)
            .collect()
    }

    /// The servers that fail next: one, or as many as change nothing together.
    fn next_failure(&self) -> Option<Vec<ServerId>> {
        let mut in_use = self.in_use();
        if in_use.is_empty() {
            return None;
        }
        let mut count = 1;
        if in_use.len() > ONE_BY_ONE {
            let before = self.destination();
            let (mut same, mut other) = (0, in_use.len());
            while same + 1 < other {
                let middle = usize::midpoint(same, other);
                if self.after(&in_use[..middle]) == before {
                    same = middle;
                } else {
                    other = middle;
                }
            }
            count = same.max(1);
        }
        in_use.truncate(count);
        Some(in_use)
    }

    /// What is so now; the reason only if sessions went elsewhere before.
    fn row(&self, failed: String, before: Option<Destination>) -> Row {
        let Some(route) = self.route() else {
            return Row {
                failed,
                backend: "-".into(),
                servers: "-".into(),
                because: "no rule matches and there is no default, sessions are refused".into(),
            };
        };
        let servers = servers_in_use(route.backend);
        let because = match before {
            Some(before) if before == self.destination() => String::new(),
            Some(Some((backend, _))) if backend == route.backend.id => servers,
            _ => format!("{}{servers}", why(&route.why)),
        };
        let names = self.names(&self.in_use());
        Row {
            failed,
            backend: route.backend.config.name.clone(),
            servers: if names.is_empty() { "-".into() } else { names },
            because,
        }
    }

    fn names(&self, servers: &[ServerId]) -> String {
        let name = |id: &ServerId| self.topology().server(*id).config.name.as_str();
        listed(servers.iter().map(name), NAMES)
    }

    fn paths(&self, servers: &[ServerId]) -> String {
        let path = |id: &ServerId| self.topology().server(*id).path.as_str();
        listed(servers.iter().map(path), 1)
    }

    /// What the rows do not tell.
    fn remark(&self, whole: bool) -> String {
        let mut text = String::new();
        if whole {
            let up = self
                .topology()
                .servers()
                .filter(|s| s.is_up() && s.config.weight > 0);
            let up: Vec<_> = up.map(|server| server.path.as_str()).collect();
            if !up.is_empty() {
                let up = listed(up.into_iter(), NAMES);
                let _ = writeln!(
                    text,
                    "  Up to the end, but of no use to these sessions: {up}."
                );
            }
        } else {
            let _ = writeln!(text, "  The plan goes on; it is cut after {ROWS} rows.");
        }
        let frontend = self.topology().frontend(self.frontend);
        for route in Routes::for_client(frontend, self.topology(), self.client).for_some {
            let backend = &route.backend.config.name;
            if let Why::HoldsForSome(words) = route.why {
                let _ = writeln!(
                    text,
                    "  Clients for which {words} holds go to {backend} instead."
                );
            }
        }
        text
    }
}

fn route(topology: &Topology, frontend: FrontendId, client: Client) -> Option<Route<'_>> {
    Routes::for_client(topology.frontend(frontend), topology, client).otherwise
}

fn destination(topology: &Topology, frontend: FrontendId, client: Client) -> Destination {
    route(topology, frontend, client).map(|r| (r.backend.id, r.backend.usable().mode()))
}

fn why(why: &Why<'_>) -> String {
    match why {
        Why::Default => "default; ".into(),
        Why::Unconditional => "a rule without a condition; ".into(),
        Why::Holds(words) => format!("{words} holds ({}); ", words.evidence()),
        Why::Until(words, until) => {
            format!("{words} held, until {until} ({}); ", until.evidence())
        }
        Why::HoldsForSome(words) => format!("if {words}; "),
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let heads = ["failed", "sessions go to", "servers", "because"];
        let columns: [fn(&Row) -> &str; 4] = [
            |r| &r.failed,
            |r| &r.backend,
            |r| &r.servers,
            |r| &r.because,
        ];
        let width = |column: usize| {
            let cells = self.rows.iter().map(columns[column]);
            cells
                .chain([heads[column]])
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let [failed, backend, servers] = [width(0), width(1), width(2)];
        writeln!(f, "{}", self.title)?;
        let mut line = |cells: [&str; 4]| {
            let [first, second, third, last] = cells;
            let line = format!("  {first:failed$}  {second:backend$}  {third:servers$}  {last}");
            writeln!(f, "{}", line.trim_end())
        };
        line(heads)?;
        for row in &self.rows {
            line(columns.map(|column| column(row)))?;
        }
        f.write_str(&self.remark)
    }
}
