//! What operators look at and steer by.

use std::path::PathBuf;
use std::time::Duration;

/// `[events]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsConfig {
    /// How many of the last events are kept in memory.
    pub size: usize,
    /// Where every event is appended to as a line of JSON.
    pub file: Option<PathBuf>,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            size: 1_000,
            file: None,
        }
    }
}

/// `[api]`: the runtime API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where its Unix socket is made.
    pub socket: PathBuf,
    /// The socket's permissions, such as 0o660.
    pub mode: u32,
    /// Whose the socket is, by name or number; unset is who runs the process.
    pub user: Option<String>,
    /// Whose group the socket is, by name or number.
    pub group: Option<String>,
    /// What those who can connect may do.
    pub level: Level,
}

/// What a client of the runtime API may do; each level may do all that those before it may
/// (management.txt, "level").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Look at what is not about single clients.
    User,
    /// Look at everything.
    Operator,
    /// Change everything.
    Admin,
}

/// `state_file` and `state_max_age`: what outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Where it is saved.
    pub file: PathBuf,
    /// An older one is ignored at the start.
    pub max_age: Duration,
}

/// `user`, `group`, `setcap`, `insecure_setuid_wanted` and `landlock`: what the process may do once
/// it has its addresses. The words are those of HAProxy's `global` section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrivilegesConfig {
    /// Who it becomes, by name or number.
    pub user: Option<String>,
    /// Its group, by name or number, in place of the user's.
    pub group: Option<String>,
    /// What it keeps of what root may do.
    pub setcap: Vec<Capability>,
    /// Whether programs that it starts may have more rights than it has.
    pub insecure_setuid_wanted: bool,
    /// Whether the file system is closed but for what has to be written.
    pub landlock: bool,
}

/// A part of what root may do (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Marks on sockets.
    NetAdmin,
    /// Ports below 1024.
    NetBindService,
}
