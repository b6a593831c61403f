//! A valid configuration as plain data, and the way to it from a file's text.
//!
//! Text becomes a table with the place of every value (the `toml` crate), each value is read and
//! checked by itself (`raw`, `fields`, `value`), then how they go together (`validate`). What is
//! wrong is collected into one [`report::Report`] that shows each mistake in the file with a
//! caret; what is legal but probably unwanted (`warn`) is collected in the same way. Nothing here
//! opens a socket or resolves a name.

mod balance;
pub mod check;
pub mod clients;
pub mod diff;
mod fields;
mod hints;
pub mod hook;
pub mod log;
pub mod operation;
pub mod policy;
mod raw;
pub mod report;
pub mod resolve;
mod secrets;
pub mod session_format;
pub mod stats;
mod syntax;
mod validate;
pub mod value;
mod warn;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::balance::Balance;
pub use self::check::{AgentConfig, CheckConfig, CheckKind};
use self::clients::{AcceptProxy, ClientLimits};
pub(crate) use self::hints::closest;
use self::hook::HookConfig;
pub use self::log::{LogConfig, LogFormat, LogLevel, SessionLog};
use self::operation::{ApiConfig, EventsConfig, PrivilegesConfig, StateConfig};
use self::policy::{FailoverPolicy, ServerPolicy};
use self::report::{Problem, Report, Span};
use self::resolve::ResolveConfig;
use self::session_format::SessionFormat;
pub use self::stats::StatsConfig;

use crate::acl::Condition;
use crate::acl::show::Names;
use crate::id::{BackendId, FrontendId, ServerId};
use crate::sys::options::{ConnectOptions, ListenOptions};

/// The JSON Schema of a configuration file, for editors. It is kept by hand, and a test compares it
/// with what is read, key by key and value by value.
pub const SCHEMA: &str = include_str!("../../configs/backstop.schema.json");

/// A configuration that can be used, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings only; may be empty.
    pub warnings: Report,
}

/// Reads and checks the file at `path`, with the process's environment for `${VAR}`.
///
/// The error reports every mistake in the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let problem = Problem::error(format!("this file cannot be read: {error}"));
            return Err(Report::new(name, "", vec![problem]));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &name, &|variable| std::env::var(variable).ok()),
        Err(error) => Err(not_utf8(&name, &error)),
    }
}

fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> Report {
    let start = error.utf8_error().valid_up_to();
    // The lossy text is the same up to there, and one replacement character follows.
    let end = start + char::REPLACEMENT_CHARACTER.len_utf8();
    let problem = Problem::error("this file is not UTF-8 text")
        .at(Span { start, end })
        .label("not a character in UTF-8")
        .help("save the file with the encoding UTF-8");
    Report::new(
        file,
        String::from_utf8_lossy(error.as_bytes()),
        vec![problem],
    )
}

/// Checks a file's text. `file_name` names it in the reports; `env` gives the variables.
///
/// The error reports every mistake; warnings are only looked for in a valid configuration.
pub fn parse(
    text: &str,
    file_name: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    let shown = secrets::hidden(text);
    let syntax = syntax::Syntax::of(text, &errors);
    let mut reader = fields::Reader::new(text, env, syntax.broken_from.is_none());
    let raw = raw::file(&mut reader, table.get_ref());
    let mut problems = reader.problems;
    // What the parser made of a part that it could not read is not told on top.
    problems.retain(|problem| problem.span().is_none_or(|span| !syntax.covers(span)));
    if let Some(end) = syntax.broken_from {
        problems.retain(|problem| problem.span().is_some_and(|span| span.end <= end));
        problems.extend(syntax.problems);
        return Err(Report::new(file_name, &*shown, problems));
    }
    problems.extend(syntax.problems);
    let config = validate::config(&raw, &mut problems);
    // Servers of one entry have the same faults.
    problems.dedup();
    match config.filter(|_| problems.is_empty()) {
        None => Err(Report::new(file_name, &*shown, problems)),
        Some(config) => {
            let mut warnings = warn::warnings(&raw, &config);
            warnings.dedup();
            Ok(Loaded {
                config,
                warnings: Report::new(file_name, &*shown, warnings),
            })
        }
    }
}

