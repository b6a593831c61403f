//! From the running graph to that of another configuration.
//!
//! A server is the same as before if its backend's name, its own name and its address are; a
//! frontend or a backend if its name is. What is the same shares its cells with the running graph,
//! and what is configured the same in the same place is the same object. Building changes nothing
//! that runs; [`Topology::inherit`] then says what the new configuration means to what is known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::build::{build_server, initial_health, tiers};
use super::status::{AgentVerdict, ServerStatus, Slot, State};
use super::{Backend, Frontend, Server, Topology};
use crate::acl::show::Names;
use crate::config::policy::Failback;
use crate::config::{BackendConfig, Config, FrontendConfig, RuleConfig, ServerConfig};
use crate::health::judge::CheckHealth;
use crate::id::{BackendId, FrontendId, ServerId};

/// A server whose state a new configuration has changed.
#[derive(Debug)]
pub struct Changed {
    /// As it is configured now.
    pub server: Arc<Server>,
    /// What it was.
    pub from: State,
}

/// The running graph, by names.
struct Old<'a> {
    frontends: HashMap<&'a str, &'a Arc<Frontend>>,
    backends: HashMap<&'a str, &'a Arc<Backend>>,
    /// The server that is configured comes before those that drain.
    servers: HashMap<&'a str, Vec<&'a Arc<Server>>>,
    /// Whether ids mean the same in the new configuration.
    same_ids: bool,
}

impl Topology {
    /// The graph for `config`, which goes on where this one is. Nothing changes by building it.
    #[must_use]
    pub fn rebuild(&self, config: &Config, workers: usize, now: Instant) -> Self {
        let retired = self.retired.lists();
        let old = Old::new(self, &retired.0, &retired.1, config);
        let frontends = config.frontends.iter().zip(0..);
        let frontends =
            frontends.map(|(frontend, id)| old.frontend(FrontendId(id), frontend, workers));
        let backends = config.backends.iter().zip(0..);
        let backends =
            backends.map(|(backend, id)| old.backend(BackendId(id), backend, workers, now));
        let process = (
            Arc::clone(&self.admission),
            Arc::clone(&self.loads),
            Arc::clone(&self.retired),
        );
        Self::of(
            frontends.collect(),
            backends.collect(),
            self.started,
            process,
        )
    }

    /// Takes over from `old`, which it was rebuilt from: what is known of servers is brought in
    /// line with their configuration, and usable sets and rules are computed from that. Only the
    /// supervisor calls this, right before it has sessions use this graph.
    ///
    /// Returns the servers whose state has changed by it.
    pub fn inherit(&self, old: &Self, now: Instant) -> Vec<Changed> {
        let mut before = Vec::new();
        for server in self.servers() {
            before.push(server.status().state);
            let Some(was) = old
                .known(server.key)
                .filter(|was| !Arc::ptr_eq(was, server))
            else {
                continue;
            };
            let failback = self.backend(server.id.backend).config.failover.failback;
            let placed = server.address().is_some();
            server.update(|status| adapt(status, &was.config, &server.config, failback));
            server.update(|status| settle_slot(status, &server.config, placed));
            if was.config.maxconn != server.config.maxconn {
                server.set_maxconn(server.config.maxconn.unwrap_or(0));
            }
        }
        self.track();
        let states = self.servers().zip(before).filter_map(|(server, from)| {
            server.update(|status| status.change(status.effective(), now));
            let server = Arc::clone(server);
            (server.status().state != from).then_some(Changed { server, from })
        });
        let changed = states.collect();
        let before: HashMap<_, _> = old.backends.iter().map(|was| (was.key, was)).collect();
        for backend in &self.backends {
            match before.get(&backend.key) {
                Some(was) if !Arc::ptr_eq(was, backend) => backend.go_on_from(was, now),
                _ => backend.recompute(now),
            }
        }
        for frontend in &self.frontends {
            if let Some(was) = old.successor(frontend) {
                go_on_matching((was, old), (frontend, self));
                if was.config.maxconn != frontend.config.maxconn {
                    frontend.set_maxconn(frontend.config.maxconn.unwrap_or(0));
                }
            }
        }
        self.settle_rules();
        changed
    }

