//! The one place where a server's state changes.
//!
//! Checks, the resolver and traffic report facts here; what follows from them (the state, the
//! backend's usable set, the event) is computed at once. It lives on the control thread, so
//! nothing here needs a lock of its own.
//!
//! - [`recovery`]: what a server that comes back has to go through.
//! - [`shutdown`]: sessions that end because a server's state changed.

mod recovery;
mod shutdown;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::policy::OnError;
use crate::events::{Event, Reason, ServerChange};
use crate::explain::{Route, Routes};
use crate::id::BackendId;
use crate::proxy::Sessions;
use crate::topology::server::Observed;
use crate::topology::status::{CheckReport, State};
use crate::topology::usable::Mode;
use crate::topology::{Backend, Server, Topology};

/// Turns facts about servers into states, usable sets and events.
#[derive(Debug)]
pub struct Supervisor {
    topology: Arc<Topology>,
    sessions: Sessions,
    /// Where each frontend's new sessions were last known to go; empty until sessions are
    /// accepted.
    routes: RefCell<Vec<Destination>>,
}

/// A backend and which of its servers, without the numbers that change all the time.
type Destination = Option<(BackendId, Mode)>;

impl Supervisor {
    /// A supervisor of all servers of `topology`, which may end `sessions`.
    pub fn new(topology: Arc<Topology>, sessions: Sessions) -> Rc<Self> {
        Rc::new(Self {
            topology,
            sessions,
            routes: RefCell::default(),
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
        let passed = report.status.passed();
        if passed {
            server.connect_succeeded();
        }
        server.update(|status| status.last_check = Some(report.clone()));
        self.judge(server, passed, Reason::Check(report));
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
        match server.address() {
            Some(known) if known == address => return,
            Some(known) => {
                tracing::info!(
                    "Server {} has moved from {known} to {address}.",
                    server.path
                );
            }
            None => {}
        }
        server.set_address(address);
        if server.config.check.is_none() && !server.is_up() {
            let host = server.config.address.host.clone();
            self.change(
                server,
                State::Unchecked,
                Reason::Name {
                    host,
                    resolves: true,
                },
            );
        } else {
            self.recompute(server, Instant::now());
            self.announce_routes();
        }
    }

    /// Takes that a server's name does not resolve. An address that is known is kept.
    pub fn address_missing(self: &Rc<Self>, server: &Arc<Server>) {
        if server.address().is_none() && server.is_up() {
            let host = server.config.address.host.clone();
            self.mark_down(
                server,
                Reason::Name {
                    host,
                    resolves: false,
                },
            );
        }
    }

    /// Counts one passed or failed check.
    fn judge(self: &Rc<Self>, server: &Arc<Server>, passed: bool, reason: Reason) {
        let state = server.update(|status| {
            if !passed && status.state == State::Up {
                status.failed_checks += 1;
            }
            let health = status.check.as_mut()?;
            health.record(passed);
            Some(if health.is_up() {
                State::Up
            } else {
                State::Down
            })
        });
        if let Some(state) = state {
            self.change(server, state, reason);
        }
    }

    fn mark_down(self: &Rc<Self>, server: &Arc<Server>, reason: Reason) {
        server.update(|status| {
            if let Some(health) = &mut status.check {
                health.health = 0;
            }
        });
        self.change(server, State::Down, reason);
    }

    /// Gives a server a new state, with all that follows; does nothing if it has it already.
    fn change(self: &Rc<Self>, server: &Arc<Server>, state: State, reason: Reason) {
        let now = Instant::now();
        let before = server.status().state;
        if before == state {
            return;
        }
        server.update(|status| status.change(state, now));
        let backend = self.backend(server);
        let had_server = backend.usable().nbsrv() > 0;
        if before == State::Down {
            self.recover(server, now);
        }
        self.recompute(server, now);
        announce(backend, server, reason, had_server);
        self.announce_routes();
        if state == State::Down {
            self.marked_down(server);
        } else if server.status().hold.is_none() {
            self.marked_up(server);
        }
    }

    /// Takes a server's change into account wherever it matters to new sessions.
    fn recompute(&self, server: &Server, now: Instant) {
        self.backend(server).recompute(now);
        self.topology.settle_rules();
    }

    /// Tells where each frontend's sessions go; from now on changes of that are told.
    pub fn begin(&self) {
        let nowhere = self
            .topology
            .frontends
            .iter()
            .map(|_| Some((BackendId(0), Mode::Nothing)));
        self.routes.replace(nowhere.collect());
        self.announce_routes();
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
                let route = Routes::of(frontend, &self.topology).otherwise;
                let route = route.map_or("nowhere".into(), |route| route.to_string());
                let frontend = frontend.config.name.clone();
                Event::RouteChanged { frontend, route }.log();
            }
        }
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

fn announce(backend: &Backend, server: &Server, reason: Reason, had_server: bool) {
    let change = ServerChange::new(backend, server.id.position, reason);
    let event = if server.is_up() {
        Event::ServerUp
    } else {
        Event::ServerDown
    };
    event(change).log();
    if had_server && backend.usable().nbsrv() == 0 {
        Event::BackendDown {
            backend: backend.config.name.clone(),
        }
        .log();
    }
}
