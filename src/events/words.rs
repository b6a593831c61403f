//! The texts of events.
//!
//! They are HAProxy's (`src/server.c`, `src/backend.c`), which log watchers match on, wherever
//! it tells of the same thing.

use std::fmt;

use super::{Ended, Event, HookRun, Reason, ServerChange};
use crate::topology::status::{State, Toll};

/// Changes of a reload that are told one by one.
const TOLD: usize = 10;

impl ServerChange {
    fn subject(&self) -> String {
        let backup = if self.backup { "Backup " } else { "" };
        format!("{backup}Server {}", self.server)
    }

    fn farm(&self) -> String {
        let (primaries, backups) = (self.primaries, self.backups);
        format!("{primaries} active and {backups} backup servers")
    }

    fn on_backup(&self) -> &'static str {
        if self.on_backup {
            " Running on backup."
        } else {
            ""
        }
    }

    /// What its trouble has cost sessions, if it has.
    fn cost(&self) -> String {
        match self.toll {
            Toll {
                moved: 0,
                failed: 0,
            } => String::new(),
            Toll { moved, failed } => format!(" Sessions moved off it: {moved}, failed: {failed}."),
        }
    }

    /// What stands at the end of a text about a server that serves no more.
    fn left(&self) -> String {
        format!(
            "{} left.{} {} sessions active, 0 requeued, 0 remaining in queue.",
            self.farm(),
            self.on_backup(),
            self.sessions
        )
    }
}

impl Reason {
    /// The same in fewer words, for people.
    pub fn brief(&self) -> String {
        let Self::Check(report) = self else {
            return self.to_string();
        };
        let code = report.code.map_or_else(String::new, |c| format!(" {c}"));
        let info = match &*report.info {
            "" => String::new(),
            info => format!(": {info}"),
        };
        let (what, took) = (report.status.description(), report.duration.as_millis());
        format!("{what}{code}{info} (in {took}ms)")
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
            Self::Reload => f.write_str("the configuration was reloaded"),
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
            Self::Address { host, ip, has } => match has {
                true => write!(f, "{host} has {ip} now"),
                false => write!(f, "{host} does not have {ip} any more"),
            },
            Self::Service { host } => write!(f, "{host} says so"),
        }
    }
}

impl ServerChange {
    /// The whole text.
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, reason, farm) = (self.subject(), &self.reason, self.farm());
        match self.to {
            State::Down => {
                let (left, cost) = (self.left(), self.cost());
                write!(f, "{subject} is DOWN, reason: {reason}. {left}{cost}")
            }
            State::Maintenance => {
                let left = self.left();
                write!(
                    f,
                    "{subject} is going DOWN for maintenance, reason: {reason}. {left}"
                )
            }
            State::Drain => {
                write!(
                    f,
                    "{subject} enters drain state, reason: {reason}. {farm} left."
                )
            }
            State::Up | State::Unchecked => {
                write!(
                    f,
                    "{subject} is UP, reason: {reason}. {farm} online.{} 0 sessions requeued, \
                     0 total in queue.",
                    self.on_backup(),
                )?;
                let held = self.held;
                held.map_or(Ok(()), |held| write!(f, " It is kept back because {held}."))
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDown(change)
            | Self::ServerUp(change)
            | Self::ServerDrain(change)
            | Self::ServerMaintenance(change) => change.tell(f),
            Self::RouteChanged {
                frontend, route, ..
            } => write!(f, "Frontend {frontend}: new sessions now go to {route}."),
            Self::BackendDown { backend } => {
                write!(f, "backend {backend} has no server available!")
            }
            Self::BackendUp {
                backend,
                without,
                failed,
            } => {
                let without = without.as_millis();
                write!(
                    f,
                    "backend {backend} has a server again, after {without}ms without one"
                )?;
                match failed {
                    0 => f.write_str("."),
                    1 => f.write_str("; 1 session failed meanwhile."),
                    failed => write!(f, "; {failed} sessions failed meanwhile."),
                }
            }
            Self::HookSucceeded(run) => write!(f, "Hook {} ran {run}.", run.hook),
            Self::HookFailed(run) => write!(f, "Hook {} failed {run}.", run.hook),
            Self::ServerReleased { server, held } => write!(
                f,
                "Server {server} is used again; it was kept back because {held}."
            ),
            Self::WeightChanged {
                server,
                from,
                to,
                reason,
            } => write!(
                f,
                "Server {server} has weight {to} in place of {from}, reason: {reason}."
            ),
            Self::AddressChanged {
                server,
                from: None,
                to,
                reason,
            } => write!(f, "Server {server} took {to}, reason: {reason}."),
            Self::AddressChanged {
                server,
                from: Some(from),
                to,
                reason,
            } => write!(
                f,
                "Server {server} has moved from {from} to {to}, reason: {reason}."
            ),
            Self::ChecksSwitched { server, on, reason } => {
                let how = if *on { "checked again" } else { "not checked" };
                write!(f, "Server {server} is {how} from now on, reason: {reason}.")
            }
            Self::AdminChanged {
                server,
                from,
                to,
                reason,
            } => write!(
                f,
                "Server {server} is wanted {to} in place of {from}, reason: {reason}. \
                 Its state stays what it is."
            ),
            Self::FrontendSwitched {
                frontend,
                on,
                reason,
            } => {
                let how = if *on { "enabled" } else { "paused" };
                write!(f, "Proxy {frontend} {how}, reason: {reason}.")
            }
            Self::Reloaded {
                who,
                changes,
                restart,
            } => reloaded(f, who, changes, restart),
            Self::ReloadFailed { who, reason } => write!(
                f,
                "Configuration not reloaded, reason: {who}. {reason}. Everything goes on as before."
            ),
            Self::SessionsEnded { on, count, why } => {
                let sessions = if *count == 1 { "session" } else { "sessions" };
                write!(
                    f,
                    "{count} {sessions} on {on} ended by force, reason: {why}."
                )
            }
        }
    }
}

