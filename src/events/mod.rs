//! State changes worth telling: what happened, what follows from it, and who keeps it.
//!
//! - [`words`]: the texts, which are HAProxy's.
//! - [`record`]: an event with its number and its time, and its JSON form.
//! - [`journal`]: the last events, for whoever asks; the one place where they are recorded.
//! - [`file`](mod@file): the file that records are appended to, if there is one.

pub mod file;
pub mod journal;
pub mod record;
pub mod words;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::topology::status::{Admin, CheckReport, HoldReason, State, Toll};
use crate::topology::usable::{Mode, UsableSet};
use crate::topology::{Backend, Server};

pub use self::journal::Journal;
pub use self::record::Record;
pub use crate::config::hook::EVENT_KINDS as KINDS;

/// A state change worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A server no longer serves.
    ServerDown(ServerChange),
    /// A server serves again.
    ServerUp(ServerChange),
    /// A server gets no new sessions because somebody wants it so.
    ServerDrain(ServerChange),
    /// A server was taken out by somebody.
    ServerMaintenance(ServerChange),
    /// A server's probation is over.
    ServerReleased {
        /// `backend/server`.
        server: String,
        /// Why it was on probation.
        held: HoldReason,
    },
    /// A server's share of sessions was changed.
    WeightChanged {
        /// `backend/server`.
        server: String,
        /// Its weight before, 0 to 256.
        from: u16,
        /// Its weight now.
        to: u16,
        /// Who changed it.
        reason: Reason,
    },
    /// A server is somewhere else.
    AddressChanged {
        /// `backend/server`.
        server: String,
        /// Where sessions went before; `None` if it waited for an address.
        from: Option<SocketAddr>,
        /// Where they go now.
        to: SocketAddr,
        /// Who changed it.
        reason: Reason,
    },
    /// A server's checks were stopped or started.
    ChecksSwitched {
        /// `backend/server`.
        server: String,
        /// Whether it is checked now.
        on: bool,
        /// Who switched them.
        reason: Reason,
    },
    /// Somebody wants something else of a server, and its state stays what it is all the same.
    AdminChanged {
        /// `backend/server`.
        server: String,
        /// What was wanted before.
        from: Admin,
        /// What is wanted now.
        to: Admin,
        /// Who wants it.
        reason: Reason,
    },
    /// A frontend accepts sessions or does not.
    FrontendSwitched {
        /// Its name.
        frontend: String,
        /// Whether it accepts now.
        on: bool,
        /// Who switched it.
        reason: Reason,
    },
    /// Open sessions were ended because of a server's state, or because somebody wanted it.
    SessionsEnded {
        /// `backend/server`, or the backend's name if they were on several of its servers.
        on: String,
        /// How many; at least one.
        count: usize,
        /// Why.
        why: Ended,
    },
    /// New sessions of a frontend go elsewhere.
    RouteChanged {
        /// The frontend's name.
        frontend: String,
        /// Where they went before, such as `bk-app (primaries)`.
        from: String,
        /// Where they go now, in the same form.
        to: String,
        /// Where they go now, and why.
        route: String,
    },
    /// A backend lost its last usable server.
    BackendDown {
        /// Its name.
        backend: String,
    },
    /// A backend has a usable server again.
    BackendUp {
        /// Its name.
        backend: String,
        /// How long it had none.
        without: Duration,
        /// Sessions that failed meanwhile for want of a server.
        failed: u64,
    },
    /// A hook did what it is for.
    HookSucceeded(HookRun),
    /// A hook could not do it.
    HookFailed(HookRun),
    /// Another configuration is in place.
    Reloaded {
        /// Who wanted it.
        who: String,
        /// What it has changed, a sentence each.
        changes: Vec<String>,
        /// What it says that only a restart changes.
        restart: Vec<String>,
    },
    /// Another configuration cannot be used, and everything goes on as before.
    ReloadFailed {
        /// Who wanted it.
        who: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Things are as they should be, or are getting there.
    Notice,
    /// Something is lost, and something else stands in for it.
    Warning,
    /// Sessions fail.
    Emergency,
}

