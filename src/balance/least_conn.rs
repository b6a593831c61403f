//! Fewest sessions first, by weight (HAProxy's `leastconn`).
//!
//! The load of a server is what it would be with one session more, (n + 1) / weight, and nothing
//! while it has none, so that an idle server comes first whatever its weight (HAProxy,
//! `src/lb_fwlc.c`, `fwlc_queue_srv`). Sessions that connect count as those that are open. Servers
//! of the same load take turns, which makes 1, 2, 1, 2 of a farm where nothing lasts.
//!
//! Nothing is kept between choices but the turn: each choice looks at the numbers that the servers
//! count anyway. So there is no lock and nothing to bring up to date, and workers that choose in the
//! same instant can be one session each off the best choice. Looking costs 2 to 4 ns a server while
//! its number is in the cache, so all are compared in sets of up to [`ALL`] servers. Of larger sets
//! [`SOME`] are, spread evenly over the whole set, and others each time: with so many looks what is
//! chosen is practically never more than one session above the least ("the power of two choices"
//! is this with two).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::counters::Counters;

/// Servers that one choice compares at most.
const ALL: usize = 256;

/// Servers that it compares where there are more than that.
const SOME: usize = 64;

/// The servers in use and whose turn it is among equals.
#[derive(Debug)]
pub struct LeastConn {
    /// In declaration order; may be empty.
    servers: Box<[Candidate]>,
    /// The index of the server that comes first among equals; shared by all workers, so on a
    /// cache line of its own.
    turn: CachePadded<AtomicU32>,
}

/// A server in use, and what is compared.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) position: u32,
    weight: u16,
    sessions: Arc<Counters>,
}

impl Candidate {
    pub(super) fn load(&self) -> Load {
        Load::new(self.sessions.taken(), self.weight)
    }
}

/// The servers at these positions, of these weights, which count in `counters`, by position.
pub(super) fn candidates(servers: &[(u32, u16)], counters: &[Arc<Counters>]) -> Box<[Candidate]> {
    let candidate = |&(position, weight): &(u32, u16)| Candidate {
        position,
        weight,
        sessions: Arc::clone(&counters[position as usize]),
    };
    servers.iter().map(candidate).collect()
}

/// What is compared: a session more than there are, if there are any, over the weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    sessions: u64,
    weight: u64,
}

impl Load {
    /// The load of a server with `sessions` open and reserved.
    fn new(sessions: u64, weight: u16) -> Self {
        Self {
            sessions: if sessions == 0 { 0 } else { sessions + 1 },
            weight: u64::from(weight),
        }
    }

    pub(super) fn is_below(self, other: Self) -> bool {
        self.sessions * other.weight < other.sessions * self.weight
    }
}

impl LeastConn {
    /// As [`super::Algorithm::order`], for servers that count in `counters`, by position.
    pub fn new(servers: &[(u32, u16)], counters: &[Arc<Counters>], resume_at: u32) -> Self {
        let servers = candidates(servers, counters);
        let turn = servers.iter().position(|s| s.position >= resume_at);
        Self {
            servers,
            turn: CachePadded::new(AtomicU32::new(turn.unwrap_or(0) as u32)),
        }
    }

    /// The position of the server with the least load, or `None` if there is none.
    pub fn next(&self) -> Option<u32> {
        self.next_that(|_| true)
    }

    /// The same among those that `fit`.
    pub fn next_that(&self, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let all = self.servers.len();
        let looks = if all <= ALL { all } else { SOME };
        let least = self.least(looks, all / looks.max(1), &fits);
        // Where hardly any fits, those looked at may have missed it.
        let least = least.or_else(|| (looks < all).then(|| self.least(all, 1, &fits))?);
        least.map(|index| {
            self.turn.store(index as u32 + 1, Relaxed);
            self.servers[index].position
        })
    }

    /// The position of the server that comes first among equals.
    pub fn peek(&self) -> Option<u32> {
        let first = self.servers.get(self.first()?)?;
        Some(first.position)
    }

    fn first(&self) -> Option<usize> {
        (self.turn.load(Relaxed) as usize).checked_rem(self.servers.len())
    }

    /// The index of the least loaded of `looks` servers, `step` from one to the next.
    fn least(&self, looks: usize, step: usize, fits: &impl Fn(u32) -> bool) -> Option<usize> {
        let (mut index, mut least) = (self.first()?, None);
        for _ in 0..looks {
            let server = &self.servers[index];
            let load = server.load();
            if least.is_none_or(|(_, least)| load.is_below(least)) && fits(server.position) {
                least = Some((index, load));
            }
            index += step;
            if index >= self.servers.len() {
                index -= self.servers.len();
            }
        }
        least.map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests;
