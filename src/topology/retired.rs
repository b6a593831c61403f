//! What reloads have removed and sessions still use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Frontend, Server, Topology};
use crate::counters::Counters;
use crate::id::Key;

/// For how long a removed frontend is kept at least: a connection may just be accepted.
const LAST_CONNECTIONS: Duration = Duration::from_secs(2);

/// Servers and frontends that are no longer configured and have open sessions. Shared by the
/// topologies before and after each reload; written by the supervisor only.
#[derive(Debug)]
pub struct Retired {
    lists: Mutex<Lists>,
    /// What the frontends had counted that are gone altogether.
    past: Counters,
}

#[derive(Debug, Default)]
struct Lists {
    servers: Vec<Arc<Server>>,
    frontends: Vec<(Instant, Arc<Frontend>)>,
}

impl Retired {
    /// Nothing yet, in a process of so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            lists: Mutex::default(),
            past: Counters::new(workers),
        }
    }

    /// The servers that get no new sessions and have not lost their last one, and the
    /// frontends that accept no more.
    pub fn lists(&self) -> (Vec<Arc<Server>>, Vec<Arc<Frontend>>) {
        let lists = self.lock();
        let frontends = lists.frontends.iter().map(|(_, frontend)| frontend);
        (lists.servers.clone(), frontends.cloned().collect())
    }

    /// The server with this key, if it is one of them.
    pub fn server(&self, key: Key) -> Option<Arc<Server>> {
        let lists = self.lock();
        let found = lists.servers.iter().find(|server| server.key == key);
        found.cloned()
    }

    /// A number summed over the frontends that are removed.
    pub fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        let lists = self.lock();
        let frontends = lists.frontends.iter();
        let open: u64 = frontends.map(|(_, f)| of(&f.counters)).sum();
        open + of(&self.past)
    }

    /// Takes in what `old` has and `new` has not, and gives back what `new` has again.
    pub fn take(&self, old: &Topology, new: &Topology, now: Instant) {
        let mut lists = self.lock();
        lists.servers.retain(|s| new.server_with(s.key).is_none());
        let removed = old.servers().filter(|s| new.server_with(s.key).is_none());
        lists.servers.extend(removed.cloned());
        lists.frontends.retain(|(_, f)| new.successor(f).is_none());
        let removed = old.frontends.iter().filter(|f| new.successor(f).is_none());
        let removed = removed.map(|frontend| (now, Arc::clone(frontend)));
        lists.frontends.extend(removed);
    }

    /// Forgets those that no session uses any more. Returns whether a server was among them.
    pub fn forget(&self, now: Instant) -> bool {
        let mut lists = self.lock();
        let before = lists.servers.len();
        lists.servers.retain(|server| server.counters.open() > 0);
        lists.frontends.retain(|(since, frontend)| {
            let counters = &frontend.counters;
            let used = counters.open() > 0 || now.duration_since(*since) < LAST_CONNECTIONS;
            if !used {
                self.past.absorb(counters);
            }
            used
        });
        lists.servers.len() < before
    }

    /// Begins everything anew that counts up (management.txt, "clear counters all").
    pub fn clear(&self) {
        let lists = self.lock();
        lists.frontends.iter().for_each(|(_, f)| f.counters.clear());
        self.past.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