    /// Has servers take over the verdicts of those that they track, which may track others.
    fn track(&self) {
        let mut settled = false;
        while !settled {
            settled = true;
            for server in self.servers() {
                let Some(tracked) = server.config.track else {
                    continue;
                };
                let tracked = self.server(tracked).status();
                let down = matches!(tracked.effective(), State::Down | State::Maintenance);
                let was = server.update(|s| std::mem::replace(&mut s.tracked_down, down));
                settled &= was == down;
            }
        }
    }
}

impl<'a> Old<'a> {
    fn new(
        topology: &'a Topology,
        draining: &'a [Arc<Server>],
        closed: &'a [Arc<Frontend>],
        config: &Config,
    ) -> Self {
        let mut servers: HashMap<&str, Vec<_>> = HashMap::new();
        for server in topology.servers().chain(draining) {
            servers.entry(&server.path).or_default().push(server);
        }
        let frontends = closed.iter().chain(&topology.frontends);
        let backends = topology.backends.iter();
        Self {
            frontends: frontends.map(|f| (f.config.name.as_str(), f)).collect(),
            backends: backends.map(|b| (b.config.name.as_str(), b)).collect(),
            servers,
            same_ids: same_ids(topology, config),
        }
    }

    fn frontend(&self, id: FrontendId, config: &FrontendConfig, workers: usize) -> Arc<Frontend> {
        match self.frontends.get(config.name.as_str()) {
            Some(same) if self.same_ids && same.id == id && same.config == *config => {
                Arc::clone(same)
            }
            Some(same) => Arc::new(same.reconfigured(id, config.clone())),
            None => Arc::new(Frontend::new(id, config.clone(), workers)),
        }
    }

    fn backend(
        &self,
        id: BackendId,
        config: &BackendConfig,
        workers: usize,
        now: Instant,
    ) -> Arc<Backend> {
        let servers = config.servers.iter().zip(tiers(config)).zip(0..);
        let servers = servers.map(|((server, tier), position)| {
            let backend = id;
            let id = ServerId { backend, position };
            self.server(id, &config.name, server, tier, workers, now)
        });
        let servers: Vec<_> = servers.collect();
        let Some(same) = self.backends.get(config.name.as_str()) else {
            return Arc::new(Backend::new(id, config.clone(), servers, workers, now));
        };
        let mut pairs = same.servers.iter().zip(&servers);
        if same.id == id && same.config == *config && pairs.all(|(a, b)| Arc::ptr_eq(a, b)) {
            return Arc::clone(same);
        }
        Arc::new(same.reconfigured(id, config.clone(), servers, now))
    }

    fn server(
        &self,
        id: ServerId,
        backend: &str,
        config: &ServerConfig,
        tier: u32,
        workers: usize,
        now: Instant,
    ) -> Arc<Server> {
        let path = format!("{backend}/{}", config.name);
        let namesakes = self
            .servers
            .get(path.as_str())
            .map_or(&[][..], Vec::as_slice);
        let is_it = |server: &&&Arc<Server>| server.config.address == config.address;
        if let Some(same) = namesakes.iter().find(is_it) {
            let means_the_same = self.same_ids || config.track.is_none();
            let same_place = same.id == id && same.tier == tier;
            if same_place && means_the_same && same.config == *config {
                return Arc::clone(same);
            }
            return Arc::new(same.reconfigured(id, config.clone(), tier));
        }
        let server = build_server(id, backend, config, tier, workers, now);
        if let Some(namesake) = namesakes.first() {
            // Another machine, of which nothing is known; but somebody meant the name.
            let wished = namesake.status();
            server.update(|status| {
                status.admin = wished.admin;
                status.checking = wished.checking;
                if namesake.config.weight == config.weight {
                    status.weight = wished.weight;
                }
                status.state = status.effective();
            });
        }
        Arc::new(server)
    }
}

