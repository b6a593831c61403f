//! A backend: its servers and the snapshot of those in use.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::queue::Queue;
use super::server::Server;
use super::usable::{Candidate, Policy, Resume, UsableSet};
use crate::balance::Algorithm;
use crate::config::BackendConfig;
use crate::counters::Counters;
use crate::id::{BackendId, Key};

/// A farm of servers.
#[derive(Debug)]
pub struct Backend {
    /// Where it stands in the configuration.
    pub id: BackendId,
    /// What the configuration says; its servers' part is in [`Backend::servers`].
    pub config: BackendConfig,
    /// In declaration order.
    pub servers: Vec<Arc<Server>>,
    /// What it counted.
    pub counters: Arc<Counters>,
    /// Sessions that wait for a server with room.
    pub queue: Arc<Queue>,
    /// What it keeps through reloads.
    pub key: Key,
    pub(super) policy: Policy,
    usable: ArcSwap<UsableSet>,
    /// Wakes sessions that wait for another set.
    recomputed: Notify,
    /// Whether another one has taken its place, and its set stands still.
    superseded: AtomicBool,
    /// Written by the supervisor only, with `usable`.
    history: Arc<Mutex<History>>,
}

/// When a backend had a server and when it had none.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// When it last changed between having a usable server and having none.
    pub since: Instant,
    /// Changes from some to none (`chkdown`).
    pub downs: u64,
    /// Time without a server before `since`.
    pub past_downtime: Duration,
    /// Sessions that had failed for want of a server when it last changed.
    failed_before: u64,
}

impl Backend {
    /// A backend whose servers' states are taken as they are.
    pub fn new(
        id: BackendId,
        config: BackendConfig,
        servers: Vec<Arc<Server>>,
        workers: usize,
        now: Instant,
    ) -> Self {
        let policy = Policy {
            min_up: config.failover.min_up.clone(),
            zone_min_up: config
                .failover
                .prefer_zone
                .as_ref()
                .map_or(0, |preferred| preferred.min_up),
            allbackups: config.allbackups,
            balance: Algorithm::new(
                config.balance,
                servers
                    .iter()
                    .map(|s| (&*s.config.name, Arc::clone(&s.counters))),
            ),
        };
        let usable = UsableSet::compute(&candidates(&config, &servers, now), &policy, None);
        Self {
            id,
            config,
            servers,
            counters: Arc::new(Counters::with_history(workers)),
            queue: Arc::default(),
            key: Key::new(),
            policy,
            usable: ArcSwap::from_pointee(usable),
            recomputed: Notify::new(),
            superseded: AtomicBool::new(false),
            history: Arc::new(Mutex::new(History {
                since: now,
                downs: 0,
                past_downtime: Duration::ZERO,
                failed_before: 0,
            })),
        }
    }

    /// The same backend under another configuration, with what it counted and its history.
    #[must_use]
    pub fn reconfigured(
        &self,
        id: BackendId,
        config: BackendConfig,
        servers: Vec<Arc<Server>>,
        now: Instant,
    ) -> Self {
        let workers = self.counters.workers();
        Self {
            counters: Arc::clone(&self.counters),
            queue: Arc::clone(&self.queue),
            key: self.key,
            history: Arc::clone(&self.history),
            ..Self::new(id, config, servers, workers, now)
        }
    }

    /// The servers that get new sessions now.
    pub fn usable(&self) -> Guard<Arc<UsableSet>> {
        self.usable.load()
    }

    /// Ends when another set takes the place of the one that is usable now.
    pub fn recomputed(&self) -> Notified<'_> {
        self.recomputed.notified()
    }

    /// Whether a reload has put another in its place, or has removed it.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Relaxed)
    }

    /// Takes note that a reload has put another in its place, or has removed it. Only the
    /// supervisor calls this.
    pub fn supersede(&self) {
        self.superseded.store(true, Relaxed);
        self.recomputed.notify_waiters();
        self.queue.serve();
    }

    /// The server at a position of [`UsableSet`].
    pub fn server(&self, position: u32) -> &Arc<Server> {
        &self.servers[position as usize]
    }

    /// Takes the servers' states into account. Only the supervisor calls this.
    pub fn recompute(&self, now: Instant) {
        let previous = self.usable.load_full();
        self.take_set(previous.nbsrv() > 0, previous.resume(), now);
    }

    /// As [`Self::recompute`], where balancing goes on where it is in `was`, whose place this
    /// takes. Only the supervisor calls this.
    pub fn go_on_from(&self, was: &Self, now: Instant) {
        let previous = was.usable();
        let resume = previous.resume().map(|resume| Resume {
            next: self.position_after(was, resume.next),
            ..resume
        });
        self.take_set(previous.nbsrv() > 0, resume, now);
    }

    /// Where the server stands that is at `position` in `was`, or the next one that is still here.
    fn position_after(&self, was: &Self, position: u32) -> u32 {
        let places: HashMap<_, _> = self.servers.iter().map(|s| s.key).zip(0..).collect();
        let (before, after) = was.servers.split_at(position as usize);
        let mut turn = after.iter().chain(before);
        let place = turn.find_map(|server| places.get(&server.key));
        place.copied().unwrap_or(0)
    }

    fn take_set(&self, had: bool, resume: Option<Resume>, now: Instant) {
        let candidates = candidates(&self.config, &self.servers, now);
        let set = UsableSet::compute(&candidates, &self.policy, resume);
        let has = set.nbsrv() > 0;
        if had != has {
            let mut history = self
                .history
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if has {
                let outage = now.duration_since(history.since);
                history.past_downtime += outage;
            } else {
                history.downs += 1;
            }
            history.since = now;
            history.failed_before = self.failed();
        }
        self.usable.store(Arc::new(set));
        self.recomputed.notify_waiters();
        self.queue.serve();
    }

    /// Sets how many sessions one of its servers may have; 0 is no limit. Only the supervisor
    /// calls this.
    pub fn set_maxconn(&self, server: &Server, most: u32) {
        server.set_maxconn(most);
        self.queue.serve();
    }

    /// Sessions that got no server since it last changed between having one and having none.
    pub fn failed_since(&self) -> u64 {
        self.failed().saturating_sub(self.history().failed_before)
    }

    fn failed(&self) -> u64 {
        self.counters.total(|s| &s.connect_errors)
    }

    /// When it had a server and when it had none.
    pub fn history(&self) -> History {
        *self
            .history
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn candidates(config: &BackendConfig, servers: &[Arc<Server>], now: Instant) -> Vec<Candidate> {
    let zone = config
        .failover
        .prefer_zone
        .as_ref()
        .map(|preferred| preferred.zone.as_str());
    servers
        .iter()
        .map(|server| server.candidate(zone, now))
        .collect()
}
