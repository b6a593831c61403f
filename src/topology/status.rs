//! What is known of one server, for people: its state, its last check and its history.
//!
//! Workers never read this; they read [`super::usable::UsableSet`], which is computed from it.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use super::slot::{ServiceRecord, Slot};
use crate::health::flap::Bounces;
use crate::health::judge::CheckHealth;

/// Whether a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has no check and is taken as up.
    Unchecked,
    /// Its checks pass, or have not failed often enough yet.
    Up,
    /// Its checks fail, or its name does not resolve.
    Down,
    /// Up, but it gets no new sessions because somebody wants it so.
    Drain,
    /// Taken out by somebody: no new sessions and no checks.
    Maintenance,
}

/// What somebody wants of a server, regardless of its checks; the last one is the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// That it serves.
    #[default]
    Ready,
    /// That it gets no new sessions.
    Drain,
    /// That it gets no new sessions and no checks.
    Maintenance,
}

/// Whether somebody wants a server checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checking {
    /// Yes.
    Wanted,
    /// No: its checks stand still, and its state stays what they have found.
    Unwanted,
}

/// What a server's own agent says (configuration.txt, "agent-check").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentVerdict {
    /// What it wants of the server.
    pub admin: Admin,
    /// Why the server is down, if the agent says that it is.
    pub down: Option<String>,
}

/// What a check found, in HAProxy's words (management.txt, `check_status`; `src/check.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// The check could not be made, for want of an address for instance.
    SocketError,
    /// The check could not be made because the proxy has run out of something, which says
    /// nothing about the server.
    Shortage,
    /// The connection stands and no more was asked for.
    L4Ok,
    /// The connection was not made in time.
    L4Timeout,
    /// The connection was refused or could not be routed.
    L4Connection,
    /// TLS works and no more was asked for.
    L6Ok,
    /// TLS was not agreed on in time.
    L6Timeout,
    /// What came in answer is not TLS, or not a TLS that is trusted.
    L6Response,
    /// The server answered as it should.
    L7Ok,
    /// The answer did not come in time.
    L7Timeout,
    /// The answer is not one of the protocol, or there was none.
    L7Response,
    /// The answer says that the server does not work, or is not what is wanted.
    L7Status,
    /// The program ended by exit code 0.
    ProcessOk,
    /// The program did not end in time and was killed.
    ProcessTimeout,
    /// The program did not run, or ended otherwise than by exit code 0.
    ProcessError,
}

impl CheckStatus {
    /// Whether the server passed.
    pub fn passed(self) -> bool {
        matches!(self, Self::L4Ok | Self::L6Ok | Self::L7Ok | Self::ProcessOk)
    }

    /// The short code of the CSV field `check_status`.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// The description of the CSV field `check_desc`.
    pub fn description(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::SocketError | Self::Shortage => ("SOCKERR", "Socket error"),
            Self::L4Ok => ("L4OK", "Layer4 check passed"),
            Self::L4Timeout => ("L4TOUT", "Layer4 timeout"),
            Self::L4Connection => ("L4CON", "Layer4 connection problem"),
            Self::L6Ok => ("L6OK", "Layer6 check passed"),
            Self::L6Timeout => ("L6TOUT", "Layer6 timeout"),
            Self::L6Response => ("L6RSP", "Layer6 invalid response"),
            Self::L7Ok => ("L7OK", "Layer7 check passed"),
            Self::L7Timeout => ("L7TOUT", "Layer7 timeout"),
            Self::L7Response => ("L7RSP", "Layer7 invalid response"),
            Self::L7Status => ("L7STS", "Layer7 wrong status"),
            Self::ProcessOk => ("PROCOK", "External check passed"),
            Self::ProcessTimeout => ("PROCTOUT", "External check timeout"),
            Self::ProcessError => ("PROCERR", "External check error"),
        }
    }
}

/// One finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// What it found.
    pub status: CheckStatus,
    /// The number that the server or program answered, where its protocol has one: an HTTP or
    /// SMTP status, a MySQL error, an LDAP result, an exit code (`check_code`).
    pub code: Option<u16>,
    /// The evidence, such as `Connection refused`; empty when there is none.
    pub info: String,
    /// How long the check took.
    pub duration: Duration,
}

