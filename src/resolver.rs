//! Names to addresses, by the system's resolver.
//!
//! A name that does not resolve keeps nobody from starting: its server is down and says why,
//! and the name is looked up again. So is the name of a server that is down, because a
//! container that comes back may come back with another address.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::supervisor::Supervisor;
use crate::topology::{Server, Topology};

/// How long one look-up may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Between two look-ups of a server that is down or has no address.
const INTERVAL: Duration = Duration::from_secs(2);

/// Look-ups at once; each holds a thread while it waits.
const AT_ONCE: usize = 16;

/// The address of `host`, a name or an address; IPv4 is preferred.
pub async fn look_up(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let found = timeout(LIMIT, tokio::net::lookup_host((host, 0)))
        .await
        .ok()?
        .ok()?;
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    addresses
        .iter()
        .find(|ip| ip.is_ipv4())
        .or(addresses.first())
        .copied()
}

/// Looks up every server once, so that what can be known is known before the first session.
pub async fn resolve_all(topology: &Topology, supervisor: &Rc<Supervisor>) {
    let servers = topology.servers().cloned().collect();
    look_up_servers(servers, supervisor).await;
}

/// Looks up, for ever, the servers that are down or have no address.
pub async fn run(topology: Arc<Topology>, supervisor: Rc<Supervisor>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let lost = |server: &&Arc<Server>| !server.is_up() || server.address().is_none();
        look_up_servers(
            topology.servers().filter(lost).cloned().collect(),
            &supervisor,
        )
        .await;
    }
}

async fn look_up_servers(servers: Vec<Arc<Server>>, supervisor: &Rc<Supervisor>) {
    let places = Rc::new(Semaphore::new(AT_ONCE));
    let mut look_ups = JoinSet::new();
    for server in servers {
        let configured = &server.config.address;
        if let Ok(ip) = configured.host.parse() {
            if server.address().is_none() {
                supervisor.address_found(&server, SocketAddr::new(ip, configured.port));
            }
            continue;
        }
        let (places, supervisor) = (Rc::clone(&places), Rc::clone(supervisor));
        look_ups.spawn_local(async move {
            // Never closed, so always acquired.
            let _place = places.acquire().await;
            match look_up(&server.config.address.host).await {
                Some(ip) => {
                    let address = SocketAddr::new(ip, server.config.address.port);
                    supervisor.address_found(&server, address);
                }
                None => supervisor.address_missing(&server),
            }
        });
    }
    look_ups.join_all().await;
}
