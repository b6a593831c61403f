//! Names to addresses, by the system's resolver.
//!
//! A name that does not resolve keeps nobody from starting: its server is down and says why,
//! and the name is looked up again.
//!
//! A container that comes back may come back with another address, and another container may
//! have its old one and answer checks there. So a server that is down loses an address that its
//! name does not have any more, and the names of servers that are up are looked up too. A server
//! keeps its address while no name server answers: its name says nothing then.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::id::Key;
use crate::supervisor::Supervisor;
use crate::topology::{Current, Server, Topology};

/// How long one look-up may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Between two look-ups of a server that is down or has no address.
const INTERVAL: Duration = Duration::from_secs(2);

/// Between two look-ups of a server that is up (configuration.txt, "hold valid").
const INTERVAL_UP: Duration = Duration::from_secs(10);

/// For how long a name may be missing before a server that passes its checks loses its address
/// (configuration.txt, "hold nx").
const HOLD: Duration = Duration::from_secs(30);

/// Look-ups at once; each holds a thread while it waits.
const AT_ONCE: usize = 16;

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// Its addresses, one at least.
    At(Vec<IpAddr>),
    /// There is no such name, or it has no address.
    Missing,
    /// Nobody says.
    Silence,
}

/// The address of `host`, a name or an address; IPv4 is preferred.
pub async fn look_up(host: &str) -> Option<IpAddr> {
    match ask(host).await {
        Answer::At(addresses) => choose(&addresses, None),
        Answer::Missing | Answer::Silence => None,
    }
}

/// Looks up a server that gets no sessions yet.
pub async fn look_up_new(server: &Server) {
    if let Some(ip) = look_up(&server.config.address.host).await {
        server.set_address(SocketAddr::new(ip, server.config.address.port));
    }
}

async fn ask(host: &str) -> Answer {
    if let Ok(address) = host.parse() {
        return Answer::At(vec![address]);
    }
    let host = host.to_owned();
    match timeout(LIMIT, spawn_blocking(move || ask_system(&host))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Answer::Silence,
    }
}

fn ask_system(host: &str) -> Answer {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => found,
        Err(error) => return failure(error.kind()),
    };
    let addresses: Vec<_> = found.flatten().map(|found| found.sockaddr.ip()).collect();
    if addresses.is_empty() {
        Answer::Missing
    } else {
        Answer::At(addresses)
    }
}

fn failure(kind: LookupErrorKind) -> Answer {
    match kind {
        LookupErrorKind::NoName | LookupErrorKind::NoData => Answer::Missing,
        _ => Answer::Silence,
    }
}

/// The one in use if it is still among the addresses, so that a name server that changes their
/// order moves nothing; else the first of IPv4; else the first.
fn choose(addresses: &[IpAddr], in_use: Option<IpAddr>) -> Option<IpAddr> {
    in_use
        .filter(|ip| addresses.contains(ip))
        .or_else(|| addresses.iter().copied().find(IpAddr::is_ipv4))
        .or_else(|| addresses.first().copied())
}

/// Looks up every server once, so that what can be known is known before the first session.
pub async fn resolve_all(topology: &Topology, supervisor: &Rc<Supervisor>) {
    let mut found = ask_for(topology.servers().cloned()).join_all().await;
    // In the order of declaration, or the first session would go to whichever was found first.
    found.sort_by_key(|(server, _)| server.id);
    for (server, answer) in found {
        take(supervisor, &server, &answer, false);
    }
}

/// Looks up, for ever, the servers that are down or have no address, and less often the others.
pub async fn run(current: Current, supervisor: Rc<Supervisor>) {
    let mut absences = Absences::default();
    let mut all_at = Instant::now() + INTERVAL_UP;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let all = Instant::now() >= all_at;
        let topology = current.get();
        if all {
            all_at = Instant::now() + INTERVAL_UP;
            absences.keep(&topology);
        }
        let wanted = |server: &&Arc<Server>| is_named(server) && (all || is_lost(server));
        let mut look_ups = ask_for(topology.servers().filter(wanted).cloned());
        while let Some(done) = look_ups.join_next().await {
            let Ok((server, answer)) = done else { continue };
            let missing = answer == Answer::Missing;
            let forget = absences.note(server.key, missing, is_lost(&server), Instant::now());
            take(&supervisor, &server, &answer, forget);
        }
    }
}

