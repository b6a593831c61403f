//! Names to addresses, at the start and for as long as the process runs.
//!
//! A name that does not resolve keeps nobody from starting: its server is down and says why,
//! and the name is looked up again.
//!
//! A container that comes back may come back with another address, and another container may
//! have its old one and answer checks there. So a server that is down loses an address that its
//! name does not have any more, and the names of servers that are up are looked up too. A server
//! keeps its address while no name server answers: its name says nothing then.
//!
//! - `ask`: one question and its answer.
//! - `endpoint`: where names lead.
//! - `slots`: which servers of a template take which addresses.
//! - `times`: when a name is looked up again.

mod ask;
mod endpoint;
mod runtime;
mod slots;
mod times;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout_at};

use self::ask::{Answer, ask};
use self::endpoint::Endpoint;
use self::slots::Slot;
use self::times::Times;
use crate::config::ServerAddress;
use crate::config::resolve::ResolveConfig;
use crate::id::Key;
use crate::supervisor::Supervisor;
use crate::topology::{Current, Server, Topology};

/// Look-ups at once; each may hold a few descriptors while it waits.
const AT_ONCE: usize = 16;

/// How long the first sessions may be kept waiting for name servers.
const KNOWN_BEFORE: Duration = Duration::from_secs(3);

/// The servers that one name is looked up for: one, or those of a template.
type Named = Vec<Arc<Server>>;

/// The address of `host`, a name or an address.
pub async fn look_up(host: &str, config: &ResolveConfig) -> Option<IpAddr> {
    let address = ServerAddress {
        host: host.to_owned(),
        // Any port, which nobody looks at.
        port: 1,
    };
    match ask(&address, config, None).await {
        Answer::At(found, _) => found.first().map(|endpoint| endpoint.address.ip()),
        Answer::Missing | Answer::Silence => None,
    }
}

/// Gives the servers of `topology` that are `new`, and that nobody uses yet, the addresses that
/// their names have now.
pub async fn introduce(topology: &Topology, new: impl Fn(&Server) -> bool) {
    for server in topology.servers().filter(|server| new(server)) {
        if let Some(address) = fixed(server) {
            server.set_address(address);
        }
    }
    let named = names(topology).into_iter();
    let wanted = named.filter(|servers| servers.iter().any(|server| new(server)));
    let mut look_ups = JoinSet::new();
    start(&mut look_ups, &Rc::new(Semaphore::new(AT_ONCE)), wanted);
    while let Some(done) = look_ups.join_next().await {
        let Ok((servers, Answer::At(endpoints, _))) = done else {
            continue;
        };
        for (server, endpoint) in assign(&servers, &endpoints) {
            if new(&server) {
                server.set_address(endpoint.address);
                server.update(|status| status.occupy(endpoint.record));
            }
        }
    }
}

/// The servers that would get an address that they do not have.
fn assign(servers: &Named, endpoints: &[Endpoint]) -> Vec<(Arc<Server>, Endpoint)> {
    if servers[0].config.slot.is_none() {
        let chosen = choose(endpoints, servers[0].address());
        let chosen = chosen.map(|endpoint| (Arc::clone(&servers[0]), endpoint.clone()));
        return chosen.into_iter().collect();
    }
    let slots: Vec<_> = servers.iter().map(|server| slot(server, None)).collect();
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let plan = slots::plan(&slots, &addresses, Duration::MAX, Instant::now());
    let shall = servers.iter().zip(plan.slots);
    let taken = shall.filter_map(|(server, (address, _))| {
        let address = address.filter(|address| server.address() != Some(*address))?;
        let endpoint = endpoints.iter().find(|e| e.address == address)?;
        Some((Arc::clone(server), endpoint.clone()))
    });
    taken.collect()
}

/// Looks up every server once, so that what can be known is known before the first session.
/// Returns what [`run`] goes on with.
pub async fn resolve_all(topology: &Topology, supervisor: &Rc<Supervisor>) -> Memory {
    let (began, mut found) = (Instant::now(), Vec::new());
    let mut memory = Memory::default();
    let mut look_ups = JoinSet::new();
    let named = names(topology);
    let places = Rc::new(Semaphore::new(AT_ONCE));
    start(&mut look_ups, &places, named.iter().cloned());
    let end = tokio::time::Instant::from_std(began + KNOWN_BEFORE);
    while let Ok(Some(done)) = timeout_at(end, look_ups.join_next()).await {
        found.extend(done.ok());
    }
    let answered: HashMap<_, _> = found
        .into_iter()
        .map(|(servers, answer)| (servers[0].key, answer))
        .collect();
    // In the order of declaration, or the first session would go to whichever was found first.
    for servers in together(topology) {
        if let Some(address) = fixed(&servers[0]) {
            supervisor.address_found(&servers[0], address);
            continue;
        }
        let answer = answered.get(&servers[0].key).unwrap_or(&Answer::Silence);
        memory.asked(&servers, began);
        memory.take(supervisor, &servers, answer, Instant::now());
    }
    memory
}