impl fmt::Display for HookRun {
    /// For what it ran, and how.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.duration.as_millis();
        write!(
            f,
            "for event {} ({}), duration: {milliseconds}ms",
            self.number, self.on
        )?;
        if self.attempts > 1 {
            write!(f, ", attempts: {}", self.attempts)?;
        }
        if self.info.is_empty() {
            return Ok(());
        }
        write!(f, ", info: \"{}\"", self.info)
    }
}

fn reloaded(
    f: &mut fmt::Formatter<'_>,
    who: &str,
    changes: &[String],
    restart: &[String],
) -> fmt::Result {
    write!(
        f,
        "Configuration reloaded, reason: {who}. {}.",
        some(changes)
    )?;
    if restart.is_empty() {
        return Ok(());
    }
    write!(f, " Only a restart changes: {}.", some(restart))
}

/// The first few of what may be thousands.
pub fn some(sentences: &[String]) -> String {
    let told = sentences.iter().take(TOLD).map(String::as_str);
    let told = told.collect::<Vec<_>>().join("; ");
    match (sentences.len(), sentences.len().saturating_sub(TOLD)) {
        (0, _) => "Nothing has changed".to_owned(),
        (_, 0) => told,
        (_, more) => format!("{told}; and {more} more"),
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkedDown => f.write_str("it went down"),
            Self::PrimaryUp => f.write_str("a primary came up"),
            Self::Operator { who } => write!(f, "set by {who}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::topology::status::{CheckReport, CheckStatus};

    fn change(backup: bool, status: CheckStatus, info: &str) -> ServerChange {
        ServerChange {
            server: "b/s".into(),
            backup,
            from: State::Up,
            to: State::Down,
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
            toll: Toll::default(),
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
        let mut costly = change(false, CheckStatus::L4Connection, "");
        costly.toll = Toll {
            moved: 7,
            failed: 1,
        };
        let text = Event::ServerDown(costly).to_string();
        assert!(text.ends_with("remaining in queue. Sessions moved off it: 7, failed: 1."));
        let brief = "Layer4 connection problem: Connection refused (in 0ms)";
        let cause = change(false, CheckStatus::L4Connection, "Connection refused").reason;
        assert_eq!(cause.brief(), brief);
        let up = ServerChange {
            to: State::Up,
            ..change(true, CheckStatus::L4Ok, "")
        };
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
