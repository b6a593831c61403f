//! Which backend a session goes to.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::topology::{Backend, Frontend, Topology};

/// The backend of the first rule that matches, else the default one.
pub(super) fn backend(
    topology: &Topology,
    frontend: &Frontend,
    client: SocketAddr,
    local: SocketAddr,
) -> Option<Arc<Backend>> {
    let rule = frontend.matching_rule(&topology.facts(client, local));
    let id = rule
        .map(|rule| rule.backend)
        .or(frontend.config.default_backend)?;
    Some(Arc::clone(topology.backend(id)))
}
