//! Which backend a session goes to.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::topology::{Backend, Frontend, Topology};

/// The backend of the first rule that matches, else the default one (configuration.txt,
/// "`use_backend`"). A rule counts even if its backend has no usable server.
pub(super) fn backend<'a>(
    topology: &'a Topology,
    frontend: &Frontend,
    client: SocketAddr,
    local: SocketAddr,
) -> Option<&'a Arc<Backend>> {
    let facts = topology.facts(client, local);
    let rules = &frontend.config.rules;
    let matching = rules.iter().find(|rule| match &rule.condition {
        Some(condition) => condition.holds(&facts),
        None => true,
    });
    let id = matching
        .map(|rule| rule.backend)
        .or(frontend.config.default_backend)?;
    Some(topology.backend(id))
}
