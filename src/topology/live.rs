//! What is known of a server, in cells that stay when the configuration around them changes.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::status::{ServerStatus, State};

/// The cells of a server; [`super::Server`] reads and writes them.
#[derive(Debug)]
pub(super) struct Live {
    /// The most sessions that it may have; 0 is no limit. Written by the supervisor only.
    pub(super) maxconn: AtomicU32,
    /// Wakes the checker before its time; holds one request at most.
    pub(super) check_wanted: Notify,
    /// Until when other servers are preferred, in milliseconds since `created`; 0 is never.
    pub(super) suspected: AtomicU64,
    /// When the server was built.
    pub(super) created: Instant,
    /// Failed connections in a row, while they are counted.
    pub(super) errors: AtomicU32,
    /// Unanswered sessions in a row, while they are counted.
    pub(super) silent: AtomicU32,
    /// Sessions in a row in which the client said something first, up to where it matters.
    pub(super) clients_first: AtomicU8,
    /// An [`super::server::Observed`] for the checker; 0 is none.
    pub(super) observed: AtomicU8,
    /// Where to connect to; empty until its name resolves.
    pub(super) address: ArcSwapOption<SocketAddr>,
    /// Written by the supervisor only; read by it and by the stats page.
    pub(super) status: Mutex<ServerStatus>,
    /// `status.state` in the form that rules can read without waiting.
    pub(super) up: AtomicBool,
}

impl Live {
    pub(super) fn new(status: ServerStatus, maxconn: u32) -> Self {
        Self {
            maxconn: AtomicU32::new(maxconn),
            check_wanted: Notify::new(),
            suspected: AtomicU64::new(0),
            created: status.since,
            errors: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            clients_first: AtomicU8::new(0),
            observed: AtomicU8::new(0),
            address: ArcSwapOption::empty(),
            up: AtomicBool::new(is_up(status.state)),
            status: Mutex::new(status),
        }
    }
}

/// Whether a server in this state is up for rules (`srv_is_up`).
pub(super) fn is_up(state: State) -> bool {
    !matches!(state, State::Down | State::Maintenance)
}
