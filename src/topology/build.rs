//! From a valid configuration to the running graph.

use std::sync::Arc;
use std::time::Instant;

use super::retired::Retired;
use super::status::{ServerStatus, Slot};
use super::{Admission, Backend, Frontend, Loads, Server, Topology};
use crate::config::policy::InitState;
use crate::config::{BackendConfig, CheckConfig, Config, ServerConfig};
use crate::health::judge::CheckHealth;
use crate::id::{BackendId, FrontendId, ServerId};

impl Topology {
    /// The graph for `config`, with nothing counted, for `workers` worker threads.
    pub fn build(config: &Config, workers: usize, now: Instant) -> Self {
        let frontends = config.frontends.iter().zip(0..).map(|(frontend, id)| {
            Arc::new(Frontend::new(FrontendId(id), frontend.clone(), workers))
        });
        let backends = config
            .backends
            .iter()
            .zip(0..)
            .map(|(backend, id)| Arc::new(build_backend(BackendId(id), backend, workers, now)));
        let process = (
            Arc::new(Admission::unlimited()),
            Arc::new(Loads::new(workers)),
            Arc::new(Retired::new(workers)),
        );
        Self::of(frontends.collect(), backends.collect(), now, process)
    }

    /// The graph of these, in declaration order, of a process that began at `started`.
    pub(super) fn of(
        frontends: Vec<Arc<Frontend>>,
        backends: Vec<Arc<Backend>>,
        started: Instant,
        (admission, loads, retired): (Arc<Admission>, Arc<Loads>, Arc<Retired>),
    ) -> Self {
        let servers = backends.iter().flat_map(|backend| &backend.servers);
        let places = servers.map(|server| (server.key, server.id)).collect();
        Self {
            frontends,
            backends,
            admission,
            loads,
            started,
            retired,
            places,
        }
    }
}

fn build_backend(id: BackendId, config: &BackendConfig, workers: usize, now: Instant) -> Backend {
    let servers = config.servers.iter().zip(tiers(config)).zip(0..);
    let servers = servers.map(|((server, tier), position)| {
        let id = ServerId {
            backend: id,
            position,
        };
        Arc::new(build_server(id, &config.name, server, tier, workers, now))
    });
    Backend::new(id, config.clone(), servers.collect(), workers, now)
}

pub(super) fn build_server(
    id: ServerId,
    backend: &str,
    config: &ServerConfig,
    tier: u32,
    workers: usize,
    now: Instant,
) -> Server {
    let health = config
        .check
        .as_ref()
        .map(|check| initial_health(check, config.policy.init_state));
    let mut status = ServerStatus::new(health, now);
    status.tracks = config.track.is_some();
    if config.slot.is_some() {
        status.slot = Slot::Vacant;
    }
    status.state = status.effective();
    Server::new(id, backend, config.clone(), tier, status, workers)
}

/// The tier of each server: the configured one; backups come after all of those, together or
/// one after another.
pub(super) fn tiers(config: &BackendConfig) -> impl Iterator<Item = u32> {
    let primaries = config.servers.iter().filter(|server| !server.backup);
    let mut last = primaries.map(|server| server.tier).max().unwrap_or(0);
    let after_primaries = last + 1;
    config.servers.iter().map(move |server| {
        if !server.backup {
            return server.tier;
        }
        last += 1;
        if config.allbackups {
            after_primaries
        } else {
            last
        }
    })
}

/// The counter of a check that has not been made yet (configuration.txt, "init-state").
pub(crate) fn initial_health(check: &CheckConfig, state: InitState) -> CheckHealth {
    let health = match state {
        InitState::FullyUp => check.rise + check.fall - 1,
        InitState::Known | InitState::Up => check.rise,
        InitState::Down => check.rise - 1,
        InitState::FullyDown => 0,
    };
    CheckHealth {
        health,
        rise: check.rise,
        fall: check.fall,
    }
}