/// Whether the server has a name, which may get other addresses.
fn is_named(server: &Server) -> bool {
    server.config.address.host.parse::<IpAddr>().is_err()
}

fn is_lost(server: &Server) -> bool {
    !server.is_up() || server.address().is_none()
}

/// Since when the names of servers have been missing.
#[derive(Debug, Default)]
struct Absences(HashMap<Key, Instant>);

impl Absences {
    /// Takes whether a server's name is missing at `now`. Returns whether the server should lose
    /// its address.
    fn note(&mut self, server: Key, missing: bool, lost: bool, now: Instant) -> bool {
        if !missing {
            self.0.remove(&server);
            return false;
        }
        let since = *self.0.entry(server).or_insert(now);
        lost || now.duration_since(since) >= HOLD
    }

    /// Forgets the servers that `topology` does not have.
    fn keep(&mut self, topology: &Topology) {
        self.0.retain(|key, _| topology.server_with(*key).is_some());
    }
}

/// Asks for every server's name, [`AT_ONCE`] at once; each answer is there as soon as it is known.
fn ask_for(servers: impl Iterator<Item = Arc<Server>>) -> JoinSet<(Arc<Server>, Answer)> {
    let places = Rc::new(Semaphore::new(AT_ONCE));
    let mut look_ups = JoinSet::new();
    for server in servers {
        let places = Rc::clone(&places);
        look_ups.spawn_local(async move {
            // Never closed, so always acquired.
            let _place = places.acquire().await;
            let answer = ask(&server.config.address.host).await;
            (server, answer)
        });
    }
    look_ups
}

fn take(supervisor: &Rc<Supervisor>, server: &Arc<Server>, answer: &Answer, forget: bool) {
    let in_use = server.address().map(|address| address.ip());
    let found = match answer {
        Answer::At(addresses) => choose(addresses, in_use),
        Answer::Missing | Answer::Silence => None,
    };
    match found {
        Some(ip) => {
            let address = SocketAddr::new(ip, server.config.address.port);
            supervisor.address_found(server, address);
        }
        None => supervisor.address_missing(server, forget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn the_address_in_use_stays_while_the_name_has_it() {
        let addresses = ips(&["::1", "10.0.0.1", "10.0.0.2"]);
        let chosen = |in_use: Option<&str>| {
            choose(&addresses, in_use.map(|ip| ip.parse().unwrap())).unwrap()
        };
        assert_eq!(chosen(None).to_string(), "10.0.0.1");
        assert_eq!(chosen(Some("10.0.0.2")).to_string(), "10.0.0.2");
        assert_eq!(chosen(Some("::1")).to_string(), "::1");
        assert_eq!(chosen(Some("10.0.0.3")).to_string(), "10.0.0.1");
        assert_eq!(choose(&ips(&["::1"]), None), Some("::1".parse().unwrap()));
        assert_eq!(choose(&[], None), None);
    }

    #[test]
    fn only_an_answer_says_that_a_name_is_missing() {
        assert_eq!(failure(LookupErrorKind::NoName), Answer::Missing);
        assert_eq!(failure(LookupErrorKind::NoData), Answer::Missing);
        assert_eq!(failure(LookupErrorKind::Again), Answer::Silence);
        assert_eq!(failure(LookupErrorKind::Fail), Answer::Silence);
    }

    #[test]
    fn a_server_that_is_up_keeps_its_address_for_a_while() {
        let server = Key::new();
        let mut absences = Absences::default();
        let began = Instant::now();
        let mut note = |missing, lost, seconds| {
            absences.note(server, missing, lost, began + Duration::from_secs(seconds))
        };
        assert!(!note(true, false, 0));
        assert!(!note(true, false, 29));
        assert!(!note(false, false, 30));
        assert!(!note(true, false, 40));
        assert!(note(true, false, 70));
        assert!(!note(false, true, 71));
        assert!(note(true, true, 72));
    }

    #[tokio::test]
    async fn the_system_knows_the_loopback() {
        assert_eq!(
            look_up("192.0.2.7").await,
            Some("192.0.2.7".parse().unwrap())
        );
        assert_eq!(
            look_up("localhost").await,
            Some("127.0.0.1".parse().unwrap())
        );
    }
}
