//! State changes worth telling, and their words.
//!
//! The texts are `HAProxy`'s (`src/server.c`, `src/backend.c`), which log watchers match on.

use std::fmt;

use crate::topology::Backend;
use crate::topology::status::{CheckReport, HoldReason};
use crate::topology::usable::{Mode, UsableSet};

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
    /// New sessions of a frontend go elsewhere.
    RouteChanged {
        /// The frontend's name.
        frontend: String,
        /// Where they go now, and why.
        route: String,
    },
    /// A backend lost its last usable server.
    BackendDown {
        /// Its name.
        backend: String,
    },
}

/// What is told of a server's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerChange {
    /// `backend/server`.
    pub server: String,
    /// Whether it is a backup.
    pub backup: bool,
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
    /// Whether its name resolves.
    Name {
        /// The name.
        host: String,
        /// Whether it resolves now.
        resolves: bool,
    },
}

impl ServerChange {
    /// What is told when the server at `position` of `backend` has changed to what it is now.
    pub fn new(backend: &Backend, position: u32, reason: Reason) -> Self {
        let (server, usable): (_, &UsableSet) = (backend.server(position), &backend.usable());
        Self {
            server: server.path.clone(),
            backup: server.config.backup,
            reason,
            primaries: usable.usable_primaries(),
            backups: usable.usable_backups(),
            on_backup: matches!(usable.mode(), Mode::FirstBackup | Mode::AllBackups),
            sessions: server.counters.open(),
            held: server.status().hold.map(|hold| hold.reason),
        }
    }

    fn subject(&self) -> String {
        let backup = if self.backup { "Backup " } else { "" };
        format!("{backup}Server {}", self.server)
    }

    fn farm(&self) -> String {
        let (primaries, backups) = (self.primaries, self.backups);
        format!("{primaries} active and {backups} backup servers")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(report) => {
                write!(f, "{}", report.status.description())?;
                if let Some(code) = report.code {
                    write!(f, ", code: {code}")?;
                }
                if !report.info.is_empty() {
                    write!(f, ", info: \"{}\"", report.info)?;
                }
                write!(f, ", check duration: {}ms", report.duration.as_millis())
            }
            Self::Operator { who } => write!(f, "set by {who}"),
            Self::Agent { why } if why.is_empty() => f.write_str("told by its agent"),
            Self::Agent { why } => write!(f, "told by its agent, info: \"{why}\""),
            Self::Tracked { server } => write!(f, "via {server}"),
            Self::Errors => f.write_str("too many sessions could not connect"),
            Self::Silence => f.write_str("it accepts sessions but does not answer them"),
            Self::Name {
                host,
                resolves: true,
            } => write!(f, "the name \"{host}\" resolves"),
            Self::Name {
                host,
                resolves: false,
            } => {
                write!(f, "the name \"{host}\" does not resolve")
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDown(change) => write!(
                f,
                "{} is DOWN, reason: {}. {} left.{} {} sessions active, 0 requeued, \
                 0 remaining in queue.",
                change.subject(),
                change.reason,
                change.farm(),
                if change.on_backup {
                    " Running on backup."
                } else {
                    ""
                },
                change.sessions,
            ),
            Self::ServerUp(change) => {
                write!(
                    f,
                    "{} is UP, reason: {}. {} online.{} 0 sessions requeued, 0 total in queue.",
                    change.subject(),
                    change.reason,
                    change.farm(),
                    if change.on_backup {
                        " Running on backup."
                    } else {
                        ""
                    },
                )?;
                change
                    .held
                    .map_or(Ok(()), |held| write!(f, " It is kept back because {held}."))
            }
            Self::ServerDrain(change) => write!(
                f,
                "{} enters drain state, reason: {}. {} left.",
                change.subject(),
                change.reason,
                change.farm(),
            ),
            Self::ServerMaintenance(change) => write!(
                f,
                "{} is going DOWN for maintenance, reason: {}. {} left.{} {} sessions active, \
                 0 requeued, 0 remaining in queue.",
                change.subject(),
                change.reason,
                change.farm(),
                if change.on_backup {
                    " Running on backup."
                } else {
                    ""
                },
                change.sessions,
            ),
            Self::ServerReleased { server, held } => {
                write!(
                    f,
                    "Server {server} is used again; it was kept back because {held}."
                )
            }
            Self::RouteChanged { frontend, route } => {
                write!(f, "Frontend {frontend}: new sessions now go to {route}.")
            }
            Self::BackendDown { backend } => {
                write!(f, "backend {backend} has no server available!")
            }
        }
    }
}

impl Event {
    /// Writes the event to the log.
    pub fn log(&self) {
        match self {
            Self::ServerDown(_)
            | Self::ServerDrain(_)
            | Self::ServerMaintenance(_)
            | Self::RouteChanged { .. } => {
                tracing::warn!(target: "event", "{self}");
            }
            Self::ServerUp(_) | Self::ServerReleased { .. } => {
                tracing::info!(target: "event", "{self}");
            }
            Self::BackendDown { .. } => tracing::error!(target: "event", "{self}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::topology::status::CheckStatus;

    fn change(backup: bool, status: CheckStatus, info: &str) -> ServerChange {
        ServerChange {
            server: "b/s".into(),
            backup,
            reason: Reason::Check(CheckReport {
                status,
                code: None,
                info: info.into(),
                duration: Duration::ZERO,
            }),
            primaries: 0,
            backups: 2,
            on_backup: true,
            sessions: 3,
            held: None,
        }
    }

    #[test]
    fn texts_are_those_that_log_watchers_know() {
        let down = change(false, CheckStatus::L4Connection, "Connection refused");
        assert_eq!(
            Event::ServerDown(down).to_string(),
            "Server b/s is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", \
             check duration: 0ms. 0 active and 2 backup servers left. Running on backup. \
             3 sessions active, 0 requeued, 0 remaining in queue."
        );
        let up = change(true, CheckStatus::L4Ok, "");
        assert_eq!(
            Event::ServerUp(up).to_string(),
            "Backup Server b/s is UP, reason: Layer4 check passed, check duration: 0ms. \
             0 active and 2 backup servers online. Running on backup. 0 sessions requeued, \
             0 total in queue."
        );
        assert_eq!(
            Event::BackendDown {
                backend: "b".into()
            }
            .to_string(),
            "backend b has no server available!"
        );
    }
}
