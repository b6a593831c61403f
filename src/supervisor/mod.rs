//! The one place where a server's state changes.
//!
//! Checks, the resolver and traffic report facts here; what follows from them (the state, the
//! backend's usable set, the event) is computed at once. It lives on the control thread, so
//! nothing here needs a lock of its own.
//!
//! - `address`: where servers are.
//! - [`operator`]: what somebody wants.
//! - [`recovery`]: what a server that comes back has to go through.
//! - [`reload`]: another configuration in the place of the one that runs.
//! - [`routes`]: where each frontend's new sessions go, told when it changes.
//! - `told`: checks in the log.
//! - [`shutdown`]: sessions that end because a server's state changed.

mod address;
pub mod operator;
pub mod recovery;
pub mod reload;
mod routes;
mod shutdown;
mod told;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::routes::Destination;
use crate::config::policy::{InitState, OnError};
use crate::events::{Journal, Reason, ServerChange};
use crate::id::Key;
use crate::proxy::Sessions;
use crate::topology::server::Observed;
use crate::topology::status::{AgentVerdict, CheckReport, CheckStatus, ServerStatus, Slot, State};
use crate::topology::{Backend, Current, Server, Topology};

/// Turns facts about servers into states, usable sets and events.
#[derive(Debug)]
pub struct Supervisor {
    current: Current,
    sessions: Sessions,
    journal: Journal,
    /// Where each frontend's new sessions were last known to go; empty until sessions are
    /// accepted.
    routes: RefCell<Vec<Destination>>,
    /// The servers that take over a server's verdict (`track`).
    trackers: RefCell<Trackers>,
}

/// The servers that take over each server's verdict.
type Trackers = HashMap<Key, Vec<Arc<Server>>>;

/// A backend that lost its last server, or has one again.
#[derive(Debug, Clone)]
#[must_use]
struct Turn {
    backend: String,
    /// How long it had none, and how many sessions failed meanwhile; `None` if it has none now.
    without: Option<(Duration, u64)>,
}

impl Supervisor {
    /// A supervisor of all servers that run, which may end `sessions` and tells `journal`.
    pub fn new(current: Current, sessions: Sessions, journal: Journal) -> Rc<Self> {
        let trackers = trackers(&current.load());
        Rc::new(Self {
            current,
            sessions,
            journal,
            routes: RefCell::default(),
            trackers: RefCell::new(trackers),
        })
    }

    /// Takes the result of a check. Returns how long to wait from its beginning to the next.
    pub fn check_finished(self: &Rc<Self>, server: &Arc<Server>, report: CheckReport) -> Duration {
        let Some(config) = &server.config.check else {
            return Duration::MAX;
        };
        tracing::debug!(
            "Check of {}: {} {} in {}ms.",
            server.path,
            report.status.code(),
            report.info,
            report.duration.as_millis()
        );
        if report.status == CheckStatus::Shortage {
            tracing::error!("Server {} cannot be checked: {}.", server.path, report.info);
            server.update(|status| status.last_check = Some(report));
            return config.interval;
        }
        let passed = report.status.passed();
        if passed {
            server.connect_succeeded();
            let toll = server.toll();
            server.update(|status| status.toll_before = toll);
        }
        let before = server.update(|status| {
            let last = status.last_check.replace(report.clone());
            told::Before {
                health: status.check,
                status: last.map(|report| report.status),
            }
        });
        let first = before.status.is_none();
        server.update(|status| {
            if status.slot == Slot::Arriving {
                status.slot = Slot::Taken;
            }
        });
        self.judge(server, passed, Reason::Check(report));
        self.log_check(server, before);
        if first && !passed && server.config.policy.init_state == InitState::Known {
            // It may be starting together with the proxy: the first pass brings it up.
            server.update(|status| {
                if let Some(health) = &mut status.check {
                    health.health = health.rise - 1;
                }
            });
        }
        server
            .status()
            .check
            .map_or(config.interval, |health| health.interval(config))
    }

    /// Takes what traffic has shown. Returns after how long to check next, if that is sooner
    /// than planned (configuration.txt, "on-error").
    pub fn observed(self: &Rc<Self>, server: &Arc<Server>, observed: Observed) -> Option<Duration> {
        let server = &self.latest(server);
        let check = server.config.check.as_ref()?;
        let fast = check.fast_interval.unwrap_or(check.interval);
        if observed == Observed::Silence {
            server.update(|status| status.was_silent = true);
            self.mark_down(server, Reason::Silence);
            return None;
        }
        match server
            .config
            .policy
            .observe
            .map(|observe| observe.on_error)?
        {
            OnError::FastInterval => return Some(fast),
            OnError::FailCheck => self.judge(server, false, Reason::Errors),
            OnError::MarkDown => self.mark_down(server, Reason::Errors),
            OnError::SuddenDeath => server.update(|status| {
                if let Some(health) = &mut status.check {
                    health.health = health.health.min(health.rise);
                }
            }),
        }
        Some(fast)
    }

    /// Takes what a server's agent says.
    pub fn set_agent(self: &Rc<Self>, server: &Arc<Server>, verdict: AgentVerdict) {
        let why = verdict.down.clone().unwrap_or_default();
        server.update(|status| status.agent = verdict);
        self.settle(server, Reason::Agent { why });
    }

