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
            server.update(|status| up(status, now));
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

    /// Has `servers` go down, all in one moment.
    pub fn take_down(&self, servers: &[ServerId]) {
        self.change(servers, down);
    }

    /// Has `servers` come up again, all in one moment.
    pub fn bring_up(&self, servers: &[ServerId]) {
        self.change(servers, up);
    }

    fn change(&self, servers: &[ServerId], change: fn(&mut ServerStatus, Instant)) {
        let mut changed: BTreeSet<BackendId> = BTreeSet::new();
        for &id in servers {
            self.topology
                .server(id)
                .update(|status| change(status, self.now));
            changed.insert(id.backend);
        }
        for id in changed {
            self.topology.backend(id).recompute(self.now);
        }
        self.topology.settle_rules();
    }
}

fn down(status: &mut ServerStatus, now: Instant) {
    if let Some(check) = &mut status.check {
        check.health = 0;
    }
    status.change(State::Down, now);
}

fn up(status: &mut ServerStatus, now: Instant) {
    let state = match &mut status.check {
        Some(check) => {
            check.health = check.maximum();
            State::Up
        }
        None => State::Unchecked,
    };
    status.change(state, now);
}