/// Looks up all names for ever, those of servers that are down or have no address more often.
pub async fn run(current: Current, supervisor: Rc<Supervisor>, mut memory: Memory) {
    let mut look_ups = JoinSet::new();
    let places = Rc::new(Semaphore::new(AT_ONCE));
    let mut topology = current.get();
    let mut named = names(&topology);
    loop {
        tokio::select! {
            Some(done) = look_ups.join_next() => {
                if let Ok((servers, answer)) = done {
                    memory.take(&supervisor, &servers, &answer, Instant::now());
                }
            }
            () = sleep(times::tick(&named)) => {
                let now = Instant::now();
                if !Arc::ptr_eq(&topology, &current.get()) {
                    topology = current.get();
                    named = names(&topology);
                    memory.keep(&topology);
                }
                let due = named.iter().filter(|servers| memory.is_due(servers, now));
                let due: Vec<_> = due.cloned().collect();
                for servers in &due {
                    memory.asked(servers, now);
                }
                start(&mut look_ups, &places, due.into_iter());
            }
        }
    }
}

/// The servers with names, which may get other addresses.
fn names(topology: &Topology) -> Vec<Named> {
    let named = together(topology);
    named
        .filter(|servers| servers[0].config.address.is_name())
        .collect()
}

/// Every server, in order; those of a template together.
fn together(topology: &Topology) -> impl Iterator<Item = Named> {
    let template = |server: &Arc<Server>| server.config.slot.as_ref().map(|s| s.template.clone());
    let same = move |a: &Arc<Server>, b: &Arc<Server>| {
        template(a).is_some_and(|name| Some(name) == template(b))
    };
    let backends = topology.backends.iter();
    let all = backends.flat_map(move |backend| backend.servers.chunk_by(same));
    all.map(<[_]>::to_vec)
}

/// The address of a server that has no name.
fn fixed(server: &Server) -> Option<SocketAddr> {
    let configured = &server.config.address;
    let ip = configured.host.parse().ok()?;
    Some(SocketAddr::new(ip, configured.port))
}

/// Asks for each name, [`AT_ONCE`] at once; each answer is there as soon as it is known.
fn start(
    look_ups: &mut JoinSet<(Named, Answer)>,
    places: &Rc<Semaphore>,
    named: impl Iterator<Item = Named>,
) {
    for servers in named {
        let places = Rc::clone(places);
        look_ups.spawn_local(async move {
            // Never closed, so always acquired.
            let _place = places.acquire().await;
            let server = Arc::clone(&servers[0]);
            // By itself, so that a panic over what a name server sent ends this look-up only.
            let asking = spawn_local(async move {
                let config = &server.config;
                let in_use = server.address().filter(|_| config.slot.is_none());
                let in_use = in_use.map(|address| address.ip());
                ask(&config.address, &config.resolve, in_use).await
            });
            (servers, asking.await.unwrap_or(Answer::Silence))
        });
    }
}

fn is_lost(server: &Server) -> bool {
    !server.is_up() || server.address().is_none()
}

/// The one in use if it is still among them, so that a name server that changes their order moves
/// nothing; else the first, which is of the preferred family.
fn choose(endpoints: &[Endpoint], in_use: Option<SocketAddr>) -> Option<&Endpoint> {
    let same = |endpoint: &&Endpoint| Some(endpoint.address) == in_use;
    let used = endpoints.iter().find(same);
    used.or_else(|| endpoints.first())
}

fn slot(server: &Server, missing_since: Option<Instant>) -> Slot {
    Slot {
        held: server.address(),
        fixed: server.status().address.is_some(),
        works: server.is_up(),
        missing_since,
    }
}

/// What is remembered of names between two look-ups.
#[derive(Debug, Default)]
pub struct Memory {
    /// Since when a server's name, or its address in its name's answers, has been missing.
    missing: HashMap<Key, Instant>,
    /// When names are looked up, by their first server.
    times: HashMap<Key, Times>,
    /// Templates that have fewer servers than their name has addresses, by their first server.
    short: HashMap<Key, usize>,
}

