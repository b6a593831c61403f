//! An event with its number and its time, and its JSON form.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Ended, Event, Place, Reason, ServerChange};
use crate::topology::status::State;

/// An event that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1 for the first event of the process, then one more for each.
    pub number: u64,
    /// When it was recorded.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// When it was recorded, in UTC and milliseconds (RFC 3339).
    pub fn time(&self) -> String {
        let form = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let at = OffsetDateTime::from(self.at);
        at.format(form).unwrap_or_default()
    }

    /// One line of JSON, without the line's end.
    pub fn json(&self) -> String {
        serde_json::to_string(&Fields::of(self)).unwrap_or_default()
    }

    /// The same as a value whose members can be looked at.
    pub fn value(&self) -> serde_json::Value {
        serde_json::to_value(Fields::of(self)).unwrap_or_default()
    }
}

/// A record as JSON. What does not apply is left out.
#[derive(Debug, Serialize)]
struct Fields<'a> {
    number: u64,
    time: String,
    kind: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frontend: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause<'a>>,
    /// Open on the server, or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    /// Why it gets none although it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usable_primaries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usable_backups: Option<u32>,
    /// Sessions that could not connect to the server and went to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_moved: Option<u64>,
    /// Sessions that the server broke, or that got none.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_server_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<&'a str>,
    /// What a reload has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [String]>,
    text: String,
}

/// Why something happened, with the evidence.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Cause<'a> {
    Check {
        status: &'static str,
        description: &'static str,
        /// What the server or program answered, such as an HTTP status.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        info: &'a str,
        duration_ms: u64,
    },
    Operator {
        who: &'a str,
    },
    Agent {
        info: &'a str,
    },
    Tracked {
        server: &'a str,
    },
    Reload,
    Errors,
    Silence,
    Name {
        host: &'a str,
        resolves: bool,
    },
    Address {
        host: &'a str,
        address: IpAddr,
        has: bool,
    },
    Service {
        host: &'a str,
    },
    MarkedDown,
    PrimaryUp,
    Held {
        info: String,
    },
    Route {
        info: &'a str,
    },
    /// The event that a hook ran for, and how that went.
    Event {
        number: u64,
        on: &'a str,
        attempts: u32,
        duration_ms: u64,
        info: &'a str,
    },
}

impl<'a> Fields<'a> {
    fn of(record: &'a Record) -> Self {
        let event = &record.event;
        let mut fields = Self::about(event);
        fields.number = record.number;
        fields.time = record.time();
        fields.tell(event);
        fields
    }

    /// What every event has.
    fn about(event: &'a Event) -> Self {
        let (mut frontend, mut backend, mut server, mut hook) = (None, None, None, None);
        match event.place() {
            Place::Frontend(name) => frontend = Some(name),
            Place::Backend(name) => backend = Some(name),
            Place::Server(of, name) => (backend, server) = (Some(of), Some(name)),
            Place::Hook(name) => hook = Some(name),
            Place::Everything => {}
        }
        Self {
            number: 0,
            time: String::new(),
            kind: event.kind(),
            severity: event.severity().word(),
            frontend,
            backend,
            server,
            from: None,
            to: None,
            cause: None,
            sessions: None,
            held: None,
            usable_primaries: None,
            usable_backups: None,
            sessions_moved: None,
            sessions_failed: None,
            without_server_ms: None,
            hook,
            changes: None,
            text: event.to_string(),
        }
    }

    /// What this kind of event has.
    fn tell(&mut self, event: &'a Event) {
        match event {
            Event::ServerDown(change)
            | Event::ServerUp(change)
            | Event::ServerDrain(change)
            | Event::ServerMaintenance(change) => self.change(change),
            Event::ServerReleased { held, .. } => {
                self.cause = Some(Cause::Held {
                    info: held.to_string(),
                });
            }
            Event::WeightChanged {
                from, to, reason, ..
            } => self.moved(from, to, reason),
            Event::AddressChanged {
                from, to, reason, ..
            } => {
                self.from = from.map(|from| from.to_string());
                self.to = Some(to.to_string());
                self.cause = Some(reason.into());
            }
            Event::ChecksSwitched { on, reason, .. } => {
                let word = |on| if on { "on" } else { "off" };
                self.moved(&word(!on), &word(*on), reason);
            }
            Event::AdminChanged {
                from, to, reason, ..
            } => self.moved(from, to, reason),
            Event::FrontendSwitched { on, reason, .. } => {
                let word = |on| if on { "OPEN" } else { "PAUSED" };
                self.moved(&word(!on), &word(*on), reason);
            }
            Event::SessionsEnded { count, why, .. } => {
                self.sessions = Some(*count);
                self.cause = Some(why.into());
            }
            Event::RouteChanged {
                from, to, route, ..
            } => {
                (self.from, self.to) = (Some(from.clone()), Some(to.clone()));
                self.cause = Some(Cause::Route { info: route });
            }
            Event::BackendDown { .. } => {}
            Event::Reloaded { who, changes, .. } => {
                self.cause = Some(Cause::Operator { who });
                self.changes = Some(changes);
            }
            Event::ReloadFailed { who, .. } => self.cause = Some(Cause::Operator { who }),
            Event::BackendUp {
                without, failed, ..
            } => {
                self.without_server_ms = Some(milliseconds(*without));
                self.sessions_failed = Some(*failed);
            }
            Event::HookSucceeded(run) | Event::HookFailed(run) => {
                self.cause = Some(Cause::Event {
                    number: run.number,
                    on: &run.on,
                    attempts: run.attempts,
                    duration_ms: milliseconds(run.duration),
                    info: &run.info,
                });
            }
        }
    }

