//! One server's part, to and from its status.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Clock;
use crate::health::flap::Bounces;
use crate::topology::Server;
use crate::topology::status::{
    Admin, AgentVerdict, CheckReport, CheckStatus, Checking, Hold, HoldReason, ServerStatus, State,
};

/// What outlives a process of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedServer {
    /// As configured, `host:port`: a server with another address is another server.
    address: String,
    state: State,
    /// When `state` last changed, in milliseconds since 1970.
    since: u64,
    /// What its checks found, if it has any and they found it down. A server that was up has to
    /// show that it is, as at any start.
    down: Option<SavedCheck>,
    /// What the operator wants.
    admin: Admin,
    /// Whether the operator wants it checked.
    checked: bool,
    /// The operator's or the agent's weight.
    weight: Option<u16>,
    /// What `weight` took the place of: a configuration that says something new wins.
    configured_weight: u16,
    /// The address of one of a template, which its name may have given to another by now.
    #[serde(default)]
    at: Option<SocketAddr>,
    /// The operator's address.
    moved_to: Option<SocketAddr>,
    /// What its agent wants.
    agent_admin: Admin,
    /// Why it is down, if the agent says so.
    agent_down: Option<String>,
    /// Its probation.
    hold: Option<SavedHold>,
    /// Whether it last went down because it did not answer.
    silent: bool,
    /// Recoveries that count as flapping, and when the last one was.
    bounces: Option<(f64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCheck {
    health: u32,
    status: CheckStatus,
    code: Option<u16>,
    info: String,
    duration_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedHold {
    /// In milliseconds since 1970; `None` is when the operator says so.
    until: Option<u64>,
    reason: HoldReason,
}

impl SavedServer {
    /// What is known of `server` now.
    pub fn of(server: &Server, clock: Clock) -> Self {
        let status = server.status();
        let hold = |hold: Hold| SavedHold {
            until: hold.until.map(|until| clock.to_ms(until)),
            reason: hold.reason,
        };
        Self {
            address: address(server),
            state: status.state,
            since: clock.to_ms(status.since),
            down: SavedCheck::of(&status),
            admin: status.admin,
            checked: status.checking == Checking::Wanted,
            weight: status.weight,
            configured_weight: server.config.weight,
            at: server.address().filter(|_| server.config.slot.is_some()),
            moved_to: status.address,
            agent_admin: status.agent.admin,
            agent_down: status.agent.down,
            hold: status.hold.map(hold),
            silent: status.was_silent,
            bounces: status
                .bounces
                .counted()
                .map(|(count, at)| (count, clock.to_ms(at))),
        }
    }

    /// Has `server` begin with it. Returns what is ignored of it, and why.
    pub fn apply(&self, server: &Server, clock: Clock) -> Option<String> {
        if self.address != address(server) {
            return Some(format!("it was at {} then", self.address));
        }
        let weight_holds = self.configured_weight == server.config.weight;
        let is_slot = server.config.slot.is_some();
        let at = self.moved_to.or(self.at.filter(|_| is_slot));
        if let Some(at) = at {
            server.set_address(at);
            server.update(|status| status.occupy(None));
        }
        // What was found of a machine is of no use without its address.
        let known = !is_slot || at.is_some();
        server.update(|status| {
            status.admin = self.admin;
            if !self.checked {
                status.checking = Checking::Unwanted;
            }
            if weight_holds {
                status.weight = self.weight.map(|weight| weight.min(256));
            }
            status.address = self.moved_to;
            if server.config.agent.is_some() {
                status.agent = AgentVerdict {
                    admin: self.agent_admin,
                    down: self.agent_down.clone(),
                };
            }
            if let Some(down) = self.down.as_ref().filter(|_| known) {
                down.apply(status);
            }
            status.was_silent = self.silent;
            status.bounces = self.bounces.map_or_else(Bounces::default, |(count, at)| {
                Bounces::counted_at(count, clock.past(at))
            });
            status.state = status.effective();
            if status.state == self.state {
                status.since = clock.past(self.since);
            }
            status.hold = self.hold.as_ref().map(|hold| Hold {
                until: hold.until.map(|until| clock.future(until)),
                reason: hold.reason,
            });
        });
        (!weight_holds && self.weight.is_some()).then(|| {
            let then = self.configured_weight;
            format!("its weight, because the configured one was {then} then")
        })
    }
}

fn address(server: &Server) -> String {
    let address = &server.config.address;
    format!("{}:{}", address.host, address.port)
}

impl SavedCheck {
    fn of(status: &ServerStatus) -> Option<Self> {
        let check = status.check.filter(|check| !check.is_up())?;
        let last = status.last_check.as_ref()?;
        Some(Self {
            health: check.health,
            status: last.status,
            code: last.code,
            info: last.info.clone(),
            duration_ms: last.duration.as_millis() as u64,
        })
    }

    fn apply(&self, status: &mut ServerStatus) {
        let Some(check) = &mut status.check else {
            return;
        };
        check.health = self.health.min(check.rise - 1);
        status.last_check = Some(CheckReport {
            status: self.status,
            code: self.code,
            info: self.info.clone(),
            duration: Duration::from_millis(self.duration_ms),
        });
    }
}
