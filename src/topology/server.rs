//! A server: what is configured, what is known of it, and what it counted.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::latency::Latency;
use super::live::{Live, is_up};
use super::status::{ServerStatus, State, Toll};
use super::usable::Candidate;
use crate::config::ServerConfig;
use crate::counters::Counters;
use crate::id::{Key, ServerId};

/// Steps of one unit of weight, for shares that grow (configuration.txt, "slowstart").
const WEIGHT_SCALE: u16 = 16;

/// How long a server is suspected, unless a check or a session clears it before.
const SUSPICION: Duration = Duration::from_secs(1);

/// As many sessions in a row that the client begins make it likely that the next one does.
const CLIENTS_FIRST: u8 = 8;

/// One server of a backend.
#[derive(Debug)]
pub struct Server {
    /// Where it stands in the configuration.
    pub id: ServerId,
    /// `backend/server`, as log lines name it.
    pub path: String,
    /// What the configuration says.
    pub config: ServerConfig,
    /// Its tier (see [`super::usable`]).
    pub tier: u32,
    /// What it keeps through reloads.
    pub key: Key,
    /// What it counted.
    pub counters: Arc<Counters>,
    /// How long connections to it take.
    pub latency: Arc<Latency>,
    live: Arc<Live>,
}

/// What real traffic has shown of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// As many connections in a row failed as `observe` allows.
    Errors,
    /// As many sessions in a row were not answered as `silence` allows.
    Silence,
}

impl Observed {
    const ERRORS: u8 = 1;
    const SILENCE: u8 = 2;
}

impl Server {
    /// A server with nothing counted and no address yet.
    pub fn new(
        id: ServerId,
        backend: &str,
        config: ServerConfig,
        tier: u32,
        status: ServerStatus,
        workers: usize,
    ) -> Self {
        let live = Live::new(status, config.maxconn.unwrap_or(0));
        Self {
            id,
            path: format!("{backend}/{}", config.name),
            config,
            tier,
            key: Key::new(),
            counters: Arc::new(Counters::new(workers)),
            latency: Arc::default(),
            live: Arc::new(live),
        }
    }

    /// The same server under another configuration, with all that is known of it and counted:
    /// what one of the two is told, the other knows.
    #[must_use]
    pub fn reconfigured(&self, id: ServerId, config: ServerConfig, tier: u32) -> Self {
        Self {
            id,
            path: self.path.clone(),
            config,
            tier,
            key: self.key,
            counters: Arc::clone(&self.counters),
            latency: Arc::clone(&self.latency),
            live: Arc::clone(&self.live),
        }
    }

    /// Where to connect to, if that is known.
    pub fn address(&self) -> Option<SocketAddr> {
        self.live.address.load().as_deref().copied()
    }

    /// Sets where to connect to. Only the resolver calls this.
    pub fn set_address(&self, address: SocketAddr) {
        self.live.address.store(Some(address.into()));
    }

    /// Leaves the server without an address. Only the supervisor calls this.
    pub fn forget_address(&self) {
        self.live.address.store(None);
    }

    /// All that is known of the server now. A copy: were it a guard, two in one expression would
    /// wait for each other for ever.
    pub fn status(&self) -> ServerStatus {
        self.locked_status().clone()
    }

    fn locked_status(&self) -> MutexGuard<'_, ServerStatus> {
        self.live
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is unchecked or not down, and not in maintenance (`srv_is_up`).
    pub fn is_up(&self) -> bool {
        self.live.up.load(Relaxed)
    }

    /// Its share of sessions: what somebody has set, else what its SRV record says, else the
    /// configured one.
    pub fn weight(&self) -> u16 {
        self.status().weight_or(self.config.weight)
    }

    /// The most sessions that it may have, connecting ones included; 0 is no limit.
    pub fn maxconn(&self) -> u32 {
        self.live.maxconn.load(Relaxed)
    }

    /// Whether it has fewer sessions than it may have.
    pub fn has_room(&self) -> bool {
        let most = self.maxconn();
        most == 0 || self.counters.has_room(most)
    }

    /// See [`super::Backend::set_maxconn`].
    pub(super) fn set_maxconn(&self, most: u32) {
        self.live.maxconn.store(most, Relaxed);
    }

    /// Whether the server is in maintenance, where it is not checked.
    pub fn in_maintenance(&self) -> bool {
        self.status().state == State::Maintenance
    }

    /// Whether the server is not to be checked now.
    pub fn is_unattended(&self) -> bool {
        self.status().is_unattended()
    }

    /// Changes what is known of the server. Only the supervisor calls this, which then has the
    /// backend recompute its usable set.
    pub fn update<T>(&self, change: impl FnOnce(&mut ServerStatus) -> T) -> T {
        let mut status = self.locked_status();
        let result = change(&mut status);
        self.live.up.store(is_up(status.state), Relaxed);
        result
    }

