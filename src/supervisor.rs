//! The one place where a server's state changes.
//!
//! Checks and the resolver report facts here; what follows from them (the state, the backend's
//! usable set, the event) is computed at once. It lives on the control thread, so nothing here
//! needs a lock of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events::{Event, Reason, ServerChange};
use crate::topology::status::{CheckReport, State};
use crate::topology::{Backend, Server, Topology};

/// Turns facts about servers into states, usable sets and events.
#[derive(Debug)]
pub struct Supervisor {
    topology: Arc<Topology>,
}

impl Supervisor {
    /// A supervisor of all servers of `topology`.
    pub fn new(topology: Arc<Topology>) -> Self {
        Self { topology }
    }

    /// Takes the result of a check. Returns how long to wait from its beginning to the next.
    pub fn check_finished(&self, server: &Server, report: CheckReport) -> Duration {
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
        let now = Instant::now();
        let (before, after, interval) = server.update(|status| {
            let before = status.state;
            let passed = report.status.passed();
            if !passed && before == State::Up {
                status.failed_checks += 1;
            }
            if let Some(health) = &mut status.check {
                health.record(passed);
                let state = if health.is_up() {
                    State::Up
                } else {
                    State::Down
                };
                status.change(state, now);
            }
            status.last_check = Some(report.clone());
            let interval = status
                .check
                .map_or(config.interval, |health| health.interval(config));
            (before, status.state, interval)
        });
        if before != after {
            self.changed(server, Reason::Check(report), now);
        }
        interval
    }

    /// Takes the address that a server's name resolved to.
    pub fn address_found(&self, server: &Server, address: SocketAddr) {
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
        let now = Instant::now();
        let was_down = server.update(|status| {
            let was_down = status.check.is_none() && status.state == State::Down;
            if was_down {
                status.change(State::Unchecked, now);
            }
            was_down
        });
        if was_down {
            let host = server.config.address.host.clone();
            self.changed(
                server,
                Reason::Name {
                    host,
                    resolves: true,
                },
                now,
            );
        } else {
            self.backend(server).recompute(now);
        }
    }

    /// Takes that a server's name does not resolve. An address that is known is kept.
    pub fn address_missing(&self, server: &Server) {
        if server.address().is_some() || !server.is_up() {
            return;
        }
        let now = Instant::now();
        server.update(|status| {
            if let Some(health) = &mut status.check {
                health.health = 0;
            }
            status.change(State::Down, now);
        });
        let host = server.config.address.host.clone();
        self.changed(
            server,
            Reason::Name {
                host,
                resolves: false,
            },
            now,
        );
    }

    fn changed(&self, server: &Server, reason: Reason, now: Instant) {
        let backend = self.backend(server);
        let had_server = backend.usable().nbsrv() > 0;
        backend.recompute(now);
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

    fn backend(&self, server: &Server) -> &Backend {
        self.topology.backend(server.id.backend)
    }
}
