//! What a server that comes back has to go through before it has its full share again.
//!
//! A server on probation is up, and gets sessions when no other server of its backend can; see
//! [`crate::topology::usable`].

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Supervisor;
use crate::config::BackendConfig;
use crate::config::policy::{Failback, FlapDamping};
use crate::events::Event;
use crate::topology::status::{Hold, HoldReason, ServerStatus, State};
use crate::topology::{Backend, Server};

/// How a server that was silent is kept away: it passes its checks, so only time can tell.
const SILENCE_DAMPING: FlapDamping = FlapDamping {
    penalty: Duration::from_secs(10),
    max: Duration::from_secs(300),
    half_life: Duration::from_secs(600),
};

/// How often a slow start's share grows.
const SLOWSTART_STEPS: u32 = 20;

impl Supervisor {
    /// Puts a server that has just come up on probation, if it had `failed`, or on a slow
    /// start, as configured.
    pub(super) fn recover(self: &Rc<Self>, server: &Arc<Server>, failed: bool, now: Instant) {
        let backend = self.backend(server);
        let hold = server.update(|status| {
            status.hold = backend.filter(|_| failed).and_then(|backend| {
                let takes_from_nobody = server.config.backup || backend.usable().ready() == 0;
                probation(&backend.config, takes_from_nobody, status, now)
            });
            status.slowstart = server.config.policy.slowstart.map(|_| now);
            status.hold
        });
        match hold {
            None => self.start_slowly(server, now),
            Some(hold) => self.release_in_time(server, hold),
        }
    }

    /// Lets the probations that were there at the start come to their ends.
    pub fn resume_probations(self: &Rc<Self>) {
        for server in self.current.get().servers() {
            if let Some(hold) = server.status().hold {
                self.release_in_time(server, hold);
            }
        }
    }

    fn release_in_time(self: &Rc<Self>, server: &Arc<Server>, hold: Hold) {
        // Without a time the operator releases it.
        let Some(until) = hold.until else { return };
        let (supervisor, server) = (Rc::clone(self), Arc::clone(server));
        tokio::task::spawn_local(async move {
            tokio::time::sleep_until(until.into()).await;
            supervisor.release(&server, hold);
        });
    }

    /// Ends a probation, unless the server has gone down and got another one since.
    pub(super) fn release(self: &Rc<Self>, server: &Arc<Server>, hold: Hold) {
        let (server, now) = (&self.latest(server), Instant::now());
        let released = server.update(|status| {
            let ends = status.hold == Some(hold) && status.state != State::Down;
            if ends {
                status.hold = None;
                status.slowstart = server.config.policy.slowstart.map(|_| now);
            }
            ends
        });
        if released {
            let turn = self.recompute(server, now);
            self.journal.record(Event::ServerReleased {
                server: server.path.clone(),
                held: hold.reason,
            });
            self.announce_turn(turn);
            self.announce_routes();
            self.start_slowly(server, now);
            self.marked_up(server);
        }
    }

    /// Ends the probations that wait for `failback` of servers that have to serve anyway, because
    /// no other is ready.
    ///
    /// They have taken over, and a server that comes up later fails back from them in its turn.
    pub(super) fn take_over(self: &Rc<Self>, backend: &Backend) {
        let usable = backend.usable();
        if usable.ready() > 0 {
            return;
        }
        for &position in usable.in_use() {
            let server = backend.server(position);
            let hold = server.status().hold;
            if let Some(hold) = hold.filter(|hold| hold.reason == HoldReason::Failback) {
                self.release(server, hold);
            }
        }
    }

    /// Lets a server's share grow until it has all of it or goes down.
    fn start_slowly(self: &Rc<Self>, server: &Arc<Server>, began: Instant) {
        let Some(length) = server.config.policy.slowstart else {
            return;
        };
        let (supervisor, server) = (Rc::clone(self), Arc::clone(server));
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(length / SLOWSTART_STEPS).await;
                let now = Instant::now();
                let goes_on = server.update(|status| {
                    if status.slowstart != Some(began) || status.state == State::Down {
                        return false;
                    }
                    let goes_on = now.duration_since(began) < length;
                    if !goes_on {
                        status.slowstart = None;
                    }
                    goes_on
                });
                let turn = supervisor.recompute(&server, now);
                supervisor.announce_turn(turn);
                if !goes_on {
                    return;
                }
            }
        });
    }
}

/// The probation of a server that comes up at `now`, the longest of those that apply.
///
/// `failback` is for servers that take sessions from others: not for backups, and not for one that
/// comes up while no other is ready. Were that one held all the same, a second one that comes up
/// soon after would be no less ready and get sessions beside it: of two databases that both
/// claim to be the primary, both would get writes.
pub fn probation(
    backend: &BackendConfig,
    takes_from_nobody: bool,
    status: &mut ServerStatus,
    now: Instant,
) -> Option<Hold> {
    let (failback, manual) = match backend.failover.failback {
        Failback::AtOnce => (Duration::ZERO, false),
        _ if takes_from_nobody => (Duration::ZERO, false),
        Failback::Delay(delay) => (delay, false),
        Failback::Manual => (Duration::ZERO, true),
    };
    let silent = std::mem::take(&mut status.was_silent);
    let damping = if silent {
        Some(SILENCE_DAMPING)
    } else {
        backend.failover.flap_damping
    };
    let mut penalty = damping.map_or(Duration::ZERO, |damping| {
        status.bounces.recovered(&damping, now)
    });
    if silent {
        penalty = penalty.max(SILENCE_DAMPING.penalty);
    }
    if manual {
        return Some(Hold {
            until: None,
            reason: HoldReason::Failback,
        });
    }
    let reason = match (penalty > failback, silent) {
        (true, true) => HoldReason::Silent,
        (true, false) => HoldReason::Flapping,
        (false, _) => HoldReason::Failback,
    };
    let length = penalty.max(failback);
    (length > Duration::ZERO).then(|| Hold {
        until: Some(now + length),
        reason,
    })
}