    /// What its trouble has cost sessions since the counters began.
    pub fn toll(&self) -> Toll {
        let broken = self.counters.total(|s| &s.response_errors);
        Toll {
            moved: self.counters.total(|s| &s.redispatches),
            failed: self.counters.total(|s| &s.connect_errors) + broken,
        }
    }

    /// Asks the checker, if there is one, to check the server now.
    pub fn ask_for_check(&self) {
        self.live.check_wanted.notify_one();
    }

    /// Waits until a check is asked for.
    pub async fn check_asked_for(&self) {
        self.live.check_wanted.notified().await;
    }

    /// Has sessions prefer other servers for a moment: this one was slow to connect to, or
    /// could not be connected to, and its checks have not spoken yet.
    pub fn suspect(&self) {
        let until = self.live.created.elapsed() + SUSPICION;
        self.live.suspected.store(until.as_millis() as u64, Relaxed);
        self.ask_for_check();
    }

    /// Whether sessions prefer other servers.
    pub fn is_suspected(&self) -> bool {
        match self.live.suspected.load(Relaxed) {
            0 => false,
            until => (self.live.created.elapsed().as_millis() as u64) < until,
        }
    }

    /// Takes note that a session could not connect. Traffic notices a dead server long before
    /// its next check would.
    pub fn connect_failed(&self) {
        if let Some(observe) = self.config.policy.observe {
            let errors = self.live.errors.fetch_add(1, Relaxed) + 1;
            if errors >= observe.error_limit {
                self.live.errors.store(0, Relaxed);
                self.live.observed.store(Observed::ERRORS, Relaxed);
            }
        }
        self.suspect();
    }

    /// Takes note that a session or a check connected.
    pub fn connect_succeeded(&self) {
        if self.live.suspected.load(Relaxed) > 0 {
            self.live.suspected.store(0, Relaxed);
        }
        if self.live.errors.load(Relaxed) > 0 {
            self.live.errors.store(0, Relaxed);
        }
    }

    /// Takes note that a session got no byte from the server for the time that it may take.
    pub fn was_silent(&self) {
        let Some(silence) = self.config.policy.silence else {
            return;
        };
        if self.live.silent.fetch_add(1, Relaxed) + 1 >= silence.sessions {
            self.live.silent.store(0, Relaxed);
            self.live.observed.store(Observed::SILENCE, Relaxed);
            self.ask_for_check();
        }
    }

    /// Takes note that a session got a byte from the server.
    pub fn answered(&self) {
        if self.live.silent.load(Relaxed) > 0 {
            self.live.silent.store(0, Relaxed);
        }
    }

    /// Takes note of whether the client or the server said something first in a session.
    pub fn note_first(&self, client: bool) {
        let cell = &self.live.clients_first;
        let known = cell.load(Relaxed);
        if !client {
            cell.store(0, Relaxed);
        } else if known < CLIENTS_FIRST {
            cell.store(known + 1, Relaxed);
        }
    }

    /// Whether the clients of this server say something first, as far as is known.
    pub fn client_begins(&self) -> bool {
        self.live.clients_first.load(Relaxed) == CLIENTS_FIRST
    }

    /// What traffic has shown since this was last asked, if it is bad enough to act on.
    pub fn take_observed(&self) -> Option<Observed> {
        match self.live.observed.swap(0, Relaxed) {
            Observed::ERRORS => Some(Observed::Errors),
            Observed::SILENCE => Some(Observed::Silence),
            _ => None,
        }
    }

    /// What decides the server's part in its backend at `now`.
    pub fn candidate(&self, prefer_zone: Option<&str>, now: Instant) -> Candidate {
        let status = self.status();
        Candidate {
            up: matches!(status.state, State::Up | State::Unchecked)
                && self.live.address.load().is_some(),
            held: status.hold.is_some(),
            backup: self.config.backup,
            tier: self.tier,
            local: prefer_zone.is_none_or(|zone| self.config.zone.as_deref() == Some(zone)),
            weight: self.effective_weight(&status, now),
            full_weight: self.full_weight(&status),
        }
    }

    /// The weight in sixteenths.
    fn full_weight(&self, status: &ServerStatus) -> u16 {
        status.weight_or(self.config.weight) * WEIGHT_SCALE
    }

    /// The weight in sixteenths, less while the server starts slowly (as in
    /// configuration.txt, "slowstart", which grows in steps of a sixteenth of the weight too).
    fn effective_weight(&self, status: &ServerStatus, now: Instant) -> u16 {
        let full = self.full_weight(status);
        match (status.slowstart, self.config.policy.slowstart) {
            (Some(began), Some(length)) if full > 0 => {
                let part = now.duration_since(began).as_secs_f64() / length.as_secs_f64();
                ((f64::from(full) * part.min(1.0)) as u16).max(1)
            }
            _ => full,
        }
    }
}
