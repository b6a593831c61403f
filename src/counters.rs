//! What is counted per frontend, backend and server.
//!
//! Totals are kept per worker, each on cache lines of its own and with that worker as its only
//! writer, and are summed when somebody reads them. Sessions open now are one shared number:
//! it changes twice per session only, and `be_conn` rules and limits need it exact.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crossbeam_utils::CachePadded;

use crate::history::{History, Passed};
use crate::outcome::Outcome;

/// One place in the upper half of [`Counters::places`].
const RESERVED: u64 = 1 << 32;

/// A total with one writing thread and any number of readers.
#[derive(Debug, Default)]
pub struct Total(AtomicU64);

impl Total {
    /// Adds `n`. Only the thread that owns the shard may call this.
    pub fn add(&self, n: u64) {
        // A plain load and store: with a single writer no locked instruction is needed.
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One worker's totals.
#[derive(Debug, Default)]
pub struct Shard {
    /// Sessions taken on.
    pub sessions: Total,
    /// Bytes from clients.
    pub bytes_in: Total,
    /// Bytes to clients.
    pub bytes_out: Total,
    /// Those of both that went from socket to socket without being copied.
    pub bytes_spliced: Total,
    /// Directions of sessions that the kernel refused to splice and that were copied instead.
    pub splice_refusals: Total,
    /// Sessions that failed before a backend was chosen.
    pub request_errors: Total,
    /// Sessions closed because a rule said so.
    pub denied: Total,
    /// Sessions given up because no server could be connected to.
    pub connect_errors: Total,
    /// Sessions that the server broke after it was connected.
    pub response_errors: Total,
    /// Further attempts to connect a session to the server that had just failed.
    pub retries: Total,
    /// Further attempts to connect a session that left the failed server for another.
    pub redispatches: Total,
    /// Connection attempts begun beside one that was slow.
    pub hedges: Total,
    /// Those of them that were faster and got the session.
    pub hedges_won: Total,
    /// Sessions that balancing gave to this backend or server.
    pub balanced: Total,
    /// Sessions that the client broke.
    pub client_aborts: Total,
    /// Sessions that the server broke.
    pub server_aborts: Total,
}

impl Shard {
    /// Every total.
    const TOTALS: [fn(&Self) -> &Total; 16] = [
        |s| &s.sessions,
        |s| &s.bytes_in,
        |s| &s.bytes_out,
        |s| &s.bytes_spliced,
        |s| &s.splice_refusals,
        |s| &s.request_errors,
        |s| &s.denied,
        |s| &s.connect_errors,
        |s| &s.response_errors,
        |s| &s.retries,
        |s| &s.redispatches,
        |s| &s.hedges,
        |s| &s.hedges_won,
        |s| &s.balanced,
        |s| &s.client_aborts,
        |s| &s.server_aborts,
    ];
}

/// All that is counted for one frontend, backend or server.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[CachePadded<Shard>]>,
    /// What is left out of the totals: their values when they were last cleared. Workers go on
    /// counting, each in its own shard, which nobody else may write.
    cleared: Shard,
    /// Sessions open now in the lower half, and places reserved for sessions to come in the
    /// upper one. Together, so that both can be kept within a limit without a lock, and a
    /// session that takes its reserved place costs no more than one without.
    places: CachePadded<AtomicU64>,
    most_open: AtomicU32,
    rate: AtomicU32,
    highest_rate: AtomicU32,
    /// The session total at the last [`Counters::tick`].
    ticked_sessions: AtomicU64,
    /// Seconds since the process began, plus one; 0 until the first session.
    last_session: AtomicU64,
    /// The last minutes, if they are kept.
    history: Option<History>,
}

impl Counters {
    /// Zeroes, for `workers` writing threads.
    pub fn new(workers: usize) -> Self {
        Self {
            history: None,
            cleared: Shard::default(),
            shards: (0..workers).map(|_| CachePadded::default()).collect(),
            places: CachePadded::default(),
            most_open: AtomicU32::new(0),
            rate: AtomicU32::new(0),
            highest_rate: AtomicU32::new(0),
            ticked_sessions: AtomicU64::new(0),
            last_session: AtomicU64::new(0),
        }
    }

    /// Zeroes that remember what passed in the last minutes.
    pub fn with_history(workers: usize) -> Self {
        Self {
            history: Some(History::default()),
            ..Self::new(workers)
        }
    }

    /// What passed in the last minutes, the newest last; empty if that is not kept.
    pub fn recent(&self) -> Vec<Passed> {
        self.history
            .as_ref()
            .map_or_else(Vec::new, History::samples)
    }

    /// How many worker threads write totals.
    pub fn workers(&self) -> usize {
        self.shards.len()
    }

    /// The totals of one worker.
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    /// One total over all workers, as in `counters.total(|s| &s.bytes_in)`.
    pub fn total(&self, pick: impl Fn(&Shard) -> &Total) -> u64 {
        self.since_start(&pick) - pick(&self.cleared).get()
    }