/// Why a server that is up does not get sessions while others can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// It has to stay up for a while first (`failback`).
    Failback,
    /// It went up and down too often (`flap_damping`).
    Flapping,
    /// It accepted sessions but did not answer them (`silence`).
    Silent,
}

/// A server's time of probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When it ends; `None` is when the operator says so.
    pub until: Option<Instant>,
    /// Why it began.
    pub reason: HoldReason,
}

/// All that is known of a server.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    /// Whether it serves.
    pub state: State,
    /// Its check's counter; `None` without a check.
    pub check: Option<CheckHealth>,
    /// What the operator wants.
    pub admin: Admin,
    /// The operator's or the agent's weight, in place of the configured one.
    pub weight: Option<u16>,
    /// The address that the operator has set, in place of what its name resolves to.
    pub address: Option<SocketAddr>,
    /// What its agent says.
    pub agent: AgentVerdict,
    /// Whether it has no address because its name does not resolve.
    pub unresolved: bool,
    /// Whether it is one of a template that waits for an address.
    pub slot: Slot,
    /// The SRV record that its address is from.
    pub record: Option<ServiceRecord>,
    /// Whether it takes over another server's verdict.
    pub tracks: bool,
    /// Whether the server that it tracks is down.
    pub tracked_down: bool,
    /// The last finished check.
    pub last_check: Option<CheckReport>,
    /// Failed checks while the server was up (`chkfail`).
    pub failed_checks: u64,
    /// Changes from up to down (`chkdown`).
    pub downs: u64,
    /// Whether the operator wants it checked.
    pub checking: Checking,
    /// When `state` last changed.
    pub since: Instant,
    /// Why `state` last changed, in words; `None` if it never has.
    pub cause: Option<String>,
    /// Time spent down before `since`.
    pub past_downtime: Duration,
    /// Set while the server is up but on probation.
    pub hold: Option<Hold>,
    /// When it began to take on more and more sessions; `None` when it has its full share.
    pub slowstart: Option<Instant>,
    /// Whether it last went down because it accepted sessions without answering them.
    pub was_silent: bool,
    /// How often it came back lately.
    pub bounces: Bounces,
    /// What had been counted when it was last found well, or changed its state.
    pub toll_before: Toll,
}

/// What a server's trouble has cost its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Toll {
    /// Sessions that could not connect to it and went on to another server.
    pub moved: u64,
    /// Sessions that got no server, this one last, or that it broke.
    pub failed: u64,
}

impl Toll {
    /// What has come since `before`; nothing if the counters were cleared meanwhile.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            moved: self.moved.saturating_sub(before.moved),
            failed: self.failed.saturating_sub(before.failed),
        }
    }
}

impl fmt::Display for Admin {
    /// As the runtime API names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maint",
        })
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failback => "sessions have not been allowed to go back to it yet",
            Self::Flapping => "it came and went too often",
            Self::Silent => "it had accepted sessions without answering them",
        })
    }
}

impl ServerStatus {
    /// The status at the start.
    pub fn new(check: Option<CheckHealth>, now: Instant) -> Self {
        let state = match check {
            None => State::Unchecked,
            Some(check) if check.is_up() => State::Up,
            Some(_) => State::Down,
        };
        Self {
            state,
            check,
            admin: Admin::Ready,
            weight: None,
            address: None,
            agent: AgentVerdict::default(),
            unresolved: false,
            slot: Slot::Taken,
            record: None,
            tracks: false,
            tracked_down: false,
            last_check: None,
            failed_checks: 0,
            checking: Checking::Wanted,
            downs: 0,
            since: now,
            cause: None,
            past_downtime: Duration::ZERO,
            hold: None,
            slowstart: None,
            was_silent: false,
            bounces: Bounces::default(),
            toll_before: Toll::default(),
        }
    }

    /// The state that follows from everything that is known.
    pub fn effective(&self) -> State {
        let failed = self.check.is_some_and(|check| !check.is_up());
        let down = failed || self.unresolved || self.tracked_down || self.agent.down.is_some();
        match self.admin.max(self.agent.admin) {
            Admin::Maintenance => State::Maintenance,
            _ if self.slot != Slot::Taken => State::Maintenance,
            _ if down => State::Down,
            Admin::Drain => State::Drain,
            Admin::Ready if self.check.is_none() && !self.tracks => State::Unchecked,
            Admin::Ready => State::Up,
        }
    }

