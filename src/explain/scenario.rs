//! A configuration with some of its servers down, built by the code that a running proxy uses.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::config::Config;
use crate::id::{BackendId, ServerId};
use crate::topology::Topology;
use crate::topology::status::{ServerStatus, State};

/// A running graph that nothing runs on.
#[derive(Debug)]
pub struct Scenario {
    topology: Topology,
    now: Instant,
}

impl Scenario {
    /// Every server of `config` up, as after its first checks.
    pub fn new(config: &Config) -> Self {
        let now = Instant::now();
        let topology = Topology::build(config, 1, now);
        for server in topology.servers() {
            // Nobody connects; any address makes the name one that resolves.
            let port = server.config.address.port;
            server.set_address(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
            server.update(|status| {
                status.occupy(None);
                up(status, now);
            });
        }
        for backend in &topology.backends {
            backend.recompute(now);
        }
        topology.settle_rules();
        Self { topology, now }
    }

    /// The graph.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The only moment that there is.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Has `servers` go down, all in one moment, and with them those that track them.
    pub fn take_down(&self, servers: &[ServerId]) {
        let mut changed: BTreeSet<BackendId> = BTreeSet::new();
        let mut falling = servers.to_vec();
        while let Some(id) = falling.pop() {
            let server = self.topology.server(id);
            if server.update(|status| down(status, self.now)) {
                changed.insert(id.backend);
                falling.extend(self.trackers(id));
            }
        }
        for id in changed {
            self.topology.backend(id).recompute(self.now);
        }
        self.topology.settle_rules();
    }

    fn trackers(&self, tracked: ServerId) -> impl Iterator<Item = ServerId> {
        let servers = self.topology.servers();
        let trackers = servers.filter(move |server| server.config.track == Some(tracked));
        trackers.map(|server| server.id)
    }
}

/// Returns whether that changes anything.
fn down(status: &mut ServerStatus, now: Instant) -> bool {
    if let Some(check) = &mut status.check {
        check.health = 0;
    }
    let falls = status.state != State::Down;
    status.change(State::Down, now);
    falls
}

fn up(status: &mut ServerStatus, now: Instant) {
    if let Some(check) = &mut status.check {
        check.health = check.maximum();
    }
    status.change(status.effective(), now);
}