/// Everything that a configuration file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; unset means one per core that the process may run on.
    pub threads: Option<NonZeroUsize>,
    /// The most sessions of the process; unset means what the descriptors are enough for.
    pub maxconn: Option<u32>,
    /// Whether each worker thread stays on a core of its own.
    pub pin_threads: bool,
    /// Whether the process reloads when its file has changed.
    pub reload_on_change: bool,
    /// By how many percent the time between two checks varies, at random, 0 to 50.
    pub spread_checks: u8,
    /// How long sessions may go on after the first stop signal.
    pub grace: Duration,
    /// What is logged and how.
    pub log: LogConfig,
    /// In declaration order; a [`crate::id::FrontendId`] is a position here.
    pub frontends: Vec<FrontendConfig>,
    /// In declaration order; a [`BackendId`] is a position here.
    pub backends: Vec<BackendConfig>,
    /// The stats page, if it is to be served.
    pub stats: Option<StatsConfig>,
    /// How many events are kept, and where.
    pub events: EventsConfig,
    /// The runtime API, if it is to be served.
    pub api: Option<ApiConfig>,
    /// What the process may do once it has its addresses.
    pub privileges: PrivilegesConfig,
    /// Where another process asks for what this one has, to take over.
    pub upgrade_socket: Option<PathBuf>,
    /// What outlives a restart, and where.
    pub state: Option<StateConfig>,
    /// What is done when something happens, in declaration order.
    pub hooks: Vec<HookConfig>,
}

impl Config {
    /// Takes from `running` what only a restart changes.
    pub fn keep_fixed(&mut self, running: &Self) {
        self.threads = running.threads;
        self.pin_threads = running.pin_threads;
        self.reload_on_change = running.reload_on_change;
        self.log.clone_from(&running.log);
        self.events.clone_from(&running.events);
        self.api.clone_from(&running.api);
        self.privileges.clone_from(&running.privileges);
        self.state.clone_from(&running.state);
        self.hooks.clone_from(&running.hooks);
        self.upgrade_socket.clone_from(&running.upgrade_socket);
    }
}

impl Names for Config {
    fn backend(&self, id: BackendId) -> &str {
        &self.backends[id.index()].name
    }

    fn frontend(&self, id: FrontendId) -> &str {
        &self.frontends[id.index()].name
    }

    fn server(&self, id: ServerId) -> &str {
        &self.backends[id.backend.index()].servers[id.index()].name
    }
}

/// `[frontends.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontendConfig {
    /// Unique among frontends.
    pub name: String,
    /// Addresses to listen on; never empty.
    pub bind: Vec<SocketAddr>,
    /// The most sessions at once; more wait to be accepted.
    pub maxconn: Option<u32>,
    /// Which clients it serves, and how often.
    pub clients: ClientLimits,
    /// Who begins connections with a PROXY header.
    pub accept_proxy: Option<AcceptProxy>,
    /// Tried in order; the first whose condition holds decides.
    pub rules: Vec<RuleConfig>,
    /// Where sessions go when no rule matches; without it they are closed.
    pub default_backend: Option<BackendId>,
    /// Timeouts of the client's side.
    pub timeout: ClientTimeouts,
    /// Whether bytes may pass without being copied; the backend has a say too.
    pub splice: SpliceMode,
    /// What its sockets have.
    pub socket: ListenOptions,
    /// How its sessions' lines are written; `None` is as `option tcplog`.
    pub log_format: Option<SessionFormat>,
}

/// One entry of `use_backend`.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleConfig {
    /// Where matching sessions go.
    pub backend: BackendId,
    /// When it matches; `None` means always. `unless` is a [`Condition::Not`].
    pub condition: Option<Condition>,
    /// Once the rule has matched it goes on to match until this holds. It looks at servers
    /// only, and `condition` then does too.
    pub until: Option<Condition>,
    /// The condition as the user wrote it, for people; `unless C` is `not (C)`, and empty means
    /// always.
    pub text: String,
}

