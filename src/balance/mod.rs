//! How a server is chosen among those in use: one file per algorithm.
//!
//! An [`Algorithm`] is what a backend knows of all its servers as long as its configuration stays;
//! an [`Order`] is made of it for the servers in use, whenever those or their weights change.
//! Nothing here allocates or takes a lock on choosing.

mod least_conn;
mod round_robin;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::least_conn::LeastConn;
pub use self::round_robin::RoundRobin;
use crate::config::Balance;
use crate::counters::Counters;

/// A backend's algorithm, with what it has to know of the servers.
#[derive(Debug, Clone, Default)]
pub enum Algorithm {
    /// In turn.
    #[default]
    RoundRobin,
    /// The one with the fewest sessions; what each server counted, by its position.
    LeastConn(Box<[Arc<Counters>]>),
}

impl Algorithm {
    /// The algorithm for servers that count their sessions in `counters`, in declaration order.
    pub fn new(balance: Balance, counters: impl Iterator<Item = Arc<Counters>>) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin,
            Balance::LeastConn => Self::LeastConn(counters.collect()),
        }
    }

    /// Whether it compares how many sessions servers have, so that one that connects has to
    /// count too.
    pub fn compares_sessions(&self) -> bool {
        matches!(self, Self::LeastConn(_))
    }

    /// The order for `(server position, weight)` pairs, weights above 0, in declaration order.
    ///
    /// Those that take turns go on at the first server at or after the position `resume_at`, so
    /// that a server that joins or leaves does not send the next sessions back to the first one.
    pub fn order(&self, servers: &[(u32, u16)], resume_at: u32) -> Order {
        match self {
            Self::RoundRobin => Order::RoundRobin(RoundRobin::new(servers, resume_at)),
            Self::LeastConn(counters) => {
                Order::LeastConn(LeastConn::new(servers, counters, resume_at))
            }
        }
    }
}

/// The order in which the servers in use are chosen.
#[derive(Debug)]
pub enum Order {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`LeastConn`].
    LeastConn(LeastConn),
}

impl Order {
    /// The server for a new session of `client`, or `None` if there is none.
    pub fn next(&self, _client: IpAddr) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.next(),
            Self::LeastConn(order) => order.next(),
        }
    }

    /// The first of those that `fit` for a session of `client`.
    pub fn next_that(&self, _client: IpAddr, fits: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.next_that(fits),
            Self::LeastConn(order) => order.next_that(fits),
        }
    }

    /// Where the next turn begins, of those that take turns; `None` if there is no server.
    pub fn resume_at(&self) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.peek(),
            Self::LeastConn(order) => order.peek(),
        }
    }
}
