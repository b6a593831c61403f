//! Hooks: programs that are run, and URLs that are posted to, when something happens.
//!
//! Each hook has a task on the control thread, which takes events from the journal and starts
//! runs for them; what a hook does can neither hold up a check nor a session.
//!
//! - [`queue`]: which event is next: debouncing, the bounds, one run at a time per subject.
//! - [`program`]: runs a program. [`webhook`]: posts an event.

mod program;
mod queue;
mod webhook;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use self::queue::{Put, Queue};
use self::webhook::Poster;
use crate::config::hook::{EventFilter, HookAction, HookConfig, HookProgram};
use crate::events::{Event, HookRun, Journal, Place, Record};
use crate::topology::Current;

/// The longest wait between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the hooks of a process have done. Clones are the same counters.
#[derive(Debug, Clone, Default)]
pub struct HookCounts(Arc<[Count]>);

/// What one hook has done.
#[derive(Debug)]
struct Count {
    hook: String,
    succeeded: AtomicU64,
    failed: AtomicU64,
    merged: AtomicU64,
    dropped: AtomicU64,
}

impl HookCounts {
    /// Zeroes.
    pub fn new(hooks: &[HookConfig]) -> Self {
        let zero = |hook: &HookConfig| Count {
            hook: hook.name.clone(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            merged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        Self(hooks.iter().map(zero).collect())
    }

    /// For each hook and each thing that can become of an event, how often it did: a run that
    /// `succeeded` or `failed`; `merged` into a later event of the same subject; `dropped`
    /// because too many waited.
    pub fn all(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.0.iter().flat_map(|count| {
            let results = [
                ("succeeded", &count.succeeded),
                ("failed", &count.failed),
                ("merged", &count.merged),
                ("dropped", &count.dropped),
            ];
            results.map(|(result, number)| (count.hook.as_str(), result, number.load(Relaxed)))
        })
    }
}

/// Has `hooks` run for what `journal` records from now on. To be called inside a `LocalSet`,
/// with whose end runs end too.
pub fn start(hooks: &[HookConfig], counts: &HookCounts, journal: &Journal, current: &Current) {
    for (position, config) in hooks.iter().enumerate() {
        let events = journal.follow();
        let hook = Rc::new(Hook {
            action: Action::new(&config.action),
            config: config.clone(),
            position,
            counts: counts.clone(),
            journal: journal.clone(),
            current: current.clone(),
        });
        tokio::task::spawn_local(serve(hook, events));
    }
}

struct Hook {
    config: HookConfig,
    action: Action,
    /// Among the hooks.
    position: usize,
    counts: HookCounts,
    journal: Journal,
    current: Current,
}

/// What is done, ready to be done.
enum Action {
    Program(HookProgram),
    Webhook(Box<Poster>),
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    info: String,
    /// Whether it may go better next time.
    again: bool,
}

impl Action {
    fn new(action: &HookAction) -> Self {
        match action {
            HookAction::Program(program) => Self::Program(program.clone()),
            HookAction::Webhook(webhook) => Self::Webhook(Box::new(Poster::new(webhook))),
        }
    }
}

/// Takes events and starts runs for ever.
async fn serve(hook: Rc<Hook>, mut events: mpsc::UnboundedReceiver<Arc<Record>>) {
    let mut queue = Queue::new(&hook.config);
    let (ended, mut ends) = mpsc::unbounded_channel::<String>();
    loop {
        let due = queue.next_due();
        let alarm = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                Some(record) if matches(&hook.config.filter, &record.event) => {
                    hook.note(&queue.put(record, Instant::now()));
                }
                Some(_) => continue,
                None => return,
            },
            Some(subject) = ends.recv() => queue.ended(&subject),
            () = alarm => {}
        }
        while let Some(record) = queue.take(Instant::now()) {
            let (hook, ended) = (Rc::clone(&hook), ended.clone());
            tokio::task::spawn_local(async move {
                hook.run(&record).await;
                // The task that waits for it ends with the process only.
                let _ = ended.send(record.event.subject().to_owned());
            });
        }
    }
}

