//! Weighted round robin, exact over all workers.
//!
//! The order of one whole turn is computed when the set of servers changes; choosing is one
//! atomic increment and one table look-up, whatever the number of servers and workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

/// Slots of one turn at most. Weights that would need more are scaled down to fit, which keeps
/// every share within 1/65536 of all sessions.
const MAX_SLOTS: u64 = 1 << 16;

/// A repeating order of servers and the place in it.
#[derive(Debug)]
pub struct RoundRobin {
    /// Server positions in the order in which they are chosen; may be empty.
    turn: Box<[u32]>,
    /// How many servers there are.
    servers: u32,
    /// Counts choices; shared by all workers, so on a cache line of its own.
    chosen: CachePadded<AtomicU64>,
}

impl RoundRobin {
    /// The order for `(server position, weight)` pairs, weights above 0, in declaration order.
    ///
    /// The first choice is the first server at or after the position `resume_at`, so that a
    /// server that joins or leaves does not send the next sessions back to the first one.
    pub fn new(servers: &[(u32, u16)], resume_at: u32) -> Self {
        let turn = spread(servers);
        let start = turn
            .iter()
            .position(|&server| server >= resume_at)
            .unwrap_or(0);
        Self {
            turn,
            servers: servers.len() as u32,
            chosen: CachePadded::new(AtomicU64::new(start as u64)),
        }
    }

    /// The next server's position, or `None` if there is none.
    #[inline]
    pub fn next(&self) -> Option<u32> {
        match self.turn.len() as u64 {
            0 => None,
            slots => {
                let slot = self.chosen.fetch_add(1, Relaxed) % slots;
                Some(self.turn[slot as usize])
            }
        }
    }

    /// The next one's position that `fits`, a turn further for each that does not.
    pub fn next_that(&self, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut turn = (0..self.servers).map_while(|_| self.next());
        // With unequal weights as many choices as there are servers may miss one.
        turn.find(|&server| fits(server))
            .or_else(|| self.turn.iter().copied().find(|&server| fits(server)))
    }

    /// The server that [`RoundRobin::next`] would return, without choosing it.
    pub fn peek(&self) -> Option<u32> {
        match self.turn.len() as u64 {
            0 => None,
            slots => Some(self.turn[(self.chosen.load(Relaxed) % slots) as usize]),
        }
    }
}

/// One turn: each server as often as its weight says, its slots as evenly spread as can be.
fn spread(servers: &[(u32, u16)]) -> Box<[u32]> {
    let weights = reduced(servers);
    let slots = weights.iter().sum::<u64>();
    // Each server's k-th slot is due at (k + 1/2) / weight of the turn; ties go to the
    // server declared first, which makes equal weights 1, 2, 3, 1, 2, 3, ….
    let mut due: BinaryHeap<_> = (0..servers.len())
        .map(|index| {
            Reverse((
                Fraction {
                    over: 1,
                    under: 2 * weights[index],
                },
                index,
            ))
        })
        .collect();
    let mut turn = Vec::with_capacity(slots as usize);
    while turn.len() < slots as usize {
        let Some(Reverse((at, index))) = due.pop() else {
            break;
        };
        turn.push(servers[index].0);
        due.push(Reverse((
            Fraction {
                over: at.over + 2,
                under: at.under,
            },
            index,
        )));
    }
    turn.into_boxed_slice()
}

/// The weights divided by what they have in common, and scaled to at most [`MAX_SLOTS`] slots.
fn reduced(servers: &[(u32, u16)]) -> Vec<u64> {
    let divisor = servers
        .iter()
        .fold(0, |a, &(_, w)| gcd(a, u64::from(w)))
        .max(1);
    let weights: Vec<u64> = servers
        .iter()
        .map(|&(_, w)| u64::from(w) / divisor)
        .collect();
    let slots = weights.iter().sum::<u64>();
    if slots <= MAX_SLOTS {
        return weights;
    }
    weights
        .iter()
        .map(|w| (w * MAX_SLOTS / slots).max(1))
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A non-negative fraction, compared exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    over: u64,
    under: u64,
}

impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.over * other.under).cmp(&(other.over * self.under))
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picks(servers: &[(u32, u16)], count: usize) -> Vec<u32> {
        let balance = RoundRobin::new(servers, 0);
        (0..count).map_while(|_| balance.next()).collect()
    }

    #[test]
    fn equal_weights_go_in_declaration_order() {
        assert_eq!(picks(&[(0, 1), (1, 1), (2, 1)], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(picks(&[(4, 256), (7, 256)], 4), [4, 7, 4, 7]);
    }

    #[test]
    fn unequal_weights_are_spread_out() {
        assert_eq!(picks(&[(0, 2), (1, 1)], 6), [0, 1, 0, 0, 1, 0]);
        assert_eq!(picks(&[(0, 1), (1, 3)], 4), [1, 0, 1, 1]);
    }

    #[test]
    fn nobody_is_chosen_among_none() {
        assert_eq!(RoundRobin::new(&[], 0).next(), None);
        assert_eq!(RoundRobin::new(&[], 0).peek(), None);
    }

    #[test]
    fn a_new_order_goes_on_where_the_old_one_was() {
        let balance = RoundRobin::new(&[(0, 1), (2, 1), (3, 1)], 1);
        assert_eq!(balance.peek(), Some(2));
        assert_eq!(
            [balance.next(), balance.next(), balance.next()],
            [Some(2), Some(3), Some(0)]
        );
        assert_eq!(RoundRobin::new(&[(0, 1), (1, 1)], 9).peek(), Some(0));
    }

    #[test]
    fn ten_thousand_servers_of_awkward_weights_stay_bounded() {
        let servers: Vec<_> = (0..10_000).map(|i| (i, (i % 256 + 1) as u16)).collect();
        let turn = spread(&servers);
        assert!(turn.len() <= MAX_SLOTS as usize + servers.len());
        let mut chosen: Vec<_> = turn.to_vec();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), servers.len(), "nobody starves");
    }

    proptest! {
        #[test]
        fn a_turn_gives_each_server_its_exact_share(
            weights in prop::collection::vec(1u16..=256, 1..20),
        ) {
            let servers: Vec<_> = weights.iter().enumerate().map(|(i, &w)| (i as u32, w)).collect();
            let total: usize = weights.iter().map(|&w| usize::from(w)).sum();
            let turn = picks(&servers, total);
            for &(server, weight) in &servers {
                let share = turn.iter().filter(|&&s| s == server).count();
                prop_assert_eq!(share, usize::from(weight));
            }
        }

        #[test]
        fn at_every_moment_each_server_is_near_its_share(
            weights in prop::collection::vec(1u16..=256, 2..10),
        ) {
            let servers: Vec<_> = weights.iter().enumerate().map(|(i, &w)| (i as u32, w)).collect();
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let mut seen = vec![0f64; weights.len()];
            for (n, server) in picks(&servers, total as usize).into_iter().enumerate() {
                seen[server as usize] += 1.0;
                for (index, &weight) in weights.iter().enumerate() {
                    let wanted = (n + 1) as f64 * f64::from(weight) / total;
                    prop_assert!((seen[index] - wanted).abs() <= weights.len() as f64);
                }
            }
        }
    }
}
