//! The least loaded of a few servers drawn at random, by weight (HAProxy's `random(N)`,
//! `src/backend.c`, `get_server_rnd`).
//!
//! Two draws already keep the fullest server close to the mean ("the power of two choices"), and
//! proxies that know nothing of each other do not all choose the same server, as they may with
//! `leastconn`. A draw is one look into a table of aliases, whatever the number of servers.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::least_conn::{Candidate, candidates};
use super::mix::{GOLDEN, mix};
use crate::counters::Counters;

/// The servers in use and the table to draw from.
#[derive(Debug)]
pub struct Random {
    /// In declaration order; may be empty.
    servers: Box<[Candidate]>,
    columns: Box<[Column]>,
    /// The sum of all weights: the height of each column.
    height: u64,
    draws: u32,
    /// Differs between processes and moves on with each draw; shared by all workers, so on a
    /// cache line of its own.
    state: CachePadded<AtomicU64>,
}

/// One of as many equal columns as there are servers: the lower part belongs to the server of the
/// same index, the rest to another (Walker's alias method).
#[derive(Debug, Clone, Copy)]
struct Column {
    own: u64,
    alias: u32,
}

impl Random {
    /// As [`super::Algorithm::order`], with so many `draws` a choice, for servers that count in
    /// `counters`, by position.
    pub fn new(servers: &[(u32, u16)], counters: &[Arc<Counters>], draws: u32) -> Self {
        Self::seeded(servers, counters, draws, RandomState::new().hash_one(()))
    }

    fn seeded(servers: &[(u32, u16)], counters: &[Arc<Counters>], draws: u32, seed: u64) -> Self {
        let weights: Vec<_> = servers.iter().map(|&(_, weight)| weight.into()).collect();
        Self {
            servers: candidates(servers, counters),
            columns: columns(&weights),
            height: weights.iter().sum(),
            draws,
            state: CachePadded::new(AtomicU64::new(seed)),
        }
    }

    /// The position of the least loaded server drawn, or `None` if there is none.
    pub fn next(&self) -> Option<u32> {
        self.next_that(|_| true)
    }

    /// The same among those that `fit`; if none of those drawn does, any that does.
    pub fn next_that(&self, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut least: Option<&Candidate> = None;
        for _ in 0..self.draws {
            let drawn = self.draw()?;
            if fits(drawn.position) && least.is_none_or(|least| drawn.load().is_below(least.load()))
            {
                least = Some(drawn);
            }
        }
        let least = least.or_else(|| {
            let start = (self.number() % self.servers.len() as u64) as usize;
            let (before, after) = self.servers.split_at(start);
            let mut all = after.iter().chain(before);
            all.find(|server| fits(server.position))
        });
        least.map(|server| server.position)
    }

    /// A server, each as probable as its weight says.
    fn draw(&self) -> Option<&Candidate> {
        let number = self.number();
        let index = scaled(number >> 32, self.columns.len() as u64) as usize;
        let column = self.columns.get(index)?;
        let own = scaled(number & u64::from(u32::MAX), self.height) < column.own;
        let drawn = if own { index } else { column.alias as usize };
        self.servers.get(drawn)
    }

    fn number(&self) -> u64 {
        mix(self.state.fetch_add(GOLDEN, Relaxed))
    }
}

/// A number of 32 bits as one below `limit`, which is less than 2^32.
fn scaled(number: u64, limit: u64) -> u64 {
    (number * limit) >> 32
}

fn columns(weights: &[u64]) -> Box<[Column]> {
    let height: u64 = weights.iter().sum();
    let mut left: Vec<u64> = weights.iter().map(|w| w * weights.len() as u64).collect();
    let mut columns: Vec<_> = (0..weights.len() as u32)
        .map(|alias| Column { own: height, alias })
        .collect();
    let (mut low, mut high): (Vec<_>, Vec<_>) =
        (0..weights.len()).partition(|&index| left[index] < height);
    while let (Some(&giver), Some(taker)) = (high.last(), low.pop()) {
        columns[taker] = Column {
            own: left[taker],
            alias: giver as u32,
        };
        left[giver] -= height - left[taker];
        if left[giver] < height {
            high.pop();
            low.push(giver);
        }
    }
    columns.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn farm(weights: &[u16], draws: u32) -> (Random, Vec<Arc<Counters>>) {
        let counters: Vec<_> = weights.iter().map(|_| Arc::new(Counters::new(1))).collect();
        let servers: Vec<_> = (0..).zip(weights.iter().copied()).collect();
        (Random::seeded(&servers, &counters, draws, 7), counters)
    }

    fn choose(order: &Random, servers: usize, count: usize) -> Vec<usize> {
        let mut chosen = vec![0; servers];
        for position in (0..count).map_while(|_| order.next()) {
            chosen[position as usize] += 1;
        }
        chosen
    }

    #[test]
    fn one_draw_shares_by_weight() {
        let chosen = choose(&farm(&[16, 48, 32, 0, 64], 1).0, 5, 160_000);
        for (chosen, wanted) in chosen.into_iter().zip([16_000, 48_000, 32_000, 0, 64_000]) {
            assert!(chosen.abs_diff(wanted) < 1_000, "{chosen} for {wanted}");
        }
    }

    #[test]
    fn two_draws_keep_lasting_sessions_close_together() {
        let fullest = |draws| {
            let (order, counters) = farm(&[16; 100], draws);
            for _ in 0..10_000 {
                let chosen = order.next().unwrap();
                counters[chosen as usize].enter(0, 0);
            }
            counters.iter().map(|counters| counters.taken()).max()
        };
        assert!(fullest(1) > Some(115), "{:?}", fullest(1));
        assert!(fullest(2) <= Some(104), "{:?}", fullest(2));
    }

    #[test]
    fn processes_draw_differently() {
        let counters: Vec<_> = (0..50).map(|_| Arc::new(Counters::new(1))).collect();
        let servers: Vec<_> = (0..50).map(|position| (position, 1)).collect();
        let draw = || {
            let order = Random::new(&servers, &counters, 2);
            (0..20).map_while(|_| order.next()).collect::<Vec<_>>()
        };
        assert_ne!(draw(), draw());
    }

    #[test]
    fn the_only_one_that_fits_is_found() {
        let (order, _) = farm(&[16; 50], 2);
        assert_eq!(order.next_that(|position| position == 41), Some(41));
        assert_eq!(order.next_that(|_| false), None);
        assert_eq!(farm(&[], 2).0.next(), None);
    }

    proptest! {
        #[test]
        fn columns_give_each_server_its_exact_share(
            weights in prop::collection::vec(0u64..=4096, 1..50),
        ) {
            let height: u64 = weights.iter().sum();
            let columns = columns(&weights);
            let mut shares = vec![0; weights.len()];
            for (index, column) in columns.iter().enumerate() {
                prop_assert!(column.own <= height);
                shares[index] += column.own;
                shares[column.alias as usize] += height - column.own;
            }
            let wanted: Vec<_> = weights.iter().map(|w| w * weights.len() as u64).collect();
            prop_assert_eq!(shares, wanted);
        }
    }
}