    fn change(&mut self, change: &'a ServerChange) {
        self.moved(&word(change.from), &word(change.to), &change.reason);
        self.sessions = Some(change.sessions as usize);
        self.sessions_moved = Some(change.toll.moved);
        self.sessions_failed = Some(change.toll.failed);
        self.held = change.held.map(|held| held.to_string());
        self.usable_primaries = Some(change.primaries);
        self.usable_backups = Some(change.backups);
    }

    fn moved(&mut self, from: &impl ToString, to: &impl ToString, reason: &'a Reason) {
        self.from = Some(from.to_string());
        self.to = Some(to.to_string());
        self.cause = Some(reason.into());
    }
}

impl<'a> From<&'a Reason> for Cause<'a> {
    fn from(reason: &'a Reason) -> Self {
        match reason {
            Reason::Check(report) => Self::Check {
                status: report.status.code(),
                description: report.status.description(),
                code: report.code,
                info: &report.info,
                duration_ms: milliseconds(report.duration),
            },
            Reason::Operator { who } => Self::Operator { who },
            Reason::Agent { why } => Self::Agent { info: why },
            Reason::Tracked { server } => Self::Tracked { server },
            Reason::Reload => Self::Reload,
            Reason::Errors => Self::Errors,
            Reason::Silence => Self::Silence,
            Reason::Name { host, resolves } => Self::Name {
                host,
                resolves: *resolves,
            },
            Reason::Address { host, ip, has } => Self::Address {
                host,
                address: *ip,
                has: *has,
            },
            Reason::Service { host } => Self::Service { host },
        }
    }
}

impl<'a> From<&'a Ended> for Cause<'a> {
    fn from(why: &'a Ended) -> Self {
        match why {
            Ended::MarkedDown => Self::MarkedDown,
            Ended::PrimaryUp => Self::PrimaryUp,
            Ended::Operator { who } => Self::Operator { who },
        }
    }
}

/// A server's state as the stats page names it.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Unchecked => "no check",
        State::Up => "UP",
        State::Down => "DOWN",
        State::Drain => "DRAIN",
        State::Maintenance => "MAINT",
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::status::{CheckReport, CheckStatus, Toll};

    fn record(event: Event) -> Record {
        Record {
            number: 7,
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            event,
        }
    }

    #[test]
    fn a_server_that_went_down_is_told_with_the_evidence() {
        let change = ServerChange {
            server: "bk/s1".into(),
            backup: false,
            from: State::Up,
            to: State::Down,
            reason: Reason::Check(CheckReport {
                status: CheckStatus::L4Connection,
                code: None,
                info: "Connection \"refused\"".into(),
                duration: Duration::from_millis(3),
            }),
            primaries: 1,
            backups: 0,
            on_backup: false,
            sessions: 5,
            toll: Toll {
                moved: 2,
                failed: 1,
            },
            held: None,
        };
        assert_eq!(
            record(change.event()).json(),
            r#"{"number":7,"time":"2023-11-14T22:13:20.123Z","kind":"server_down","#.to_owned()
                + r#""severity":"warning","backend":"bk","server":"s1","from":"UP","to":"DOWN","#
                + r#""cause":{"kind":"check","status":"L4CON","#
                + r#""description":"Layer4 connection problem","#
                + r#""info":"Connection \"refused\"","duration_ms":3},"sessions":5,"#
                + r#""usable_primaries":1,"usable_backups":0,"sessions_moved":2,"sessions_failed":1,"text":"Server bk/s1 is DOWN, "#
                + r#"reason: Layer4 connection problem, info: \"Connection \"refused\"\", "#
                + "check duration: 3ms. 1 active and 0 backup servers left. "
                + r#"5 sessions active, 0 requeued, 0 remaining in queue. Sessions moved off it: 2, failed: 1."}"#
        );
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let up = Event::BackendUp {
            backend: "bk".into(),
            without: Duration::from_millis(1_234),
            failed: 0,
        };
        assert_eq!(
            record(up).json(),
            r#"{"number":7,"time":"2023-11-14T22:13:20.123Z","kind":"backend_up","#.to_owned()
                + r#""severity":"notice","backend":"bk","sessions_failed":0,"without_server_ms":1234,"#
                + r#""text":"backend bk has a server again, after 1234ms without one."}"#
        );
        let moved = Event::RouteChanged {
            frontend: "ft".into(),
            from: "a (primaries)".into(),
            to: "b (primaries)".into(),
            route: "b: x holds".into(),
        };
        let json = record(moved).json();
        assert!(
            json.contains(r#""frontend":"ft","from":"a (primaries)""#),
            "{json}"
        );
        assert!(!json.contains("\"backend\""), "{json}");
    }
}
