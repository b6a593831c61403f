//! From a valid configuration to the running graph.

use std::sync::Arc;
use std::time::Instant;

use super::status::{CheckHealth, ServerStatus};
use super::{Backend, Frontend, Server, Topology};
use crate::config::{BackendConfig, CheckConfig, Config, ServerConfig};
use crate::counters::Counters;
use crate::id::{BackendId, FrontendId, ServerId};

impl Topology {
    /// The graph for `config`, with nothing counted, for `workers` worker threads.
    pub fn build(config: &Config, workers: usize, now: Instant) -> Self {
        let frontends = config.frontends.iter().zip(0..).map(|(frontend, id)| {
            Arc::new(Frontend {
                id: FrontendId(id),
                config: frontend.clone(),
                counters: Counters::new(workers),
            })
        });
        let backends = config
            .backends
            .iter()
            .zip(0..)
            .map(|(backend, id)| Arc::new(build_backend(BackendId(id), backend, workers, now)));
        Self {
            frontends: frontends.collect(),
            backends: backends.collect(),
            started: now,
        }
    }
}

fn build_backend(id: BackendId, config: &BackendConfig, workers: usize, now: Instant) -> Backend {
    let servers = config.servers.iter().zip(0..).map(|(server, position)| {
        let id = ServerId {
            backend: id,
            position,
        };
        Arc::new(build_server(id, &config.name, server, workers, now))
    });
    Backend::new(id, config.clone(), servers.collect(), workers, now)
}

fn build_server(
    id: ServerId,
    backend: &str,
    config: &ServerConfig,
    workers: usize,
    now: Instant,
) -> Server {
    let status = ServerStatus::new(config.check.as_ref().map(initial_health), now);
    Server::new(id, backend, config.clone(), status, workers)
}

/// Up, but so that one failed check is enough to go down (configuration.txt, "init-state up").
fn initial_health(check: &CheckConfig) -> CheckHealth {
    CheckHealth {
        health: check.rise,
        rise: check.rise,
        fall: check.fall,
    }
}
