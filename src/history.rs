//! What passed in the last minutes, for small charts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Seconds that one sample sums up.
pub const SPAN: u32 = 3;

/// How many samples are kept: five minutes.
pub const KEPT: usize = 100;

/// Totals since the start, or what was added to them in one [`SPAN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Sessions taken on.
    pub sessions: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// The last samples. It takes 2.4 KB whatever happens.
#[derive(Debug, Default)]
pub struct History(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    /// Seconds since the last sample.
    seconds: u32,
    /// The totals at the last sample.
    before: Passed,
    samples: VecDeque<Passed>,
}

impl History {
    /// Takes the totals. To be called once a second, by one thread.
    pub fn tick(&self, totals: Passed) {
        let mut ring = self.ring();
        ring.seconds += 1;
        if ring.seconds < SPAN {
            return;
        }
        ring.seconds = 0;
        let before = std::mem::replace(&mut ring.before, totals);
        if ring.samples.len() == KEPT {
            ring.samples.pop_front();
        }
        ring.samples.push_back(totals.since(before));
    }

    /// The samples, the newest last; at most [`KEPT`].
    pub fn samples(&self) -> Vec<Passed> {
        self.ring().samples.iter().copied().collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passed {
    fn since(self, before: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_sub(before.sessions),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(sessions: u64) -> Passed {
        Passed {
            sessions,
            bytes_in: 2 * sessions,
            bytes_out: 3 * sessions,
        }
    }

    #[test]
    fn a_sample_is_what_a_span_added() {
        let history = History::default();
        for total in [1, 2, 4, 4, 4] {
            history.tick(passed(total));
        }
        assert_eq!(history.samples(), [passed(4)]);
        history.tick(passed(9));
        assert_eq!(history.samples(), [passed(4), passed(5)]);
    }

    #[test]
    fn the_oldest_samples_are_forgotten() {
        let history = History::default();
        let seconds = u64::from(SPAN) * (KEPT as u64 + 7);
        (0..seconds).for_each(|second| history.tick(passed(second * second)));
        let samples = history.samples();
        assert_eq!(samples.len(), KEPT);
        assert!(samples.is_sorted_by_key(|sample| sample.sessions));
    }
}
