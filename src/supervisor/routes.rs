//! Where each frontend's new sessions go, told when it changes.

use std::rc::Rc;
use std::time::Instant;

use super::{Supervisor, Turn};
use crate::events::Event;
use crate::explain::{Route, Routes};
use crate::id::BackendId;
use crate::topology::usable::Mode;
use crate::topology::{Frontend, Topology};

/// A backend and which of its servers, without the numbers that change all the time.
pub(super) type Destination = Option<(BackendId, Mode)>;

impl Supervisor {
    /// Tells of a backend that lost its last server, or has one again. Before sessions are
    /// accepted the latter is how every backend begins.
    pub(super) fn announce_turn(&self, turn: Option<Turn>) {
        let Some(Turn { backend, without }) = turn else {
            return;
        };
        match without {
            None => self.journal.record(Event::BackendDown { backend }),
            Some(_) if self.routes.borrow().is_empty() => {}
            Some((without, failed)) => self.journal.record(Event::BackendUp {
                backend,
                without,
                failed,
            }),
        }
    }

    /// Tells where each frontend's sessions go; from now on changes of that are told.
    pub fn begin(self: &Rc<Self>) {
        let topology = self.current.get();
        // A server may have been configured to start down.
        topology
            .servers()
            .for_each(|server| self.tell_trackers(server));
        self.routes.replace(destinations(&topology));
        for frontend in &topology.frontends {
            frontend.rerouted(Instant::now());
            let (name, route) = (&frontend.config.name, route(frontend, &topology));
            tracing::info!(target: "event", "Frontend {name}: new sessions go to {route}.");
        }
    }

    /// Tells of every frontend whose sessions go elsewhere than before.
    pub(super) fn announce_routes(&self) {
        if self.routes.borrow().is_empty() {
            return;
        }
        let topology = self.current.get();
        let now = destinations(&topology);
        let before = self.routes.replace(now.clone());
        for ((frontend, now), before) in topology.frontends.iter().zip(now).zip(before) {
            if now != before {
                frontend.rerouted(Instant::now());
                self.journal.record(Event::RouteChanged {
                    frontend: frontend.config.name.clone(),
                    from: named(before, &topology),
                    to: named(now, &topology),
                    route: route(frontend, &topology),
                });
            }
        }
    }
}

pub(super) fn route(frontend: &Frontend, topology: &Topology) -> String {
    let route = Routes::of(frontend, topology).otherwise;
    route.map_or("nowhere".into(), |route| route.to_string())
}

pub(super) fn named(destination: Destination, topology: &Topology) -> String {
    let Some((backend, mode)) = destination else {
        return "nowhere".to_owned();
    };
    let name = &topology.backend(backend).config.name;
    let servers = match mode {
        Mode::Primaries => "primaries",
        Mode::FirstBackup => "first backup",
        Mode::AllBackups => "all backups",
        Mode::Tier(tier) => return format!("{name} (tier {tier})"),
        Mode::Nothing => "no server",
    };
    format!("{name} ({servers})")
}

pub(super) fn destinations(topology: &Topology) -> Vec<Destination> {
    let of = |frontend| Routes::of(frontend, topology).otherwise;
    let destination = |route: Route<'_>| (route.backend.id, route.backend.usable().mode());
    topology
        .frontends
        .iter()
        .map(|frontend| of(frontend).map(destination))
        .collect()
}