/// What became of a hook that ran for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// Its name.
    pub hook: String,
    /// The number of the event.
    pub number: u64,
    /// What kind of event, and what it was about, such as `server_down bk/s1`.
    pub on: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Of all attempts with the time between them.
    pub duration: Duration,
    /// What it said or answered, or how it failed; may be empty.
    pub info: String,
}

/// What is told of a server's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerChange {
    /// `backend/server`.
    pub server: String,
    /// Whether it is a backup.
    pub backup: bool,
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why it changed.
    pub reason: Reason,
    /// Usable primaries of its backend after the change.
    pub primaries: u32,
    /// Usable backups of its backend after the change.
    pub backups: u32,
    /// Whether the backend now runs on its backups.
    pub on_backup: bool,
    /// Sessions open on the server.
    pub sessions: u32,
    /// Sessions that moved off it or failed since it was last found well, or changed its state.
    pub toll: Toll,
    /// Why it does not get new sessions although it is up.
    pub held: Option<HoldReason>,
}

/// Why a server changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// What a check found.
    Check(CheckReport),
    /// The operator's wish.
    Operator {
        /// Who wished it.
        who: String,
    },
    /// The server's own agent.
    Agent {
        /// What it gave as its reason; may be empty.
        why: String,
    },
    /// The server that it tracks.
    Tracked {
        /// `backend/server`.
        server: String,
    },
    /// Sessions could not connect.
    Errors,
    /// Sessions were accepted and not answered.
    Silence,
    /// Another configuration.
    Reload,
    /// Whether its name resolves.
    Name {
        /// The name.
        host: String,
        /// Whether it resolves now.
        resolves: bool,
    },
    /// Whether its name has this address.
    Address {
        /// The name.
        host: String,
        /// The address.
        ip: IpAddr,
        /// Whether the name has it now.
        has: bool,
    },
    /// What its SRV record says.
    Service {
        /// The record's name.
        host: String,
    },
}

/// Why open sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Their server went down.
    MarkedDown,
    /// They were on a backup and a primary came up.
    PrimaryUp,
    /// Somebody wished it.
    Operator {
        /// Who wished it.
        who: String,
    },
}

impl ServerChange {
    /// What is told when `server` was `from` and has changed to what it is now. It has no
    /// backend if it was removed from the configuration.
    pub fn new(
        server: &Server,
        backend: Option<&Backend>,
        from: State,
        reason: Reason,
        toll: Toll,
    ) -> Self {
        let status = server.status();
        let usable = backend.map(Backend::usable);
        let usable = usable.as_deref().map(|usable| &**usable);
        let mode = usable.map(UsableSet::mode);
        Self {
            server: server.path.clone(),
            backup: server.config.backup,
            from,
            to: status.state,
            reason,
            primaries: usable.map_or(0, UsableSet::usable_primaries),
            backups: usable.map_or(0, UsableSet::usable_backups),
            on_backup: matches!(mode, Some(Mode::FirstBackup | Mode::AllBackups)),
            sessions: server.counters.open(),
            toll,
            held: status.hold.map(|hold| hold.reason),
        }
    }

    /// The event of this change.
    pub fn event(self) -> Event {
        match self.to {
            State::Down => Event::ServerDown(self),
            State::Maintenance => Event::ServerMaintenance(self),
            State::Drain => Event::ServerDrain(self),
            State::Up | State::Unchecked => Event::ServerUp(self),
        }
    }
}

