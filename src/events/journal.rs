//! The last events, for whoever asks; the one place where they are recorded.
//!
//! A record goes to the log, into a ring of bounded size and, if one is configured, to a file.
//! None of these can make the recorder wait: the log and the file have a bounded queue and a
//! thread each, and the ring forgets its oldest record.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use super::file::EventFile;
use super::{Event, KINDS, Record, Severity};

/// The events of a process. Clones are the same journal.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many records are kept.
    size: usize,
    ring: Mutex<Ring>,
    /// How many of each kind were recorded, in the order of [`KINDS`].
    counts: [AtomicU64; KINDS.len()],
    file: Option<EventFile>,
    /// The last record's number, for those who wait for the next.
    last: watch::Sender<u64>,
    /// Those who are sent every record.
    followers: Mutex<Vec<mpsc::UnboundedSender<Arc<Record>>>>,
    /// Whether another process records what happens.
    left: AtomicBool,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    /// The last record's number.
    last: u64,
}

impl Journal {
    /// An empty journal that keeps the last `size` records, and appends all of them to `file`.
    pub fn new(size: usize, file: Option<EventFile>) -> Self {
        Self(Arc::new(Inner {
            size: size.max(1),
            ring: Mutex::default(),
            counts: Default::default(),
            file,
            last: watch::Sender::new(0),
            followers: Mutex::default(),
            left: AtomicBool::new(false),
        }))
    }

    /// Leaves events to another process, which has taken over: from now on they are only logged,
    /// or hooks would run twice and the file would have them twice.
    pub fn leave(&self) {
        self.0.left.store(true, Relaxed);
    }

    /// Records an event that happens now.
    pub fn record(&self, event: Event) {
        log(&event);
        if self.0.left.load(Relaxed) {
            return;
        }
        self.0.counts[event.kind_number()].fetch_add(1, Relaxed);
        let record = self.keep(event);
        if let Some(file) = &self.0.file {
            file.write(record.json());
        }
        self.0.last.send_replace(record.number);
        let mut followers = self
            .0
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| follower.send(Arc::clone(&record)).is_ok());
    }

    /// Gives every record from now on, also those that the ring forgets at once. They wait in a
    /// queue without a bound: for receivers that do nothing but take them.
    pub fn follow(&self) -> mpsc::UnboundedReceiver<Arc<Record>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut followers = self
            .0
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followers.push(sender);
        receiver
    }

    fn keep(&self, event: Event) -> Arc<Record> {
        let mut ring = self.ring();
        ring.last += 1;
        let record = Arc::new(Record {
            number: ring.last,
            at: SystemTime::now(),
            event,
        });
        if ring.records.len() == self.0.size {
            ring.records.pop_front();
        }
        ring.records.push_back(Arc::clone(&record));
        record
    }

    /// The oldest kept records with numbers above `number`, `most` of them at most.
    pub fn after(&self, number: u64, most: usize) -> Vec<Arc<Record>> {
        let ring = self.ring();
        let first = ring.records.partition_point(|r| r.number <= number);
        ring.records
            .iter()
            .skip(first)
            .take(most)
            .cloned()
            .collect()
    }

    /// The last `most` records, the newest last.
    pub fn latest(&self, most: usize) -> Vec<Arc<Record>> {
        let ring = self.ring();
        let first = ring.records.len().saturating_sub(most);
        ring.records.iter().skip(first).cloned().collect()
    }

    /// The last record's number; 0 before the first.
    pub fn last(&self) -> u64 {
        self.ring().last
    }

    /// Tells the last record's number whenever there is another one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    /// How many events of each kind were recorded since the start.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.counts.iter().map(|count| count.load(Relaxed));
        KINDS.into_iter().zip(counts)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(event: &Event) {
    match event.severity() {
        Severity::Notice => tracing::info!(target: "event", "{event}"),
        Severity::Warning => tracing::warn!(target: "event", "{event}"),
        Severity::Emergency => tracing::error!(target: "event", "{event}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(backend: usize) -> Event {
        let backend = backend.to_string();
        Event::BackendDown { backend }
    }

    fn numbers(records: &[Arc<Record>]) -> Vec<u64> {
        records.iter().map(|record| record.number).collect()
    }

    #[test]
    fn the_oldest_records_are_forgotten_and_numbers_go_on() {
        let journal = Journal::new(3, None);
        assert_eq!(numbers(&journal.after(0, 9)), [0; 0]);
        (0..5).for_each(|n| journal.record(down(n)));
        assert_eq!(numbers(&journal.after(0, 9)), [3, 4, 5]);
        assert_eq!(numbers(&journal.after(3, 1)), [4]);
        assert_eq!(numbers(&journal.after(5, 9)), [0; 0]);
        assert_eq!(numbers(&journal.after(u64::MAX, 9)), [0; 0]);
        assert_eq!(numbers(&journal.latest(2)), [4, 5]);
        assert_eq!(numbers(&journal.latest(9)), [3, 4, 5]);
        assert_eq!(journal.last(), 5);
    }

    #[test]
    fn events_are_counted_by_kind() {
        let journal = Journal::new(1, None);
        (0..2).for_each(|n| journal.record(down(n)));
        let counted: Vec<_> = journal.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("backend_down", 2)]);
        assert_eq!(journal.counts().count(), KINDS.len());
    }

    #[test]
    fn a_follower_gets_what_the_ring_has_forgotten() {
        let journal = Journal::new(1, None);
        journal.record(down(0));
        let (mut follower, gone) = (journal.follow(), journal.follow());
        drop(gone);
        (1..4).for_each(|n| journal.record(down(n)));
        let got: Vec<_> = std::iter::from_fn(|| follower.try_recv().ok()).collect();
        assert_eq!(numbers(&got), [2, 3, 4]);
    }

    #[test]
    fn what_happens_after_another_process_has_taken_over_is_not_recorded() {
        let journal = Journal::new(9, None);
        journal.record(down(0));
        journal.leave();
        journal.record(down(1));
        assert_eq!(numbers(&journal.after(0, 9)), [1]);
    }

    #[tokio::test]
    async fn a_watcher_hears_of_the_next_record() {
        let journal = Journal::new(9, None);
        let mut watch = journal.watch();
        journal.record(down(0));
        watch.changed().await.unwrap();
        assert_eq!(*watch.borrow(), 1);
    }
}