/// Whether every id names the same object in both.
fn same_ids(topology: &Topology, config: &Config) -> bool {
    let servers = |a: &Backend, b: &BackendConfig| {
        let (a, b) = (a.servers.iter(), b.servers.iter());
        a.map(|s| &s.config.name).eq(b.map(|s| &s.name))
    };
    let backends = topology.backends.iter().zip(&config.backends);
    let frontends = topology.frontends.iter().map(|f| &f.config.name);
    topology.backends.len() == config.backends.len()
        && frontends.eq(config.frontends.iter().map(|f| &f.name))
        && backends
            .into_iter()
            .all(|(a, b)| a.config.name == b.name && servers(a, b))
}

/// Brings what is known of a server in line with its new configuration. What somebody wants of it
/// stays, unless the file says otherwise now and did not before.
fn adapt(
    status: &mut ServerStatus,
    before: &ServerConfig,
    after: &ServerConfig,
    failback: Failback,
) {
    let agent_left = before.agent.is_some() && after.agent.is_none();
    if before.weight != after.weight || agent_left {
        status.weight = None;
    }
    if agent_left {
        status.agent = AgentVerdict::default();
    }
    status.tracks = after.track.is_some();
    status.tracked_down &= status.tracks;
    status.check = match (&after.check, status.check) {
        (None, _) => None,
        (Some(check), Some(health)) => Some(counted_by(health, check.rise, check.fall)),
        (Some(check), None) => Some(initial_health(check, after.policy.init_state)),
    };
    if status.check.is_none() {
        status.last_check = None;
    }
    if after.policy.slowstart.is_none() {
        status.slowstart = None;
    }
    // One that waits for the operator would wait for ever.
    if failback != Failback::Manual {
        status.hold = status.hold.filter(|hold| hold.until.is_some());
    }
}

/// One that was an entry of its own may be of a template now, and the other way round.
fn settle_slot(status: &mut ServerStatus, after: &ServerConfig, placed: bool) {
    let is_slot = after.slot.is_some();
    if is_slot && !placed {
        (status.slot, status.unresolved) = (Slot::Vacant, false);
    } else if !is_slot && status.slot != Slot::Taken {
        (status.slot, status.unresolved) = (Slot::Taken, !placed);
    }
}

/// The counter under another `rise` and `fall`: what was up is up, and what was steady is steady.
fn counted_by(health: CheckHealth, rise: u32, fall: u32) -> CheckHealth {
    let is_steady = health.health == health.maximum();
    let counted = match health.is_up() {
        true if is_steady => rise + fall - 1,
        true => rise + (health.health - health.rise).min(fall - 1),
        false => health.health.min(rise - 1),
    };
    CheckHealth {
        health: counted,
        rise,
        fall,
    }
}

/// Has the rules of a frontend that were there before go on to match if they did.
fn go_on_matching(
    (was, old): (&Arc<Frontend>, &Topology),
    (frontend, new): (&Arc<Frontend>, &Topology),
) {
    if Arc::ptr_eq(was, frontend) {
        return;
    }
    let latched = was.config.rules.iter().enumerate();
    let latched = latched.filter(|(index, _)| was.is_latched(*index));
    let latched: Vec<_> = latched.map(|(_, rule)| written(rule, old)).collect();
    for (index, rule) in frontend.config.rules.iter().enumerate() {
        if rule.until.is_some() && latched.contains(&written(rule, new)) {
            frontend.latch(index);
        }
    }
}

/// What a rule says, by names.
fn written(rule: &RuleConfig, names: &dyn Names) -> (String, [Option<String>; 2]) {
    let conditions = [&rule.condition, &rule.until];
    let shown = conditions.map(|c| c.as_ref().map(|c| c.written_out(names)));
    (names.backend(rule.backend).to_owned(), shown)
}

#[cfg(test)]
mod tests;
