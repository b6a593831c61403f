//! The one place where a server's state changes.
//!
//! Checks, the resolver and traffic report facts here; what follows from them (the state, the
//! backend's usable set, the event) is computed at once. It lives on the control thread, so
//! nothing here needs a lock of its own.
//!
//! - [`operator`]: what somebody wants.
//! - [`recovery`]: what a server that comes back has to go through.
//! - [`shutdown`]: sessions that end because a server's state changed.

mod operator;
pub mod recovery;
mod shutdown;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::policy::{InitState, OnError};
use crate::events::{Event, Journal, Reason, ServerChange};
use crate::explain::{Route, Routes};
use crate::id::{BackendId, ServerId};
use crate::proxy::Sessions;
use crate::topology::server::Observed;
use crate::topology::status::{AgentVerdict, CheckReport, CheckStatus, ServerStatus, State};
use crate::topology::usable::Mode;
use crate::topology::{Backend, Frontend, Server, Topology};

/// Turns facts about servers into states, usable sets and events.
#[derive(Debug)]
pub struct Supervisor {
    topology: Arc<Topology>,
    sessions: Sessions,
    journal: Journal,
    /// Where each frontend's new sessions were last known to go; empty until sessions are
    /// accepted.
    routes: RefCell<Vec<Destination>>,
    /// The servers that take over a server's verdict (`track`).
    trackers: HashMap<ServerId, Vec<Arc<Server>>>,
}

/// A backend and which of its servers, without the numbers that change all the time.
type Destination = Option<(BackendId, Mode)>;

/// A backend that lost its last server, or has one again.
#[derive(Debug, Clone, Copy)]
#[must_use]
struct Turn {
    backend: BackendId,
    /// How long it had none; `None` if it has none now.
    without: Option<Duration>,
}

