//! How a server is chosen among those in use: one file per algorithm.
//!
//! An [`Algorithm`] is what a backend knows of all its servers as long as its configuration stays;
//! an [`Order`] is made of it for the servers in use, whenever those or their weights change.
//! Nothing here allocates or takes a lock on choosing.

mod first;
mod least_conn;
mod mix;
mod random;
mod round_robin;
mod source;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::first::First;
pub use self::least_conn::LeastConn;
pub use self::random::Random;
pub use self::round_robin::RoundRobin;
pub use self::source::{Source, Table};
use crate::config::Balance;
use crate::counters::Counters;

/// A backend's algorithm, with what it has to know of all its servers, by position.
#[derive(Debug, Default)]
pub enum Algorithm {
    /// In turn.
    #[default]
    RoundRobin,
    /// The one with the fewest sessions; what each server counted.
    LeastConn(Box<[Arc<Counters>]>),
    /// By the client's address; the table is made anew when a weight changes.
    Source(Mutex<Arc<Table>>),
    /// The least loaded of a few at random.
    Random {
        /// How many.
        draws: u32,
        /// What each server counted.
        counters: Box<[Arc<Counters>]>,
    },
    /// The first with room.
    First,
}

impl Algorithm {
    /// The algorithm for servers of these names, in declaration order, each with what counts its
    /// sessions.
    pub fn new<'n>(
        balance: Balance,
        servers: impl Iterator<Item = (&'n str, Arc<Counters>)>,
    ) -> Self {
        let (names, counters): (Vec<_>, Vec<_>) = servers.unzip();
        let counters = counters.into_boxed_slice();
        match balance {
            Balance::RoundRobin => Self::RoundRobin,
            Balance::LeastConn => Self::LeastConn(counters),
            Balance::Source => Self::Source(Mutex::new(Arc::new(Table::without_weights(&names)))),
            Balance::Random { draws } => Self::Random { draws, counters },
            Balance::First => Self::First,
        }
    }

    /// Whether it compares how many sessions servers have, so that one that connects has to
    /// count too.
    pub fn compares_sessions(&self) -> bool {
        matches!(self, Self::LeastConn(_) | Self::Random { .. })
    }

    /// The order for `(server position, weight)` pairs, weights above 0, in declaration order.
    /// `full` has the weight of each server of the backend when it is not starting slowly.
    ///
    /// Those that take turns go on at the first server at or after the position `resume_at`, so
    /// that a server that joins or leaves does not send the next sessions back to the first one.
    pub fn order(&self, servers: &[(u32, u16)], full: &[u16], resume_at: u32) -> Order {
        match self {
            Self::RoundRobin => Order::RoundRobin(RoundRobin::new(servers, resume_at)),
            Self::LeastConn(counters) => {
                Order::LeastConn(LeastConn::new(servers, counters, resume_at))
            }
            Self::Source(table) => {
                let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reweighted) = table.reweighted(full) {
                    *table = Arc::new(reweighted);
                }
                Order::Source(Source::new(servers, full, Arc::clone(&table)))
            }
            Self::Random { draws, counters } => {
                Order::Random(Random::new(servers, counters, *draws))
            }
            Self::First => Order::First(First::new(servers)),
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
    /// See [`Source`].
    Source(Source),
    /// See [`Random`].
    Random(Random),
    /// See [`First`].
    First(First),
}

impl Order {
    /// The server for a new session of `client`, or `None` if there is none.
    #[inline]
    pub fn next(&self, client: IpAddr) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.next(),
            _ => self.next_of_others(client),
        }
    }

    // Apart, so that round robin is inlined and nobody makes a client's address ready for it.
    #[inline(never)]
    fn next_of_others(&self, client: IpAddr) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.next(),
            Self::LeastConn(order) => order.next(),
            Self::Source(order) => order.next(client),
            Self::Random(order) => order.next(),
            Self::First(order) => order.next(),
        }
    }

    /// The first of those that `fit` for a session of `client`.
    pub fn next_that(&self, client: IpAddr, fits: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.next_that(fits),
            Self::LeastConn(order) => order.next_that(fits),
            Self::Source(order) => order.next_that(client, fits),
            Self::Random(order) => order.next_that(fits),
            Self::First(order) => order.next_that(fits),
        }
    }

    /// Where the next turn begins; `None` if there is no server, or nobody takes turns.
    pub fn resume_at(&self) -> Option<u32> {
        match self {
            Self::RoundRobin(order) => order.peek(),
            Self::LeastConn(order) => order.peek(),
            Self::Source(_) | Self::Random(_) | Self::First(_) => None,
        }
    }
}
