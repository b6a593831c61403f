//! Which servers are checked and asked by tasks of their own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::agent;
use super::checker::{self, First, Known};
use crate::config::policy::InitState;
use crate::supervisor::Supervisor;
use crate::topology::Topology;

/// How long the first sessions may be kept waiting for the first checks.
const KNOWN_BEFORE: Duration = Duration::from_secs(1);

/// Starts checking, and waits until every server that is to be known before the first session
/// was checked once.
pub async fn start_checks(topology: &Topology, supervisor: &Rc<Supervisor>, spread: u8) {
    let checked: Vec<_> = topology
        .servers()
        .filter(|server| server.config.check.is_some())
        .collect();
    let intervals = checked
        .iter()
        .filter_map(|server| server.config.check.as_ref());
    let smallest = intervals
        .map(|check| check.interval)
        .min()
        .unwrap_or_default();
    let (known, mut all_known) = Known::channel();
    for (index, server) in checked.iter().enumerate() {
        let delay = checker::first_delay(index, checked.len(), smallest);
        let first = match server.config.policy.init_state {
            InitState::Known => First::AtOnce(known.clone(), delay),
            _ => First::After(delay),
        };
        let timeouts = topology.backend(server.id.backend).config.timeout;
        let (server, supervisor) = (Arc::clone(server), Rc::clone(supervisor));
        tokio::task::spawn_local(checker::run(server, timeouts, first, spread, supervisor));
    }
    drop(known);
    if tokio::time::timeout(KNOWN_BEFORE, all_known.recv())
        .await
        .is_err()
    {
        tracing::warn!("Not every server could be checked within {KNOWN_BEFORE:?}; starting.");
    }
}

/// Starts asking the servers' agents.
pub fn start_agents(topology: &Topology, supervisor: &Rc<Supervisor>) {
    for server in topology.servers() {
        let Some(agent) = server.config.agent.clone() else {
            continue;
        };
        let timeouts = topology.backend(server.id.backend).config.timeout;
        let (server, supervisor) = (Arc::clone(server), Rc::clone(supervisor));
        let asking = agent::run(server, agent, timeouts, Duration::ZERO, supervisor);
        tokio::task::spawn_local(asking);
    }
}
