//! `backstop explain`: where sessions go and why, with some servers down; or the failover plan.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use clap::Args;

use super::check;
use crate::config::{self, Config, closest};
use crate::explain::plan::Plan;
use crate::explain::scenario::Scenario;
use crate::explain::session;
use crate::explain::words::{Client, Words};
use crate::id::{BackendId, FrontendId, ServerId};
use crate::topology::Frontend;

/// What is asked.
#[derive(Debug, Default, Args)]
pub struct Question {
    /// Take these servers as down: BACKEND/SERVER, or BACKEND for all of its servers
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    pub down: Vec<String>,
    /// Take these as up, though `--down` names them
    #[arg(long, value_name = "SERVERS", value_delimiter = ',', requires = "down")]
    pub up: Vec<String>,
    /// Follow a client with this address
    #[arg(long, value_name = "ADDRESS")]
    pub src: Option<IpAddr>,
    /// Follow a client that connects to this port
    #[arg(long, value_name = "NUMBER")]
    pub port: Option<u16>,
    /// Explain this frontend only
    #[arg(long, value_name = "NAME")]
    pub frontend: Option<String>,
    /// Show what follows as servers fail one after another
    #[arg(long)]
    pub table: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the question could be answered.
    pub valid: bool,
    /// For the standard output.
    pub stdout: String,
    /// For the standard error: why not.
    pub stderr: String,
}

impl Answer {
    fn refused(stderr: String) -> Self {
        Self {
            valid: false,
            stdout: String::new(),
            stderr,
        }
    }
}

/// Answers a question about the file at `path`; `colour` allows ANSI colours in errors.
pub fn explain(path: &Path, question: &Question, colour: bool) -> Answer {
    let config = match config::load(path) {
        Ok(loaded) => loaded.config,
        Err(report) => return Answer::refused(check::failure(&report, colour)),
    };
    match Subject::find(&config, question) {
        Ok(subject) => Answer {
            valid: true,
            stdout: if question.table {
                subject.table()
            } else {
                subject.sessions()
            },
            stderr: String::new(),
        },
        Err(errors) => {
            let lines = errors.iter().map(|error| format!("error: {error}\n"));
            Answer::refused(lines.collect())
        }
    }
}

/// A question with every name in it looked up.
struct Subject<'q> {
    config: &'q Config,
    question: &'q Question,
    down: Vec<ServerId>,
    frontends: Vec<FrontendId>,
}

impl<'q> Subject<'q> {
    /// Errors are all names that nothing has.
    fn find(config: &'q Config, question: &'q Question) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut down = servers(config, "--down", &question.down, &mut errors);
        let up = servers(config, "--up", &question.up, &mut errors);
        let up: std::collections::HashSet<_> = up.into_iter().collect();
        down.retain(|server| !up.contains(server));
        let frontends = frontends(config, question, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            config,
            question,
            down,
            frontends,
        })
    }

    fn client(&self, bind: &[std::net::SocketAddr]) -> Client {
        let first = bind.first().map(std::net::SocketAddr::port);
        let only = first.filter(|&port| bind.iter().all(|bind| bind.port() == port));
        Client {
            source: self.question.src,
            port: self.question.port.or(only),
        }
    }

    fn scenario(&self) -> Scenario {
        let scenario = Scenario::new(self.config);
        scenario.take_down(&self.down);
        scenario
    }

    fn sessions(&self) -> String {
        let client = |frontend: &Frontend| self.client(&frontend.config.bind);
        let text = session::explain(|| self.scenario(), &self.frontends, client);
        format!("{}\n{}{}", self.premise(), text, self.remarks())
    }

    fn table(&self) -> String {
        let mut text = self.premise();
        for &id in &self.frontends {
            let client = self.client(&self.config.frontends[id.index()].bind);
            let _ = write!(text, "\n{}", Plan::new(self.config, id, client, &self.down));
        }
        text
    }

    /// What is taken for granted.
    fn premise(&self) -> String {
        let name = |id: &ServerId| {
            let backend = &self.config.backends[id.backend.index()];
            format!("{}/{}", backend.name, backend.servers[id.index()].name)
        };
        let more = self.down.len().saturating_sub(8);
        let down: Vec<_> = self.down.iter().take(8).map(name).collect();
        match (down.len(), more) {
            (0, _) => "Taken as up: every server.\n".into(),
            (_, 0) => format!("Taken as down: {}. All others are up.\n", down.join(", ")),
            _ => format!(
                "Taken as down: {} and {more} more. All others are up.\n",
                down.join(", ")
            ),
        }
    }

    /// What the answer leaves open.
    fn remarks(&self) -> String {
        let scenario = self.scenario();
        let topology = scenario.topology();
        let rules = self.frontends.iter().map(|id| topology.frontend(*id));
        let conditions = rules
            .flat_map(|f| &f.config.rules)
            .filter_map(|r| r.condition.as_ref());
        let (mut sessions, mut clients) = (false, false);
        for condition in conditions {
            let words = Words::new(condition, topology);
            sessions |= words.counts_sessions();
            clients |= words.looks_at_source() && self.question.src.is_none();
        }
        let mut text = String::new();
        if clients {
            text += "Some rules look at the client's address; name one with --src.\n";
        }
        if sessions {
            text += "No session is open here, so be_conn and fe_conn are 0.\n";
        }
        text
    }
}

