//! The running graph: frontends, their rules, backends and servers.
//!
//! Its shape never changes once built; what changes sits in cells inside it, each with one
//! writer: addresses (the resolver), states and usable sets (the supervisor), counters (the
//! workers, a shard each). A reload builds another one, which shares the cells of what stays,
//! and swaps it in: see [`Current`].

pub mod admission;
pub mod backend;
pub mod build;
mod current;
pub mod frontend;
pub mod guard;
pub mod latency;
mod live;
pub mod loads;
pub mod queue;
pub mod rebuild;
pub mod retired;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code, reason = "fuzzing uses a part of it"))]
pub(crate) mod sample;
pub mod server;
mod slot;
pub mod status;
pub mod usable;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

pub use self::admission::Admission;
pub use self::backend::Backend;
pub use self::current::Current;
pub use self::frontend::Frontend;
pub use self::loads::{Loads, Turnover};
use self::retired::Retired;
pub use self::server::Server;
use crate::acl::eval::Facts;
use crate::acl::show::Names;
use crate::id::{BackendId, FrontendId, Key, ServerId};

/// Everything that sessions are routed by.
#[derive(Debug)]
pub struct Topology {
    /// In declaration order.
    pub frontends: Vec<Arc<Frontend>>,
    /// In declaration order.
    pub backends: Vec<Arc<Backend>>,
    /// How many sessions there may be, over all frontends.
    pub admission: Arc<Admission>,
    /// How they are spread over workers.
    pub loads: Arc<Loads>,
    /// When the process began: the zero of counters' times.
    pub started: Instant,
    /// What reloads have removed and sessions still use.
    pub retired: Arc<Retired>,
    /// Where each server stands.
    places: HashMap<Key, ServerId>,
}

impl Topology {
    /// The frontend with this id.
    pub fn frontend(&self, id: FrontendId) -> &Arc<Frontend> {
        &self.frontends[id.index()]
    }

    /// The backend with this id.
    pub fn backend(&self, id: BackendId) -> &Arc<Backend> {
        &self.backends[id.index()]
    }

    /// The server with this id.
    pub fn server(&self, id: ServerId) -> &Arc<Server> {
        &self.backend(id.backend).servers[id.index()]
    }

    /// The frontend that listens on an address, as it is configured.
    pub fn frontend_at(&self, address: SocketAddr) -> Option<&Arc<Frontend>> {
        let mut frontends = self.frontends.iter();
        frontends.find(|frontend| frontend.config.bind.contains(&address))
    }

    /// What `frontend`, of this topology or an earlier one, is here; `None` if it is gone.
    pub fn successor(&self, frontend: &Frontend) -> Option<&Arc<Frontend>> {
        let is_it = |other: &&Arc<Frontend>| other.config.name == frontend.config.name;
        let same_place = self.frontends.get(frontend.id.index()).filter(is_it);
        same_place.or_else(|| self.frontends.iter().find(is_it))
    }

    /// The server with this key.
    pub fn server_with(&self, key: Key) -> Option<&Arc<Server>> {
        self.places.get(&key).map(|&id| self.server(id))
    }

    /// The server with this key, also if it was removed and has sessions still.
    pub fn known(&self, key: Key) -> Option<Arc<Server>> {
        let here = self.server_with(key).cloned();
        here.or_else(|| self.retired.server(key))
    }

    /// Every server of every backend.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.backends.iter().flat_map(|backend| &backend.servers)
    }

    /// Lets rules with `until` begin or end to match. Only the supervisor calls this.
    pub fn settle_rules(&self) {
        // Such rules do not look at the client.
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let facts = self.facts(nobody, nobody);
        self.frontends
            .iter()
            .for_each(|frontend| frontend.settle(&facts));
    }

    /// What rules can know of a session from `client` to `local`.
    pub fn facts(&self, client: SocketAddr, local: SocketAddr) -> SessionFacts<'_> {
        SessionFacts {
            topology: self,
            client: client.ip(),
            port: local.port(),
        }
    }
}

impl Names for Topology {
    fn backend(&self, id: BackendId) -> &str {
        &self.backends[id.index()].config.name
    }

    fn frontend(&self, id: FrontendId) -> &str {
        &self.frontends[id.index()].config.name
    }

    fn server(&self, id: ServerId) -> &str {
        let server = &self.backends[id.backend.index()].servers[id.index()];
        &server.config.name
    }
}

/// What rules can know of one session.
#[derive(Debug)]
pub struct SessionFacts<'a> {
    topology: &'a Topology,
    client: IpAddr,
    port: u16,
}

impl Facts for SessionFacts<'_> {
    fn usable_servers(&self, backend: BackendId) -> u64 {
        u64::from(self.topology.backend(backend).usable().nbsrv())
    }

    fn backend_sessions(&self, backend: BackendId) -> u64 {
        u64::from(self.topology.backend(backend).counters.open())
    }

    fn frontend_sessions(&self, frontend: FrontendId) -> u64 {
        u64::from(self.topology.frontend(frontend).counters.open())
    }

    fn server_is_up(&self, server: ServerId) -> bool {
        self.topology.server(server).is_up()
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn destination_port(&self) -> u16 {
        self.port
    }
}