    fn since_start(&self, pick: impl Fn(&Shard) -> &Total) -> u64 {
        self.shards.iter().map(|shard| pick(shard).get()).sum()
    }

    /// Bytes of both directions that went through the process's memory.
    pub fn bytes_copied(&self) -> u64 {
        // Each shard's totals are read one after the other, so bytes may pass between the reads.
        let total = self.total(|s| &s.bytes_in) + self.total(|s| &s.bytes_out);
        total.saturating_sub(self.total(|s| &s.bytes_spliced))
    }

    /// Begins the maxima anew (management.txt, "clear counters"). To be called by one thread.
    pub fn clear_maxima(&self) {
        self.most_open.store(self.open(), Relaxed);
        self.highest_rate.store(0, Relaxed);
    }

    /// Begins everything anew that counts up, and the maxima (management.txt, "clear counters
    /// all"). To be called by one thread.
    pub fn clear(&self) {
        for pick in Shard::TOTALS {
            pick(&self.cleared).0.store(self.since_start(pick), Relaxed);
        }
        self.clear_maxima();
    }

    /// Adds what `others`, of as many workers, count up, whose sessions have all ended. To be called
    /// by one thread, and nobody else may write.
    pub fn absorb(&self, others: &Self) {
        for pick in Shard::TOTALS {
            for (shard, other) in self.shards.iter().zip(&others.shards) {
                pick(shard).add(pick(other).get());
            }
            pick(&self.cleared).add(pick(&others.cleared).get());
        }
    }

    /// Sessions open now.
    pub fn open(&self) -> u32 {
        self.places.load(Relaxed) as u32
    }

    /// Sessions open now and places reserved for sessions to come.
    pub fn taken(&self) -> u64 {
        taken(self.places.load(Relaxed))
    }

    /// The most sessions ever open at once.
    pub fn most_open(&self) -> u32 {
        self.most_open.load(Relaxed)
    }

    /// New sessions in the last full second.
    pub fn rate(&self) -> u32 {
        self.rate.load(Relaxed)
    }

    /// The most new sessions seen in one second.
    pub fn highest_rate(&self) -> u32 {
        self.highest_rate.load(Relaxed)
    }

    /// Seconds since the process began at which the last session was taken on.
    pub fn last_session(&self) -> Option<u64> {
        self.last_session.load(Relaxed).checked_sub(1)
    }

    /// Computes the session rate and remembers what passed. To be called once a second, by one
    /// thread.
    pub fn tick(&self) {
        let sessions = self.since_start(|shard| &shard.sessions);
        let rate = (sessions - self.ticked_sessions.swap(sessions, Relaxed)) as u32;
        self.rate.store(rate, Relaxed);
        self.highest_rate.fetch_max(rate, Relaxed);
        if let Some(history) = &self.history {
            history.tick(Passed {
                sessions,
                bytes_in: self.since_start(|shard| &shard.bytes_in),
                bytes_out: self.since_start(|shard| &shard.bytes_out),
            });
        }
    }

    /// Reserves a place for a session, if fewer than `most` are open and reserved.
    pub fn reserve(&self, most: u32) -> bool {
        let room = |places: u64| (taken(places) < u64::from(most)).then(|| places + RESERVED);
        self.places.fetch_update(SeqCst, SeqCst, room).is_ok()
    }

    /// Whether [`Counters::reserve`] would succeed now.
    pub fn has_room(&self, most: u32) -> bool {
        taken(self.places.load(SeqCst)) < u64::from(most)
    }

    /// Gives back what [`Counters::reserve`] has reserved.
    pub fn give_back(&self) {
        self.places.fetch_sub(RESERVED, SeqCst);
    }

    /// Counts a session as taken on at `now`, in seconds since the process began, and as open
    /// until [`Counters::leave`].
    pub fn enter(&self, worker: usize, now: u64) {
        self.count_entry(worker, now, 1);
    }

    /// As [`Counters::enter`], for a session that has reserved its place.
    pub fn enter_reserved(&self, worker: usize, now: u64) {
        self.count_entry(worker, now, 1_u64.wrapping_sub(RESERVED));
    }

    fn count_entry(&self, worker: usize, now: u64, change: u64) {
        self.shard(worker).sessions.add(1);
        self.last_session.store(now + 1, Relaxed);
        let before = self.places.fetch_add(change, Relaxed);
        let open = (before as u32).wrapping_add(1);
        if open > self.most_open.load(Relaxed) {
            self.most_open.fetch_max(open, Relaxed);
        }
    }

    /// Ends what [`Counters::enter`] began.
    pub fn leave(&self) {
        // Ordered before the look at who waits for the place.
        self.places.fetch_sub(1, SeqCst);
    }
}

/// Both halves of [`Counters::places`] together.
fn taken(places: u64) -> u64 {
    (places >> 32) + (places & u64::from(u32::MAX))
}

/// How the sessions of a frontend ended, counted by each worker for itself.
#[derive(Debug)]
pub struct Endings(Box<[CachePadded<[Total; Outcome::COUNT]>]>);

impl Endings {
    /// Zeroes, for `workers` writing threads.
    pub fn new(workers: usize) -> Self {
        let zeroes = |_| CachePadded::new(std::array::from_fn(|_| Total::default()));
        Self((0..workers).map(zeroes).collect())
    }