    /// Counts one passed or failed check.
    fn judge(self: &Rc<Self>, server: &Arc<Server>, passed: bool, reason: Reason) {
        server.update(|status| {
            if !passed && matches!(status.state, State::Up | State::Drain) {
                status.failed_checks += 1;
            }
            if let Some(health) = &mut status.check {
                health.record(passed);
            }
        });
        self.settle(server, reason);
    }

    fn mark_down(self: &Rc<Self>, server: &Arc<Server>, reason: Reason) {
        server.update(|status| {
            if let Some(health) = &mut status.check {
                health.health = 0;
            }
        });
        self.settle(server, reason);
    }

    /// Gives a server the state that follows from what is known of it, with all that this
    /// leads to; does nothing if it has that state already.
    fn settle(self: &Rc<Self>, server: &Arc<Server>, reason: Reason) {
        let (server, now) = (&self.latest(server), Instant::now());
        let toll = server.toll();
        let (before, after, toll) = server.update(|status| {
            let before = status.state;
            // A check that was made all the same was to say what it is.
            let checked = matches!(reason, Reason::Check(_));
            if before == State::Maintenance && !checked && status.effective() != State::Maintenance
            {
                leave_maintenance(status);
            }
            status.change(status.effective(), now);
            if before == status.state {
                return (before, before, toll);
            }
            status.cause = Some(reason.brief());
            let before_that = std::mem::replace(&mut status.toll_before, toll);
            (before, status.state, toll.since(before_that))
        });
        if before == after {
            return;
        }
        if matches!(before, State::Down | State::Maintenance) && server.is_up() {
            self.recover(server, before == State::Down, now);
        }
        let turn = self.recompute(server, now);
        let backend = self.backend(server);
        let change = ServerChange::new(server, backend.as_deref(), before, reason, toll);
        self.journal.record(change.event());
        self.announce_turn(turn);
        self.announce_routes();
        self.follow(server, before, after);
        if let Some(backend) = backend {
            self.take_over(&backend);
        }
        self.tell_trackers(server);
    }

    /// Has the servers that track this one take over its verdict.
    fn tell_trackers(self: &Rc<Self>, server: &Arc<Server>) {
        let trackers = self.trackers.borrow().get(&server.key).cloned();
        for tracker in trackers.iter().flatten() {
            tracker.update(|status| status.tracked_down = !server.is_up());
            self.settle(
                tracker,
                Reason::Tracked {
                    server: server.path.clone(),
                },
            );
        }
    }

    /// What a change means to sessions and to the checker.
    fn follow(self: &Rc<Self>, server: &Arc<Server>, before: State, after: State) {
        if before == State::Maintenance {
            server.ask_for_check();
        }
        match after {
            State::Down | State::Maintenance => self.marked_down(server),
            State::Up | State::Unchecked if server.status().hold.is_none() => {
                self.marked_up(server);
            }
            State::Up | State::Unchecked | State::Drain => {}
        }
    }

    /// Takes a server's change into account wherever it matters to new sessions. Returns what
    /// this means to its backend.
    fn recompute(&self, server: &Server, now: Instant) -> Option<Turn> {
        let (topology, backend) = self.place(server)?;
        let (had, since) = (backend.usable().nbsrv() > 0, backend.history().since);
        let failed = backend.failed_since();
        backend.recompute(now);
        topology.settle_rules();
        let has = backend.usable().nbsrv() > 0;
        (had != has).then(|| Turn {
            backend: backend.config.name.clone(),
            without: has.then(|| (now.duration_since(since), failed)),
        })
    }

    /// The server as it is configured now; as it was last if it is gone.
    ///
    /// Checks, timers and look-ups hold a server for long, and reloads change what is around it.
    pub fn latest(&self, server: &Arc<Server>) -> Arc<Server> {
        let topology = self.current.load();
        topology
            .known(server.key)
            .unwrap_or_else(|| Arc::clone(server))
    }

    /// What runs, and the backend of `server` in it; `None` if the server is gone.
    fn place(&self, server: &Server) -> Option<(Arc<Topology>, Arc<Backend>)> {
        let topology = self.current.get();
        let server = topology.server_with(server.key)?;
        let backend = Arc::clone(topology.backend(server.id.backend));
        Some((topology, backend))
    }

    /// The backend of `server`; `None` if the server is gone.
    fn backend(&self, server: &Server) -> Option<Arc<Backend>> {
        self.place(server).map(|(_, backend)| backend)
    }
}

fn trackers(topology: &Topology) -> Trackers {
    let mut trackers = Trackers::new();
    for server in topology.servers() {
        if let Some(tracked) = server.config.track {
            let tracked = topology.server(tracked).key;
            trackers
                .entry(tracked)
                .or_default()
                .push(Arc::clone(server));
        }
    }
    trackers
}

/// As if it had just been started (configuration.txt, "init-state"; HAProxy's `srv_set_running`).
fn leave_maintenance(status: &mut ServerStatus) {
    if let Some(health) = &mut status.check {
        health.health = health.rise;
    }
}
