//! A server: what is configured, what is known of it, and what it counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use super::status::{ServerStatus, State};
use super::usable::Candidate;
use crate::config::ServerConfig;
use crate::counters::Counters;
use crate::id::ServerId;

/// One server of a backend.
#[derive(Debug)]
pub struct Server {
    /// Where it stands in the configuration.
    pub id: ServerId,
    /// `backend/server`, as log lines name it.
    pub path: String,
    /// What the configuration says.
    pub config: ServerConfig,
    /// What it counted.
    pub counters: Counters,
    /// Where to connect to; empty until its name resolves.
    address: ArcSwapOption<SocketAddr>,
    /// Written by the supervisor only; read by it and by the stats page.
    status: Mutex<ServerStatus>,
    /// `status.state` in the form that rules can read without waiting.
    up: AtomicBool,
}

impl Server {
    /// A server with nothing counted and no address yet.
    pub fn new(
        id: ServerId,
        backend: &str,
        config: ServerConfig,
        status: ServerStatus,
        workers: usize,
    ) -> Self {
        Self {
            id,
            path: format!("{backend}/{}", config.name),
            config,
            counters: Counters::new(workers),
            address: ArcSwapOption::empty(),
            up: AtomicBool::new(status.state != State::Down),
            status: Mutex::new(status),
        }
    }

    /// Where to connect to, if that is known.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.load().as_deref().copied()
    }

    /// Sets where to connect to. Only the resolver calls this.
    pub fn set_address(&self, address: SocketAddr) {
        self.address.store(Some(address.into()));
    }

    /// All that is known of the server. Not for workers: it may wait for another reader.
    pub fn status(&self) -> MutexGuard<'_, ServerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is unchecked or not down (`srv_is_up`).
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Changes what is known of the server. Only the supervisor calls this, which then has the
    /// backend recompute its usable set.
    pub fn update<T>(&self, change: impl FnOnce(&mut ServerStatus) -> T) -> T {
        let mut status = self.status();
        let result = change(&mut status);
        self.up.store(status.state != State::Down, Relaxed);
        result
    }

    /// What decides the server's part in its backend now.
    pub fn candidate(&self) -> Candidate {
        Candidate {
            up: self.is_up() && self.address.load().is_some(),
            backup: self.config.backup,
            weight: self.config.weight,
        }
    }
}
