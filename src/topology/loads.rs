//! How many sessions each worker has, and which one is to take the next.
//!
//! The kernel gives a connection to one of the listeners of an address by a hash, which spreads
//! them as chance does. Sessions never move, so a few long ones could stay together for hours. A
//! worker that is ahead of another therefore hands on what it accepts. Short sessions need that not:
//! whatever they make uneven is even again soon, and handing them to and fro costs more than it
//! spares. So a worker may be ahead by as many sessions as have ended on it lately.
//!
//! HAProxy's accept queues were the example (`src/listener.c`, `listener_accept`). They hand on
//! without such a margin, to the less loaded of two threads drawn by chance.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// By how many sessions a worker on which none end may be ahead of another.
const MARGIN: u32 = 4;

/// In so long half of the sessions that have ended are forgotten.
const LATELY: Duration = Duration::from_millis(100);

/// The sessions of one worker.
#[derive(Debug, Default)]
struct Load {
    /// Open, or on their way to it. Others write this only to hand a session on.
    sessions: AtomicU32,
    /// Those that it has accepted and others have got. Only the worker itself writes this.
    handed_on: AtomicU64,
}

/// The sessions of every worker. With a single one nothing is counted.
#[derive(Debug)]
pub struct Loads(Box<[CachePadded<Load>]>);

impl Loads {
    /// No sessions yet, of so many workers.
    pub fn new(workers: usize) -> Self {
        let counted = if workers > 1 { workers } else { 0 };
        Self((0..counted).map(|_| CachePadded::default()).collect())
    }

    /// Counts a session of a worker until [`Loads::leave`].
    pub fn enter(&self, worker: usize) {
        if let Some(load) = self.0.get(worker) {
            load.sessions.fetch_add(1, Relaxed);
        }
    }

    /// Ends what [`Loads::enter`] began.
    pub fn leave(&self, worker: usize) {
        if let Some(load) = self.0.get(worker) {
            load.sessions.fetch_sub(1, Relaxed);
        }
    }

    /// Who is to take a session that `worker` has accepted, if it is another. Sessions of `worker`
    /// that have `ended_lately` are asked for only if it is ahead.
    pub fn relief(&self, worker: usize, ended_lately: impl FnOnce() -> u32) -> Option<usize> {
        let own = self.0.get(worker)?.sessions.load(Relaxed);
        let all = self.0.len();
        // Beginning with its neighbour, so that those who accept at once do not choose the same.
        let others = (1..all).map(|distance| (worker + distance) % all);
        let (least, other) = others
            .map(|other| (self.0[other].sessions.load(Relaxed), other))
            .min_by_key(|(sessions, _)| *sessions)?;
        let ahead = own.checked_sub(least.saturating_add(MARGIN))?;
        (ahead >= ended_lately()).then_some(other)
    }

    /// Counts that `worker` has handed a session on. Only the worker itself may call this.
    pub fn count_handed_on(&self, worker: usize) {
        if let Some(load) = self.0.get(worker) {
            let before = load.handed_on.load(Relaxed);
            load.handed_on.store(before + 1, Relaxed);
        }
    }

    /// Sessions of a worker; `None` if they are not counted, which are all there are then.
    pub fn sessions(&self, worker: usize) -> Option<u32> {
        let load = self.0.get(worker)?;
        Some(load.sessions.load(Relaxed))
    }

    /// How many sessions a worker has accepted that others have got.
    pub fn handed_on(&self, worker: usize) -> u64 {
        let load = self.0.get(worker);
        load.map_or(0, |load| load.handed_on.load(Relaxed))
    }
}

/// How many sessions have ended on a worker lately.
#[derive(Debug)]
pub struct Turnover {
    ended: Cell<u32>,
    /// When some were last forgotten.
    since: Cell<Instant>,
}

impl Turnover {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self {
            ended: Cell::new(0),
            since: Cell::new(now),
        }
    }

    /// Counts one more.
    pub fn count(&self) {
        self.ended.set(self.ended.get().saturating_add(1));
    }

    /// How many there were lately.
    pub fn lately(&self, now: Instant) -> u32 {
        let passed = now.duration_since(self.since.get());
        let halvings = (passed.as_millis() / LATELY.as_millis()).min(32) as u32;
        if halvings > 0 {
            let left = self.ended.get().checked_shr(halvings);
            self.ended.set(left.unwrap_or(0));
            self.since.set(now);
        }
        self.ended.get()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions(loads: &Loads) -> Vec<u32> {
        (0..loads.0.len())
            .filter_map(|worker| loads.sessions(worker))
            .collect()
    }

    /// A session that `worker` accepts.
    fn arrive(loads: &Loads, worker: usize) {
        loads.enter(loads.relief(worker, || 0).unwrap_or(worker));
    }

    #[test]
    fn a_single_worker_counts_nothing_and_keeps_everything() {
        let loads = Loads::new(1);
        (0..100).for_each(|_| loads.enter(0));
        assert_eq!((loads.sessions(0), loads.relief(0, || 0)), (None, None));
    }

    #[test]
    fn a_worker_that_is_ahead_hands_on() {
        let loads = Loads::new(3);
        (0..MARGIN).for_each(|_| arrive(&loads, 1));
        assert_eq!(sessions(&loads), [0, MARGIN, 0]);
        assert_eq!(loads.relief(1, || 0), Some(2));
        loads.enter(2);
        assert_eq!(loads.relief(1, || 0), Some(0));
        loads.leave(1);
        assert_eq!(loads.relief(1, || 0), None);
    }

    #[test]
    fn short_sessions_are_kept() {
        let loads = Loads::new(2);
        (0..MARGIN + 9).for_each(|_| loads.enter(0));
        assert_eq!(loads.relief(0, || 9), Some(1));
        assert_eq!(loads.relief(0, || 10), None);
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let start = Instant::now();
        let turnover = Turnover::new(start);
        (0..100).for_each(|_| turnover.count());
        let at = |times: u32| turnover.lately(start + LATELY * times);
        assert_eq!([0, 1, 1, 3].map(at), [100, 50, 50, 12]);
        assert_eq!(at(1_000_000), 0);
    }

    proptest! {
        /// However the kernel spreads them, nobody is ahead by more than the margin.
        #[test]
        fn sessions_that_stay_are_spread(hashes in prop::collection::vec(0_usize..4, 0..400)) {
            let loads = Loads::new(4);
            for worker in hashes {
                arrive(&loads, worker);
                let now = sessions(&loads);
                let ahead = now.iter().max().unwrap() - now.iter().min().unwrap();
                prop_assert!(ahead <= MARGIN, "{now:?}");
            }
        }
    }
}
