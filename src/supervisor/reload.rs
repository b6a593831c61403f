//! Another configuration in the place of the one that runs.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::routes::{destinations, named, route};
use super::{Supervisor, Turn, trackers};
use crate::config::policy::InitState;
use crate::events::{Event, Reason, ServerChange};
use crate::id::Key;
use crate::topology::rebuild::Changed;
use crate::topology::status::{CheckReport, State, Toll};
use crate::topology::{Server, Topology};

/// What is known of a new server before it gets sessions.
#[derive(Debug)]
pub struct Arrival {
    /// The server.
    pub server: Arc<Server>,
    /// Its first check, if it has one that ended in time.
    pub report: Option<CheckReport>,
}

impl Supervisor {
    /// Has sessions that begin from now on use `next`, which was rebuilt from what runs, with
    /// all that this leads to. It happens at once: no session sees a part of it.
    pub fn replace(self: &Rc<Self>, next: Topology, arrivals: &[Arrival]) {
        let (now, old, next) = (Instant::now(), self.current.get(), Arc::new(next));
        let routes = self.told_routes(&old);
        for arrival in arrivals {
            take_first_check(arrival);
        }
        let backends = old.backends.iter();
        let had_servers = backends.map(|b| {
            (
                b.key,
                (b.usable().nbsrv() > 0, b.history().since, b.failed_since()),
            )
        });
        let had_servers = had_servers.collect();
        let changes = next.inherit(&old, now);
        self.follow_trackers(&old, &next);
        next.retired.take(&old, &next, now);
        self.current.replace(Arc::clone(&next));
        let stay: HashSet<_> = next.backends.iter().map(Arc::as_ptr).collect();
        let gone = old
            .backends
            .iter()
            .filter(|b| !stay.contains(&Arc::as_ptr(b)));
        gone.for_each(|backend| backend.supersede());
        let arrivals: HashMap<_, _> = arrivals.iter().map(|a| (a.server.key, a)).collect();
        for change in changes {
            let arrival = arrivals.get(&change.server.key).copied();
            self.tell_change(&change, arrival);
        }
        self.announce_turns(&had_servers, &next, now);
        self.tell_routes(&next, &routes);
        for backend in &next.backends {
            self.take_over(backend);
        }
    }

    /// Forgets servers and frontends that were removed and have no session left. Returns whether
    /// there was such a server.
    pub fn forget_retired(&self) -> bool {
        let topology = self.current.load();
        let forgotten = topology.retired.forget(Instant::now());
        if forgotten {
            let mut trackers = self.trackers.borrow_mut();
            trackers.retain(|_, trackers| {
                trackers.retain(|tracker| topology.known(tracker.key).is_some());
                !trackers.is_empty()
            });
        }
        forgotten
    }

    /// Where sessions of each frontend go, in words; empty before sessions are accepted.
    fn told_routes(&self, topology: &Topology) -> HashMap<String, String> {
        let routes = self.routes.borrow();
        let routes = topology.frontends.iter().zip(routes.iter());
        let told = routes.map(|(frontend, destination)| {
            (frontend.config.name.clone(), named(*destination, topology))
        });
        told.collect()
    }

    /// Those that track a server go on to hear of it; a removed one does as long as it has sessions.
    fn follow_trackers(&self, old: &Topology, next: &Topology) {
        let mut now = trackers(next);
        for (tracked, before) in self.trackers.borrow().iter() {
            let removed = before.iter().filter(|t| next.server_with(t.key).is_none());
            let removed: Vec<_> = removed
                .filter(|t| old.known(t.key).is_some())
                .cloned()
                .collect();
            if !removed.is_empty() {
                now.entry(*tracked).or_default().extend(removed);
            }
        }
        self.trackers.replace(now);
    }

    /// Tells of a server whose state is another one because of the new configuration, and does
    /// what follows.
    fn tell_change(self: &Rc<Self>, change: &Changed, arrival: Option<&Arrival>) {
        let (server, from) = (&change.server, change.from);
        let to = server.status().state;
        let reason = match arrival {
            Some(Arrival {
                report: Some(report),
                ..
            }) if to == State::Down => Reason::Check(report.clone()),
            _ if to == State::Down && server.address().is_none() => Reason::Name {
                host: server.config.address.host.clone(),
                resolves: false,
            },
            _ => Reason::Reload,
        };
        server.update(|status| status.cause = Some(reason.brief()));
        let backend = self.backend(server);
        let told = ServerChange::new(server, backend.as_deref(), from, reason, Toll::default());
        self.journal.record(told.event());
        self.follow(server, from, to);
    }

    /// Tells of backends that lost their last server, or have one again; `before` is what they
    /// had. New ones are expected to have some.
    fn announce_turns(
        &self,
        before: &HashMap<Key, (bool, Instant, u64)>,
        next: &Topology,
        now: Instant,
    ) {
        for backend in &next.backends {
            let before = before.get(&backend.key).copied();
            let (had, since, failed) = before.unwrap_or((true, now, 0));
            let has = backend.usable().nbsrv() > 0;
            if had != has {
                self.announce_turn(Some(Turn {
                    backend: backend.config.name.clone(),
                    without: has.then(|| (now.duration_since(since), failed)),
                }));
            }
        }
    }

    /// Tells where sessions of frontends go that are new, or whose sessions go elsewhere.
    fn tell_routes(&self, topology: &Topology, before: &HashMap<String, String>) {
        let now = destinations(topology);
        self.routes.replace(now.clone());
        for (frontend, destination) in topology.frontends.iter().zip(now) {
            let name = &frontend.config.name;
            let (to, route) = (named(destination, topology), route(frontend, topology));
            match before.get(name) {
                Some(from) if *from == to => {}
                Some(from) => {
                    frontend.rerouted(Instant::now());
                    self.journal.record(Event::RouteChanged {
                        frontend: name.clone(),
                        from: from.clone(),
                        to,
                        route,
                    });
                }
                None => {
                    frontend.rerouted(Instant::now());
                    tracing::info!(target: "event", "Frontend {name}: new sessions go to {route}.");
                }
            }
        }
    }
}

/// Takes the first check of a server that gets no sessions yet.
fn take_first_check(arrival: &Arrival) {
    let Arrival { server, report } = arrival;
    if server.address().is_none() && server.config.slot.is_none() {
        server.update(|status| status.unresolved = true);
    }
    let Some(report) = report else { return };
    let passed = report.status.passed();
    let known = server.config.policy.init_state == InitState::Known;
    server.update(|status| {
        status.last_check = Some(report.clone());
        if let Some(health) = &mut status.check {
            health.record(passed);
            if !passed && known {
                // The first pass brings it up, as at the start of the process.
                health.health = health.rise - 1;
            }
        }
    });
}