impl Memory {
    /// Whether a name is to be looked up at `now`.
    fn is_due(&self, servers: &Named, now: Instant) -> bool {
        let Some(times) = self.times.get(&servers[0].key) else {
            return true;
        };
        let placed = || servers.iter().filter(|server| server.address().is_some());
        let lost = placed().next().is_none() || placed().any(|server| is_lost(server));
        times.is_due(&servers[0].config.resolve, lost, now)
    }

    fn asked(&mut self, servers: &Named, now: Instant) {
        self.times.entry(servers[0].key).or_default().asked(now);
    }

    /// Forgets the servers that `topology` does not have.
    fn keep(&mut self, topology: &Topology) {
        let stays = |key: &Key| topology.server_with(*key).is_some();
        self.missing.retain(|key, _| stays(key));
        self.times.retain(|key, _| stays(key));
        self.short.retain(|key, _| stays(key));
    }

    /// Has the servers become what the answer means for them.
    fn take(
        &mut self,
        supervisor: &Rc<Supervisor>,
        servers: &Named,
        answer: &Answer,
        now: Instant,
    ) {
        let times = self.times.entry(servers[0].key).or_default();
        times.answered(&servers[0].config.resolve, answer);
        // They may be configured otherwise by now.
        let servers: Named = servers.iter().map(|s| supervisor.latest(s)).collect();
        if servers[0].config.slot.is_some() {
            return self.take_slots(supervisor, &servers, answer, now);
        }
        let server = &servers[0];
        let hold = server.config.resolve.hold_nx;
        let missing = *answer == Answer::Missing;
        let forget = self.note(server.key, missing, is_lost(server), hold, now);
        let found = match answer {
            Answer::At(endpoints, _) => choose(endpoints, server.address()),
            Answer::Missing | Answer::Silence => None,
        };
        match found {
            Some(endpoint) => supervisor.address_found(server, endpoint.address),
            None => supervisor.address_missing(server, forget),
        }
    }

    /// Takes whether a server's name is missing at `now`. Returns whether the server should lose
    /// its address.
    fn note(
        &mut self,
        server: Key,
        missing: bool,
        lost: bool,
        hold: Duration,
        now: Instant,
    ) -> bool {
        if !missing {
            self.missing.remove(&server);
            return false;
        }
        let since = *self.missing.entry(server).or_insert(now);
        lost || now.duration_since(since) >= hold
    }

    fn take_slots(
        &mut self,
        supervisor: &Rc<Supervisor>,
        servers: &Named,
        answer: &Answer,
        now: Instant,
    ) {
        let config = &servers[0].config.resolve;
        let (endpoints, hold) = match answer {
            Answer::At(endpoints, _) => (&endpoints[..], config.hold_obsolete),
            Answer::Missing => (&[][..], config.hold_nx),
            Answer::Silence => return,
        };
        let slots = servers
            .iter()
            .map(|s| slot(s, self.missing.get(&s.key).copied()));
        let slots: Vec<_> = slots.collect();
        let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        let plan = slots::plan(&slots, &addresses, hold, now);
        for (server, (address, since)) in servers.iter().zip(&plan.slots) {
            match since {
                Some(since) => self.missing.insert(server.key, *since),
                None => self.missing.remove(&server.key),
            };
            let endpoint = endpoints.iter().find(|e| Some(e.address) == *address);
            match (address, endpoint) {
                (None, _) => supervisor.vacate(server),
                (Some(_), Some(endpoint)) => {
                    supervisor.occupy(server, endpoint.address, endpoint.record.clone());
                }
                // Held although the name does not have it.
                (Some(_), None) => {}
            }
        }
        self.tell_shortage(servers, endpoints.len(), plan.left_over);
    }

    /// Says once that a name has more addresses than there are servers for them.
    fn tell_shortage(&mut self, servers: &Named, addresses: usize, left_over: usize) {
        let (first, count) = (&servers[0], servers.len());
        if left_over == 0 {
            self.short.remove(&first.key);
        } else if self.short.insert(first.key, count) != Some(count) {
            tracing::warn!(
                target: "event",
                "{} has {addresses} addresses for {count} servers from {} on: {left_over} of them \
                 get no sessions until `count` is higher.",
                first.config.address.host,
                first.path
            );
        }
    }
}

#[cfg(test)]
mod tests;