fn servers(
    config: &Config,
    option: &str,
    names: &[String],
    errors: &mut Vec<String>,
) -> Vec<ServerId> {
    let mut found = Vec::new();
    for name in names {
        match server(config, name) {
            Ok(servers) => found.extend(servers),
            Err(error) => errors.push(format!("{option}: {error}")),
        }
    }
    found
}

/// The server of this name, or all servers of the backend of this name.
fn server(config: &Config, path: &str) -> Result<Vec<ServerId>, String> {
    let (backend_name, server_name) = match path.split_once('/') {
        Some((backend, server)) => (backend, Some(server)),
        None => (path, None),
    };
    let found = config
        .backends
        .iter()
        .zip(0..)
        .find(|(b, _)| b.name == backend_name);
    let Some((backend, id)) = found else {
        let names = config.backends.iter().map(|backend| backend.name.as_str());
        return Err(unknown(
            &format!("backend `{backend_name}`"),
            backend_name,
            names,
        ));
    };
    let all = backend.servers.iter().zip(0..);
    let chosen = all.filter(|(server, _)| server_name.is_none_or(|name| server.name == name));
    let chosen: Vec<_> = chosen
        .map(|(_, position)| ServerId {
            backend: BackendId(id),
            position,
        })
        .collect();
    match server_name {
        Some(name) if chosen.is_empty() => {
            let names = backend.servers.iter().map(|server| server.name.as_str());
            let what = format!("server `{name}` in backend `{backend_name}`");
            Err(unknown(&what, name, names))
        }
        _ => Ok(chosen),
    }
}

fn frontends(config: &Config, question: &Question, errors: &mut Vec<String>) -> Vec<FrontendId> {
    let listens = |bind: &[std::net::SocketAddr]| {
        question
            .port
            .is_none_or(|port| bind.iter().any(|bind| bind.port() == port))
    };
    let all = config.frontends.iter().zip((0..).map(FrontendId));
    let asked_for = |name: &str| {
        question
            .frontend
            .as_deref()
            .is_none_or(|wanted| wanted == name)
    };
    let (found, others): (Vec<_>, Vec<_>) = all
        .filter(|(frontend, _)| asked_for(&frontend.name))
        .partition(|(frontend, _)| listens(&frontend.bind));
    if found.is_empty() {
        errors.push(match (&question.frontend, question.port) {
            (Some(name), _) if others.is_empty() => {
                let names = config
                    .frontends
                    .iter()
                    .map(|frontend| frontend.name.as_str());
                format!(
                    "--frontend: {}",
                    unknown(&format!("frontend `{name}`"), name, names)
                )
            }
            (Some(name), Some(port)) => format!("--port: frontend `{name}` has no port {port}"),
            (_, port) => format!("--port: no frontend has port {}", port.unwrap_or_default()),
        });
    }
    found.into_iter().map(|(_, id)| id).collect()
}

fn unknown<'n>(what: &str, name: &str, candidates: impl Iterator<Item = &'n str>) -> String {
    match closest(name, candidates) {
        Some(near) => format!("there is no {what}; did you mean `{near}`?"),
        None => format!("there is no {what}"),
    }
}
