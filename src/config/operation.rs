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