/// Whether a hook with this filter is for an event.
fn matches(filter: &EventFilter, event: &Event) -> bool {
    if let Event::HookSucceeded(_) | Event::HookFailed(_) = event {
        return false;
    }
    let any = |wanted: &[String], is: Option<&str>| {
        wanted.is_empty() || is.is_some_and(|is| wanted.iter().any(|wanted| wanted == is))
    };
    let (frontend, backend, server) = match event.place() {
        Place::Frontend(name) => (Some(name), None, None),
        Place::Backend(name) => (None, Some(name), None),
        Place::Server(backend, _) => (None, Some(backend), Some(event.subject())),
        Place::Hook(_) | Place::Everything => (None, None, None),
    };
    let state = || {
        event
            .state()
            .is_some_and(|state| filter.states.contains(&state))
    };
    (filter.kinds.is_empty() || filter.kinds.contains(&event.kind()))
        && any(&filter.frontends, frontend)
        && any(&filter.backends, backend)
        && any(&filter.servers, server)
        && (filter.states.is_empty() || state())
}

/// How long to wait after the failed attempt of this number, which begins at 1.
fn pause(attempt: u32) -> Duration {
    let doubled = 1_u64.checked_shl(attempt - 1).unwrap_or(u64::MAX);
    Duration::from_secs(doubled).min(LONGEST_PAUSE)
}

impl Hook {
    fn count(&self) -> &Count {
        &self.counts.0[self.position]
    }

    fn note(&self, put: &Put) {
        match put {
            Put::Waits => {}
            Put::Merged => {
                self.count().merged.fetch_add(1, Relaxed);
            }
            Put::Dropped { first } => {
                self.count().dropped.fetch_add(1, Relaxed);
                if *first {
                    tracing::error!(
                        target: "hook",
                        "Hook {} does not keep up: {} events wait for it, and others are dropped.",
                        self.config.name,
                        self.config.queue
                    );
                }
            }
        }
    }

    /// One run for one event: attempts until one succeeds or no more are allowed.
    async fn run(&self, record: &Record) {
        let began = Instant::now();
        let mut attempts = 0;
        let result = loop {
            attempts += 1;
            match self.attempt(record, attempts).await {
                Err(failure) if failure.again && attempts <= self.config.retries => {
                    let pause = pause(attempts);
                    tracing::warn!(
                        target: "hook",
                        "Hook {} failed for event {} and is tried again in {pause:?}: {}.",
                        self.config.name,
                        record.number,
                        failure.info
                    );
                    tokio::time::sleep(pause).await;
                }
                result => break result,
            }
        };
        let run = |info| HookRun {
            hook: self.config.name.clone(),
            number: record.number,
            on: format!("{} {}", record.event.kind(), record.event.subject()),
            attempts,
            duration: began.elapsed(),
            info,
        };
        match result {
            Ok(info) => {
                self.count().succeeded.fetch_add(1, Relaxed);
                self.journal.record(Event::HookSucceeded(run(info)));
            }
            Err(failure) => {
                self.count().failed.fetch_add(1, Relaxed);
                self.journal.record(Event::HookFailed(run(failure.info)));
            }
        }
    }

    /// Returns what the program said or the receiver answered.
    async fn attempt(&self, record: &Record, attempt: u32) -> Result<String, Failure> {
        let (hook, limit) = (self.config.name.as_str(), self.config.timeout);
        match &self.action {
            Action::Program(program) => {
                let facts = program::facts(hook, record, attempt, &self.current.load());
                program::run(program, facts, record, limit).await
            }
            Action::Webhook(poster) => poster.post(hook, record, limit).await,
        }
    }
}

#[cfg(test)]
mod tests;
