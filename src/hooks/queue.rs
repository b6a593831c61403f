//! Which event a hook runs for next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::hook::HookConfig;
use crate::events::Record;

/// A subject that does not fall silent is not waited for longer than so many times the debounce.
const PATIENCE: u32 = 10;

/// The events that wait for a hook, and the subjects that it runs for.
///
/// Runs for one subject come one after the other, in the order of its events, so that what is
/// done for its recovery cannot be overtaken by what is done for its failure.
#[derive(Debug)]
pub(super) struct Queue {
    debounce: Duration,
    most_running: usize,
    most_waiting: usize,
    /// In the order in which their subjects came in.
    waiting: VecDeque<Waiting>,
    running: Vec<String>,
    /// Whether the last event did not find a place.
    full: bool,
}

#[derive(Debug)]
struct Waiting {
    record: Arc<Record>,
    /// When it may be run at the latest.
    latest: Instant,
    due: Instant,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It waits.
    Waits,
    /// It took the place of an earlier one of its subject.
    Merged,
    /// There is no place for it; `first` unless the one before had none either.
    Dropped {
        /// Whether this is news.
        first: bool,
    },
}

impl Queue {
    pub(super) fn new(hook: &HookConfig) -> Self {
        Self {
            debounce: hook.debounce,
            most_running: hook.concurrency,
            most_waiting: hook.queue,
            waiting: VecDeque::new(),
            running: Vec::new(),
            full: false,
        }
    }

    /// Takes in an event that happened at `now`.
    pub(super) fn put(&mut self, record: Arc<Record>, now: Instant) -> Put {
        let due = now + self.debounce;
        let subject = record.event.subject();
        let mut waiting = self.waiting.iter_mut();
        let same = waiting.find(|waiting| waiting.record.event.subject() == subject);
        if let Some(waiting) = same.filter(|_| !self.debounce.is_zero()) {
            waiting.record = record;
            waiting.due = due.min(waiting.latest);
            return Put::Merged;
        }
        if self.waiting.len() >= self.most_waiting {
            let first = !std::mem::replace(&mut self.full, true);
            return Put::Dropped { first };
        }
        self.full = false;
        self.waiting.push_back(Waiting {
            record,
            latest: now + self.debounce * PATIENCE,
            due,
        });
        Put::Waits
    }

    /// The event to run for at `now`, which is then taken as running.
    pub(super) fn take(&mut self, now: Instant) -> Option<Arc<Record>> {
        let (position, _) = self.ready().find(|(_, waiting)| waiting.due <= now)?;
        let record = self.waiting.remove(position)?.record;
        self.running.push(record.event.subject().to_owned());
        Some(record)
    }

    /// When there will be one to run for, unless a run must end first.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.ready().map(|(_, waiting)| waiting.due).min()
    }

    /// Takes note that the run for `subject` has ended.
    pub(super) fn ended(&mut self, subject: &str) {
        if let Some(position) = self.running.iter().position(|running| running == subject) {
            self.running.swap_remove(position);
        }
    }

    /// Those that no run has to end for.
    fn ready(&self) -> impl Iterator<Item = (usize, &Waiting)> {
        let room = self.running.len() < self.most_running;
        let waiting = self.waiting.iter().enumerate().filter(move |_| room);
        waiting.filter(|(_, waiting)| {
            let subject = waiting.record.event.subject();
            !self.running.iter().any(|running| running == subject)
        })
    }
}
