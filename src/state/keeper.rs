//! When the state is written: soon after a change, and now and then so that its age tells how
//! long there was no process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::{Clock, Saved, file};
use crate::config::operation::StateConfig;
use crate::events::Journal;
use crate::topology::Current;

/// After a change, so that a hundred servers that go down together are written once.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Without a change.
const REFRESH: Duration = Duration::from_secs(60);

/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Writes the state while it runs.
#[derive(Debug)]
pub struct Keeper {
    task: JoinHandle<()>,
    current: Current,
    disk: Arc<Mutex<Disk>>,
}

/// The file, written by whichever thread has something to write.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    written: Option<Saved>,
    /// Whether the last attempt failed, which is told once.
    failing: bool,
}

impl Keeper {
    /// Begins to write the state of what runs, where `journal` tells of changes. It must be
    /// called inside of a local event loop.
    pub fn start(config: &StateConfig, current: Current, journal: Journal) -> Self {
        let disk = Arc::new(Mutex::new(Disk {
            path: config.file.clone(),
            written: None,
            failing: false,
        }));
        let refresh = REFRESH.min(config.max_age / 2);
        let run = run(current.clone(), journal, Arc::clone(&disk), refresh);
        Self {
            task: tokio::task::spawn_local(run),
            current,
            disk,
        }
    }

    /// Writes what is so at the end.
    pub fn finish(self) {
        self.task.abort();
        lock(&self.disk).write(Saved::of(&self.current.load(), Clock::now()), true);
    }

    /// Leaves the file to another process.
    pub fn leave(self) {
        self.task.abort();
        // A write that has begun ends before this.
        drop(lock(&self.disk));
    }
}

async fn run(current: Current, journal: Journal, disk: Arc<Mutex<Disk>>, refresh: Duration) {
    let mut changes = journal.watch();
    let mut fresh = false;
    loop {
        let saved = Saved::of(&current.load(), Clock::now());
        let disk = Arc::clone(&disk);
        let writing = spawn_blocking(move || lock(&disk).write(saved, fresh));
        let wait = if writing.await.unwrap_or(false) {
            refresh
        } else {
            RETRY
        };
        // The journal is held here, so its other end is never gone.
        fresh = timeout(wait, changes.changed()).await.is_err();
        sleep(DEBOUNCE).await;
        changes.mark_unchanged();
    }
}

fn lock(disk: &Mutex<Disk>) -> std::sync::MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Writes `saved` if it says something new or is to be `fresh`. Returns whether the file is as
    /// it should be.
    fn write(&mut self, saved: Saved, fresh: bool) -> bool {
        let known = |written: &Saved| written.says_the_same(&saved);
        if !fresh && !self.failing && self.written.as_ref().is_some_and(known) {
            return true;
        }
        let path = self.path.display();
        match file::replace(&self.path, &saved.json()) {
            Ok(()) => {
                if self.failing {
                    tracing::info!("The state is saved to {path} again.");
                }
                self.failing = false;
                self.written = Some(saved);
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(
                        "The state cannot be saved to {path}: {error}. Traffic goes on; it is \
                         tried again."
                    );
                }
                self.failing = true;
            }
        }
        !self.failing
    }
}
