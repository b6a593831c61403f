//! Whether a condition holds.

use std::net::IpAddr;

use super::{Comparison, Condition, Sample};
use crate::id::{BackendId, FrontendId, ServerId};

/// What a condition may look at.
pub trait Facts {
    /// `nbsrv`: servers of the backend that get new sessions.
    fn usable_servers(&self, backend: BackendId) -> u64;
    /// `be_conn`: sessions open on the backend.
    fn backend_sessions(&self, backend: BackendId) -> u64;
    /// `fe_conn`: sessions open on the frontend.
    fn frontend_sessions(&self, frontend: FrontendId) -> u64;
    /// `srv_is_up`: the server is unchecked or not down.
    fn server_is_up(&self, server: ServerId) -> bool;
    /// `src`: the client's address.
    fn client(&self) -> IpAddr;
    /// `dst_port`: the port that the client connected to.
    fn destination_port(&self) -> u16;
}

impl Condition {
    /// Whether the condition holds. Does not allocate.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|condition| condition.holds(facts)),
            Self::Any(inner) => inner.iter().any(|condition| condition.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Named(_, definition) => definition.holds(facts),
            Self::Compare(sample, comparison, value) => {
                comparison.holds(sample.value(facts), *value)
            }
            Self::Source(networks) => {
                // An IPv4 client of a dual-stack bind is still an IPv4 client.
                let client = facts.client().to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }
            Self::ServerIsUp(server) => facts.server_is_up(*server),
        }
    }
}

impl Sample {
    /// What the sample is now.
    pub fn value(self, facts: &impl Facts) -> u64 {
        match self {
            Self::UsableServers(backend) => facts.usable_servers(backend),
            Self::BackendSessions(backend) => facts.backend_sessions(backend),
            Self::FrontendSessions(frontend) => facts.frontend_sessions(frontend),
            Self::DestinationPort => u64::from(facts.destination_port()),
        }
    }
}

impl Comparison {
    /// Whether `left` compares with `right` in this way.
    pub fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}