    /// Takes on a new state at `now`; does nothing if it is the state already.
    pub fn change(&mut self, state: State, now: Instant) {
        if state == self.state {
            return;
        }
        if self.state == State::Down {
            self.past_downtime += now.duration_since(self.since);
        }
        if state == State::Down {
            self.downs += 1;
        }
        self.state = state;
        self.since = now;
    }

    /// All time spent down, up to `now`.
    pub fn downtime(&self, now: Instant) -> Duration {
        match self.state {
            State::Down => self.past_downtime + now.duration_since(self.since),
            _ => self.past_downtime,
        }
    }
}

impl fmt::Display for ServerStatus {
    /// The status word of the stats page: `UP`, `UP 1/3`, `NOLB` (on probation), `DOWN`,
    /// `DOWN 1/2`, `DOWN (agent)`, `DRAIN`, `MAINT`, `MAINT (resolution)` (no address), `no check`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.state, self.check) {
            (State::Maintenance, _) if self.awaits_address() => f.write_str("MAINT (resolution)"),
            (State::Maintenance, _) => f.write_str("MAINT"),
            (State::Drain, _) => f.write_str("DRAIN"),
            (State::Unchecked, _) => f.write_str("no check"),
            (State::Up, _) if self.hold.is_some() => f.write_str("NOLB"),
            (State::Up, Some(c)) if c.health < c.rise + c.fall - 1 => {
                // A check is noted before the state that follows from it; the stats page may be
                // made between the two.
                let left = (c.health + 1).saturating_sub(c.rise);
                write!(f, "UP {left}/{}", c.fall)
            }
            (State::Up, _) => f.write_str("UP"),
            (State::Down, _) if self.agent.down.is_some() => f.write_str("DOWN (agent)"),
            (State::Down, Some(c)) if c.health > 0 => write!(f, "DOWN {}/{}", c.health, c.rise),
            (State::Down, _) => f.write_str("DOWN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(health: u32) -> ServerStatus {
        ServerStatus::new(
            Some(CheckHealth {
                health,
                rise: 2,
                fall: 3,
            }),
            Instant::now(),
        )
    }

    #[test]
    fn a_failed_check_may_be_noted_before_the_state_changes() {
        let mut up = status(4);
        up.state = State::Up;
        up.check = status(0).check;
        assert_eq!(up.to_string(), "UP 0/3");
    }

    #[test]
    fn status_words() {
        assert_eq!(status(4).to_string(), "UP");
        assert_eq!(status(2).to_string(), "UP 1/3");
        let mut down = status(1);
        down.change(State::Down, Instant::now());
        assert_eq!(down.to_string(), "DOWN 1/2");
        down.check = Some(CheckHealth {
            health: 0,
            rise: 2,
            fall: 3,
        });
        assert_eq!(down.to_string(), "DOWN");
        assert_eq!(
            ServerStatus::new(None, Instant::now()).to_string(),
            "no check"
        );
    }

    #[test]
    fn maintenance_outranks_failure_and_failure_outranks_drain() {
        let mut status = status(0);
        assert_eq!(status.effective(), State::Down);
        status.agent.admin = Admin::Drain;
        assert_eq!(status.effective(), State::Down);
        status.admin = Admin::Maintenance;
        assert_eq!(status.effective(), State::Maintenance);
        status.admin = Admin::Ready;
        status.check = None;
        assert_eq!(status.effective(), State::Drain);
        status.agent = AgentVerdict::default();
        assert_eq!(status.effective(), State::Unchecked);
        status.tracked_down = true;
        assert_eq!(status.effective(), State::Down);
    }

    #[test]
    fn downtime_adds_up_over_outages() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut status = ServerStatus::new(None, start);
        status.change(State::Down, at(10));
        status.change(State::Down, at(11));
        status.change(State::Up, at(15));
        status.change(State::Down, at(20));
        assert_eq!(status.downs, 2);
        assert_eq!(status.downtime(at(23)), Duration::from_secs(8));
    }
}
