//! What somebody wants of servers, frontends and counters.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::Supervisor;
use crate::events::{Event, Reason};
use crate::topology::status::{Admin, Checking};
use crate::topology::{Frontend, Server};

impl Supervisor {
    /// Takes what `who` wants of a server. Calling it ready also ends its probation.
    pub fn set_admin(self: &Rc<Self>, server: &Arc<Server>, admin: Admin, who: &str) {
        let (from, before) = server.update(|status| {
            let from = std::mem::replace(&mut status.admin, admin);
            (from, status.state)
        });
        let who = who.to_owned();
        let reason = Reason::Operator { who };
        self.settle(server, reason.clone());
        if let (Admin::Ready, Some(hold)) = (admin, server.status().hold) {
            self.release(server, hold);
        }
        if admin == Admin::Ready && server.status().awaits_address() {
            server.ask_for_check();
        }
        if from != admin && server.status().state == before {
            self.journal.record(Event::AdminChanged {
                server: server.path.clone(),
                from,
                to: admin,
                reason,
            });
        }
    }

    /// Takes a server's new weight, 0 to 256; `None` is the configured one.
    pub fn set_weight(self: &Rc<Self>, server: &Arc<Server>, weight: Option<u16>, reason: Reason) {
        let from = server.weight();
        server.update(|status| status.weight = weight.map(|weight| weight.min(256)));
        let to = server.weight();
        if from == to {
            return;
        }
        self.journal.record(Event::WeightChanged {
            server: server.path.clone(),
            from,
            to,
            reason,
        });
        let turn = self.recompute(server, Instant::now());
        self.announce_turn(turn);
        self.announce_routes();
    }

    /// Sets how many sessions a server may have; 0 is no limit.
    pub fn set_server_maxconn(&self, server: &Server, most: u32, reason: &Reason) {
        if let Some(backend) = self.backend(server).filter(|_| server.maxconn() != most) {
            backend.set_maxconn(server, most);
            let what = format!("Server {}: maxconn is {most} now", server.path);
            tracing::info!(target: "event", "{what}, reason: {reason}.");
        }
    }

    /// Sets how many sessions a frontend may have; 0 is no limit of its own.
    pub fn set_frontend_maxconn(&self, frontend: &Frontend, most: u32, who: &str) {
        frontend.set_maxconn(most);
        let name = &frontend.config.name;
        tracing::info!(target: "event", "Frontend {name}: maxconn is {most} now, reason: set by {who}.");
    }

    /// Sets how many sessions the process may have, as far as its descriptors are enough.
    pub fn set_process_maxconn(&self, most: u32, who: &str) {
        self.current.load().admission.set_maxconn(most);
        let most = self.current.load().admission.maxconn();
        tracing::info!(target: "event", "The process's maxconn is {most} now, reason: set by {who}.");
    }

    /// Takes a server's new address from `who`; what its name resolves to counts no more.
    pub fn move_server(self: &Rc<Self>, server: &Arc<Server>, address: SocketAddr, who: &str) {
        server.update(|status| status.address = Some(address));
        let who = who.to_owned();
        self.set_address(server, address, Reason::Operator { who });
    }

    /// Takes a server's agent as saying that it is up or down, until the agent says otherwise.
    pub fn set_agent_health(self: &Rc<Self>, server: &Arc<Server>, up: bool, who: &str) {
        server.update(|status| status.agent.down = (!up).then(|| format!("set by {who}")));
        let who = who.to_owned();
        self.settle(server, Reason::Operator { who });
    }

    /// Takes a server as up or down, as if its checks had found it so. The checks go on, and may
    /// find otherwise.
    pub fn set_health(self: &Rc<Self>, server: &Arc<Server>, up: bool, who: &str) {
        server.update(|status| {
            if let Some(check) = &mut status.check {
                check.health = if up { check.maximum() } else { 0 };
            }
        });
        let who = who.to_owned();
        self.settle(server, Reason::Operator { who });
    }

    /// Has a server checked or not.
    pub fn switch_checks(&self, server: &Server, on: bool, who: &str) {
        let checking = if on {
            Checking::Wanted
        } else {
            Checking::Unwanted
        };
        if server.update(|status| std::mem::replace(&mut status.checking, checking)) == checking {
            return;
        }
        server.ask_for_check();
        let who = who.to_owned();
        self.journal.record(Event::ChecksSwitched {
            server: server.path.clone(),
            on,
            reason: Reason::Operator { who },
        });
    }

    /// Has a frontend accept sessions or not. Returns whether that is a change.
    pub fn switch_frontend(&self, frontend: &Frontend, on: bool, who: &str) -> bool {
        let changed = frontend.switch(on);
        if changed {
            let who = who.to_owned();
            self.journal.record(Event::FrontendSwitched {
                frontend: frontend.config.name.clone(),
                on,
                reason: Reason::Operator { who },
            });
        }
        changed
    }

    /// Begins all maxima anew, and with `all` everything that counts up
    /// (management.txt, "clear counters").
    pub fn clear_counters(&self, all: bool, who: &str) {
        let topology = self.current.get();
        let frontends = topology.frontends.iter().map(|frontend| &frontend.counters);
        let backends = topology.backends.iter().map(|backend| &backend.counters);
        let servers = topology.servers().map(|server| &server.counters);
        for counters in frontends.chain(backends).chain(servers) {
            if all {
                counters.clear();
            } else {
                counters.clear_maxima();
            }
        }
        topology
            .backends
            .iter()
            .for_each(|b| b.queue.clear_maximum());
        if all {
            topology.retired.clear();
            for server in topology.servers() {
                server.update(|status| (status.failed_checks, status.downs) = (0, 0));
            }
        }
        let what = if all { "All counters" } else { "The maxima" };
        tracing::info!(target: "event", "{what} were cleared, reason: set by {who}.");
    }
}

/// A weight from 0 to 256, or a share of the configured one (`src/server.c`,
/// `server_parse_weight_change_request`).
///
/// # Errors
/// What is wrong with it, in HAProxy's words.
pub fn weight(word: &str, configured: u16) -> Result<u16, &'static str> {
    if word.is_empty() {
        return Err("Require <weight> or <weight%>.");
    }
    let (digits, percent) = match word.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("Empty weight string empty or preceded by garbage");
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Trailing garbage in weight string");
    }
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    match (number, percent) {
        (0..=256, false) => Ok(number as u16),
        (_, false) => Err("Absolute weight can only be between 0 and 256 inclusive."),
        (_, true) => {
            let share = u64::from(configured).saturating_mul(number) / 100;
            Ok(share.min(256) as u16)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_numbers_or_shares() {
        assert_eq!(weight("0", 100), Ok(0));
        assert_eq!(weight("256", 100), Ok(256));
        assert_eq!(weight("50%", 100), Ok(50));
        assert_eq!(weight("50%", 1), Ok(0));
        assert_eq!(weight("1000%", 100), Ok(256));
        assert_eq!(weight("99999999999999999999%", 256), Ok(256));
        for (word, refusal) in [
            ("", "Require <weight> or <weight%>."),
            ("abc", "Empty weight string empty or preceded by garbage"),
            ("-1", "Empty weight string empty or preceded by garbage"),
            ("%", "Empty weight string empty or preceded by garbage"),
            ("10x", "Trailing garbage in weight string"),
            (
                "257",
                "Absolute weight can only be between 0 and 256 inclusive.",
            ),
        ] {
            assert_eq!(weight(word, 1), Err(refusal), "{word}");
        }
    }
}