impl Supervisor {
    /// A supervisor of all servers of `topology`, which may end `sessions` and tells
    /// `journal`.
    pub fn new(topology: Arc<Topology>, sessions: Sessions, journal: Journal) -> Rc<Self> {
        let mut trackers: HashMap<_, Vec<_>> = HashMap::new();
        for server in topology.servers() {
            if let Some(tracked) = server.config.track {
                trackers
                    .entry(tracked)
                    .or_default()
                    .push(Arc::clone(server));
            }
        }
        Rc::new(Self {
            topology,
            sessions,
            journal,
            routes: RefCell::default(),
            trackers,
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
        }
        let first = server.update(|status| status.last_check.replace(report.clone()).is_none());
        self.judge(server, passed, Reason::Check(report));
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

    /// Takes the address that a server's name resolved to.
    pub fn address_found(self: &Rc<Self>, server: &Arc<Server>, address: SocketAddr) {
        if server.status().address.is_some() {
            return;
        }
        let host = server.config.address.host.clone();
        let reason = Reason::Name {
            host,
            resolves: true,
        };
        self.set_address(server, address, reason);
    }

    /// Takes a server's new address.
    fn set_address(self: &Rc<Self>, server: &Arc<Server>, address: SocketAddr, reason: Reason) {
        let known = server.address();
        if known == Some(address) {
            return;
        }
        server.set_address(address);
        server.update(|status| status.unresolved = false);
        if let Some(known) = known {
            self.journal.record(Event::AddressChanged {
                server: server.path.clone(),
                from: known,
                to: address,
                reason: reason.clone(),
            });
        }
        let turn = self.recompute(server, Instant::now());
        self.settle(server, reason);
        self.announce_turn(turn);
        self.announce_routes();
    }

    /// Takes that a server's name does not resolve. An address that is known is kept unless
    /// it is to be forgotten, because the name does not have it any more.
    pub fn address_missing(self: &Rc<Self>, server: &Arc<Server>, forget: bool) {
        match server.address() {
            Some(_) if !forget => return,
            Some(known) => tracing::info!("Server {} is no longer at {known}.", server.path),
            None => {}
        }
        let host = server.config.address.host.clone();
        server.forget_address();
        server.update(|status| status.unresolved = true);
        self.mark_down(
            server,
            Reason::Name {
                host,
                resolves: false,
            },
        );
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
        let now = Instant::now();
        let (before, after) = server.update(|status| {
            let before = status.state;
            if before == State::Maintenance && status.effective() != State::Maintenance {
                leave_maintenance(status);
            }
            status.change(status.effective(), now);
            (before, status.state)
        });
        if before == after {
            return;
        }
        if matches!(before, State::Down | State::Maintenance) && server.is_up() {
            self.recover(server, before == State::Down, now);
        }
        let turn = self.recompute(server, now);
        let change = ServerChange::new(self.backend(server), server.id.position, before, reason);
        self.journal.record(change.event());
        self.announce_turn(turn);
        self.announce_routes();
        self.follow(server, before, after);
        self.take_over(self.backend(server));
        self.tell_trackers(server);
    }

    /// Has the servers that track this one take over its verdict.
    fn tell_trackers(self: &Rc<Self>, server: &Arc<Server>) {
        for tracker in self.trackers.get(&server.id).into_iter().flatten() {
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
        let backend = self.backend(server);
        let (had, since) = (backend.usable().nbsrv() > 0, backend.history().since);
        backend.recompute(now);
        self.topology.settle_rules();
        let has = backend.usable().nbsrv() > 0;
        (had != has).then(|| Turn {
            backend: backend.id,
            without: has.then(|| now.duration_since(since)),
        })
    }

    /// Tells of a backend that lost its last server, or has one again. Before sessions are
    /// accepted the latter is how every backend begins.
    fn announce_turn(&self, turn: Option<Turn>) {
        let Some(Turn { backend, without }) = turn else {
            return;
        };
        let backend = self.topology.backend(backend).config.name.clone();
        match without {
            None => self.journal.record(Event::BackendDown { backend }),
            Some(_) if self.routes.borrow().is_empty() => {}
            Some(without) => self.journal.record(Event::BackendUp { backend, without }),
        }
    }

    /// Tells where each frontend's sessions go; from now on changes of that are told.
    pub fn begin(self: &Rc<Self>) {
        // A server may have been configured to start down.
        self.topology
            .servers()
            .for_each(|server| self.tell_trackers(server));
        self.routes.replace(destinations(&self.topology));
        for frontend in &self.topology.frontends {
            let (name, route) = (&frontend.config.name, self.route(frontend));
            tracing::info!(target: "event", "Frontend {name}: new sessions go to {route}.");
        }
    }

    /// Tells of every frontend whose sessions go elsewhere than before.
    fn announce_routes(&self) {
        if self.routes.borrow().is_empty() {
            return;
        }
        let now = destinations(&self.topology);
        let before = self.routes.replace(now.clone());
        for ((frontend, now), before) in self.topology.frontends.iter().zip(now).zip(before) {
            if now != before {
                self.journal.record(Event::RouteChanged {
                    frontend: frontend.config.name.clone(),
                    from: self.named(before),
                    to: self.named(now),
                    route: self.route(frontend),
                });
            }
        }
    }

    fn route(&self, frontend: &Frontend) -> String {
        let route = Routes::of(frontend, &self.topology).otherwise;
        route.map_or("nowhere".into(), |route| route.to_string())
    }

    fn named(&self, destination: Destination) -> String {
        let Some((backend, mode)) = destination else {
            return "nowhere".to_owned();
        };
        let name = &self.topology.backend(backend).config.name;
        let servers = match mode {
            Mode::Primaries => "primaries",
            Mode::FirstBackup => "first backup",
            Mode::AllBackups => "all backups",
            Mode::Tier(tier) => return format!("{name} (tier {tier})"),
            Mode::Nothing => "no server",
        };
        format!("{name} ({servers})")
    }

    fn backend(&self, server: &Server) -> &Arc<Backend> {
        self.topology.backend(server.id.backend)
    }
}

fn destinations(topology: &Topology) -> Vec<Destination> {
    let of = |frontend| Routes::of(frontend, topology).otherwise;
    let destination = |route: Route<'_>| (route.backend.id, route.backend.usable().mode());
    topology
        .frontends
        .iter()
        .map(|frontend| of(frontend).map(destination))
        .collect()
}

/// As if it had just been started (configuration.txt, "init-state"; HAProxy's `srv_set_running`).
fn leave_maintenance(status: &mut ServerStatus) {
    if let Some(health) = &mut status.check {
        health.health = health.rise;
    }
}