    /// Counts the end of a session. Only the worker itself may call this.
    pub fn count(&self, worker: usize, outcome: Outcome) {
        self.0[worker][outcome.number()].add(1);
    }

    /// How often sessions ended in each way, of those that happened.
    pub fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let sum = |outcome: Outcome| {
            let workers = self.0.iter();
            workers.map(|totals| totals[outcome.number()].get()).sum()
        };
        let counts = Outcome::all().map(move |outcome| (outcome, sum(outcome)));
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed_over_workers() {
        let counters = Counters::new(2);
        counters.shard(0).bytes_in.add(3);
        counters.shard(1).bytes_in.add(4);
        assert_eq!(counters.total(|s| &s.bytes_in), 7);
        assert_eq!(counters.total(|s| &s.bytes_out), 0);
    }

    #[test]
    fn what_is_absorbed_is_added_as_it_was_cleared() {
        let (sum, counters) = (Counters::new(2), Counters::new(2));
        counters.shard(0).bytes_in.add(3);
        counters.clear();
        counters.shard(1).bytes_in.add(4);
        (0..2).for_each(|_| sum.absorb(&counters));
        assert_eq!(sum.total(|s| &s.bytes_in), 8);
        assert_eq!(sum.shard(1).bytes_in.get(), 8);
    }

    #[test]
    fn what_is_not_spliced_is_copied() {
        let counters = Counters::new(1);
        counters.shard(0).bytes_in.add(3);
        counters.shard(0).bytes_out.add(4);
        counters.shard(0).bytes_spliced.add(5);
        assert_eq!(counters.bytes_copied(), 2);
    }

    #[test]
    fn open_sessions_and_their_maximum() {
        let counters = Counters::new(2);
        assert_eq!(counters.last_session(), None);
        counters.enter(0, 0);
        counters.enter(1, 5);
        counters.leave();
        assert_eq!((counters.open(), counters.most_open()), (1, 2));
        assert_eq!(counters.last_session(), Some(5));
    }

    #[test]
    fn reserved_places_count_against_the_limit() {
        let counters = Counters::new(1);
        assert_eq!(
            [3, 3, 2, 3, 3].map(|most| counters.reserve(most)),
            [true, true, false, true, false]
        );
        counters.enter_reserved(0, 0);
        assert_eq!((counters.open(), counters.most_open()), (1, 1));
        assert!(!counters.reserve(3));
        counters.give_back();
        counters.leave();
        assert_eq!(
            [3, 3, 3].map(|most| counters.reserve(most)),
            [true, true, false]
        );
    }

    /// However they interleave, there are never more than the limit allows.
    #[test]
    fn a_limit_holds_between_threads() {
        let counters = Counters::new(4);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let counters = &counters;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        if counters.reserve(3) {
                            counters.enter_reserved(worker, 0);
                            counters.leave();
                        }
                    }
                });
            }
        });
        assert!(counters.most_open() <= 3, "{}", counters.most_open());
        assert_eq!(counters.open(), 0);
        assert!(counters.reserve(1));
    }

    #[test]
    fn what_is_cleared_counts_from_zero_again() {
        let counters = Counters::new(2);
        (0..3).for_each(|_| counters.enter(1, 0));
        counters.shard(0).bytes_in.add(7);
        counters.tick();
        counters.leave();
        counters.clear();
        assert_eq!(Shard::TOTALS.map(|pick| counters.total(pick)), [0; 16]);
        assert_eq!((counters.open(), counters.most_open()), (2, 2));
        assert_eq!(counters.highest_rate(), 0);
        counters.enter(0, 0);
        counters.tick();
        assert_eq!(counters.total(|s| &s.sessions), 1);
        assert_eq!((counters.rate(), counters.most_open()), (1, 3));
    }

    #[test]
    fn ways_to_end_are_counted_over_workers() {
        let endings = Endings::new(2);
        let all: Vec<_> = Outcome::all().collect();
        assert_eq!(all.len(), Outcome::COUNT);
        assert_eq!(endings.counts().count(), 0);
        endings.count(0, Outcome::NORMAL);
        for &outcome in &all {
            endings.count(1, outcome);
        }
        let counts: Vec<_> = endings.counts().collect();
        assert_eq!(counts.len(), all.len());
        for (outcome, count) in counts {
            assert_eq!(count, 1 + u64::from(outcome == Outcome::NORMAL));
        }
    }

    #[test]
    fn the_rate_is_per_tick() {
        let counters = Counters::new(1);
        (0..3).for_each(|_| counters.enter(0, 0));
        counters.tick();
        counters.enter(0, 1);
        counters.tick();
        assert_eq!((counters.rate(), counters.highest_rate()), (1, 3));
    }
}
