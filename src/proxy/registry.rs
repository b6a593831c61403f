//! The open sessions of one worker, so that they can be ended from outside.

use std::cell::RefCell;
use std::sync::Arc;

use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::id::{BackendId, ServerId};
use crate::outcome::Cause;
use crate::topology::Server;

/// Sessions to end, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Whose sessions.
    pub of: Target,
    /// What their log lines give as the cause.
    pub cause: Cause,
    /// How many at most.
    pub limit: usize,
}

/// Whose sessions are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Those on a server.
    Server(ServerId),
    /// Those on any backup of a backend.
    Backups(BackendId),
}

/// The open sessions of one worker.
#[derive(Debug, Default)]
pub(super) struct Registry {
    sessions: RefCell<Slab<Entry>>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Entry {
    task: Option<AbortHandle>,
    server: Option<Arc<Server>>,
    /// Set when the session is being ended from outside.
    cause: Option<Cause>,
}

/// A session's place in its worker's [`Registry`].
pub(super) type Key = usize;

impl Registry {
    pub(super) fn enter(&self) -> Key {
        self.sessions.borrow_mut().insert(Entry::default())
    }

    pub(super) fn set_task(&self, key: Key, task: AbortHandle) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(key) {
            entry.task = Some(task);
        }
    }

    pub(super) fn set_server(&self, key: Key, server: &Arc<Server>) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(key) {
            entry.server = Some(Arc::clone(server));
        }
    }

    /// Removes a session and returns why it was ended from outside, if it was.
    pub(super) fn leave(&self, key: Key) -> Option<Cause> {
        let mut sessions = self.sessions.borrow_mut();
        let entry = sessions.try_remove(key)?;
        if sessions.is_empty() {
            self.emptied.notify_one();
        }
        entry.cause
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }

    /// Waits until the last session has left.
    pub(super) async fn emptied(&self) {
        while self.len() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Ends sessions as asked.
    pub(super) fn shut_down(&self, shutdown: Shutdown) {
        let mut sessions = self.sessions.borrow_mut();
        let entries = sessions.iter_mut().map(|(_, entry)| entry);
        let open = entries.filter(|entry| entry.cause.is_none() && entry.is_of(shutdown.of));
        for entry in open.take(shutdown.limit) {
            entry.cause = Some(shutdown.cause);
            if let Some(task) = &entry.task {
                task.abort();
            }
        }
    }
}

impl Entry {
    fn is_of(&self, target: Target) -> bool {
        self.server.as_ref().is_some_and(|server| match target {
            Target::Server(id) => server.id == id,
            Target::Backups(backend) => server.id.backend == backend && server.config.backup,
        })
    }
}