impl Event {
    /// The position of its kind in [`KINDS`].
    pub fn kind_number(&self) -> usize {
        match self {
            Self::ServerDown(_) => 0,
            Self::ServerUp(_) => 1,
            Self::ServerDrain(_) => 2,
            Self::ServerMaintenance(_) => 3,
            Self::ServerReleased { .. } => 4,
            Self::WeightChanged { .. } => 5,
            Self::AddressChanged { .. } => 6,
            Self::ChecksSwitched { .. } => 7,
            Self::AdminChanged { .. } => 8,
            Self::FrontendSwitched { .. } => 9,
            Self::SessionsEnded { .. } => 10,
            Self::RouteChanged { .. } => 11,
            Self::BackendDown { .. } => 12,
            Self::BackendUp { .. } => 13,
            Self::HookSucceeded(_) => 14,
            Self::HookFailed(_) => 15,
            Self::Reloaded { .. } => 16,
            Self::ReloadFailed { .. } => 17,
        }
    }

    /// One word for what happened, which tools can match on.
    pub fn kind(&self) -> &'static str {
        KINDS[self.kind_number()]
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::BackendDown { .. } => Severity::Emergency,
            Self::ServerDown(_)
            | Self::ReloadFailed { .. }
            | Self::ServerDrain(_)
            | Self::ServerMaintenance(_)
            | Self::RouteChanged { .. }
            | Self::SessionsEnded { .. }
            | Self::HookFailed(_)
            | Self::FrontendSwitched { on: false, .. }
            | Self::ChecksSwitched { on: false, .. } => Severity::Warning,
            Self::ServerUp(_)
            | Self::Reloaded { .. }
            | Self::ServerReleased { .. }
            | Self::WeightChanged { .. }
            | Self::AddressChanged { .. }
            | Self::ChecksSwitched { on: true, .. }
            | Self::AdminChanged { .. }
            | Self::FrontendSwitched { on: true, .. }
            | Self::BackendUp { .. }
            | Self::HookSucceeded(_) => Severity::Notice,
        }
    }

    /// The frontend, the backend, the `backend/server` or the hook that it is about;
    /// `configuration` if it is about all of them.
    pub fn subject(&self) -> &str {
        match self {
            Self::ServerDown(change)
            | Self::ServerUp(change)
            | Self::ServerDrain(change)
            | Self::ServerMaintenance(change) => &change.server,
            Self::ServerReleased { server, .. }
            | Self::WeightChanged { server, .. }
            | Self::AddressChanged { server, .. }
            | Self::ChecksSwitched { server, .. }
            | Self::AdminChanged { server, .. } => server,
            Self::SessionsEnded { on, .. } => on,
            Self::RouteChanged { frontend, .. } | Self::FrontendSwitched { frontend, .. } => {
                frontend
            }
            Self::BackendDown { backend } | Self::BackendUp { backend, .. } => backend,
            Self::HookSucceeded(run) | Self::HookFailed(run) => &run.hook,
            Self::Reloaded { .. } | Self::ReloadFailed { .. } => "configuration",
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A frontend.
    Frontend(&'a str),
    /// A backend.
    Backend(&'a str),
    /// A backend's server.
    Server(&'a str, &'a str),
    /// A hook.
    Hook(&'a str),
    /// All of them.
    Everything,
}

impl Event {
    /// What it is about.
    pub fn place(&self) -> Place<'_> {
        let subject = self.subject();
        match self {
            Self::HookSucceeded(_) | Self::HookFailed(_) => Place::Hook(subject),
            Self::Reloaded { .. } | Self::ReloadFailed { .. } => Place::Everything,
            Self::RouteChanged { .. } | Self::FrontendSwitched { .. } => Place::Frontend(subject),
            _ => match subject.split_once('/') {
                Some((backend, server)) => Place::Server(backend, server),
                None => Place::Backend(subject),
            },
        }
    }

    /// What a server has changed to, as its record names it.
    pub fn state(&self) -> Option<&'static str> {
        match self {
            Self::ServerDown(change)
            | Self::ServerUp(change)
            | Self::ServerDrain(change)
            | Self::ServerMaintenance(change) => Some(record::word(change.to)),
            _ => None,
        }
    }
}

impl Severity {
    /// `notice`, `warning` or `emergency`, as in syslog.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Emergency => "emergency",
        }
    }
}