/// The timeouts of a session's client side; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientTimeouts {
    /// Inactivity on the client's side (`timeout client`).
    pub client: Option<Duration>,
    /// The same once either direction has ended (`timeout client-fin`).
    pub client_fin: Option<Duration>,
}

/// The timeouts of a session's server side; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerTimeouts {
    /// For the wait for a server with room (`timeout queue`); that of a connection attempt
    /// unless set.
    pub queue: Option<Duration>,
    /// For one connection attempt (`timeout connect`).
    pub connect: Option<Duration>,
    /// Inactivity on the server's side (`timeout server`).
    pub server: Option<Duration>,
    /// The same once either direction has ended (`timeout server-fin`).
    pub server_fin: Option<Duration>,
    /// Replaces both inactivity timeouts once bytes flowed both ways (`timeout tunnel`).
    pub tunnel: Option<Duration>,
    /// For a check's answer after its connection stands (`timeout check`).
    pub check: Option<Duration>,
}

/// `[backends.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendConfig {
    /// Unique among backends.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// With no usable primary: balance over all backups instead of using the first.
    pub allbackups: bool,
    /// Connection attempts after the first one.
    pub retries: u32,
    /// The most sessions that may wait for a server with room; `None` is no limit.
    pub maxqueue: Option<u32>,
    /// Timeouts of the server's side.
    pub timeout: ServerTimeouts,
    /// How it goes over to other servers and back.
    pub failover: FailoverPolicy,
    /// Whether bytes may pass without being copied; the frontend has a say too.
    pub splice: SpliceMode,
    /// What the sockets of connections to its servers have.
    pub socket: ConnectOptions,
    /// Whether checks that change something get a line (`option log-health-checks`).
    pub log_health_checks: bool,
    /// In declaration order; never empty.
    pub servers: Vec<ServerConfig>,
}

/// When bytes go from socket to socket inside the kernel (`splice`; HAProxy's
/// "option splice-auto" and its kin).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpliceMode {
    /// Directions that carry bulk, while they do.
    #[default]
    Auto,
    /// Never.
    Off,
    /// From the first byte on.
    Always,
}

impl SpliceMode {
    /// What holds for a session whose frontend and backend say this: off if either does, else
    /// always if either does.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Off, _) | (_, Self::Off) => Self::Off,
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Auto, Self::Auto) => Self::Auto,
        }
    }
}

/// One entry of `servers`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// Unique in its backend.
    pub name: String,
    /// Where it listens.
    pub address: ServerAddress,
    /// How its name is looked up, if it has one.
    pub resolve: ResolveConfig,
    /// Which of several servers it is that share a name's addresses, if it is one of those.
    pub slot: Option<SlotConfig>,
    /// Used only when no primary is usable.
    pub backup: bool,
    /// Used only when the lower tiers lack servers; 0 unless set.
    pub tier: u32,
    /// Where it runs, such as an availability zone.
    pub zone: Option<String>,
    /// The most sessions at once; more wait in the backend's queue.
    pub maxconn: Option<u32>,
    /// Share of sessions among the servers in use, 0 to 256; 0 gets none.
    pub weight: u16,
    /// Its health check, if it has one.
    pub check: Option<CheckConfig>,
    /// The agent that is asked about it beside the check, if there is one.
    pub agent: Option<AgentConfig>,
    /// The server whose verdict it takes over (`track`); never beside a check of its own.
    pub track: Option<ServerId>,
    /// What its failures and recoveries lead to.
    pub policy: ServerPolicy,
}

/// A server's host and port as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// 1 to 65535; 0 if the name's SRV records say it.
    pub port: u16,
}

impl ServerAddress {
    /// Whether host and port are what the name's SRV records say.
    pub fn is_srv(&self) -> bool {
        self.port == 0
    }

    /// Whether it has to be looked up, and may be somewhere else tomorrow.
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

impl fmt::Display for ServerAddress {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, 0) => f.write_str(host),
            (host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// One of the servers that one entry of `servers` with `count` stands for ("server-template").
/// Each takes another one of the name's addresses; those that are left over wait for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotConfig {
    /// The entry's own name, which is the same for all of them.
    pub template: String,
    /// 1 for the first.
    pub number: u32,
}
