//! A session's time in the queue of its backend.

use std::time::{Duration, Instant};

use super::Account;

/// A session's time in queues.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// Since when it waits, while it does.
    since: Option<Instant>,
    /// How long it has waited before.
    waited: Duration,
    /// How many sessions were before it, as it joined the last queue.
    ahead: u32,
}

impl Account {
    /// Takes note that the session waits for a server with room, behind so many others.
    pub(in crate::proxy) fn queue(&mut self, ahead: u32) {
        let queued = self.queued.get_or_insert_default();
        queued.since = Some(Instant::now());
        queued.ahead = ahead;
    }

    /// Takes note that the session waits no longer.
    pub(in crate::proxy) fn dequeue(&mut self) {
        if let Some(queued) = &mut self.queued {
            queued.waited += queued.since.take().map_or(Duration::ZERO, |s| s.elapsed());
        }
    }

    /// Whether the session waits for a server with room.
    pub(super) fn waits(&self) -> bool {
        self.queued.as_ref().is_some_and(|q| q.since.is_some())
    }

    /// How long the session has waited for a server with room.
    pub(super) fn waited(&self) -> Duration {
        let of = |queued: &Queued| {
            let now = queued.since.map_or(Duration::ZERO, |s| s.elapsed());
            queued.waited + now
        };
        self.queued.as_deref().map_or(Duration::ZERO, of)
    }

    /// How many sessions were before this one when it began to wait.
    pub(super) fn ahead(&self) -> u32 {
        self.queued.as_ref().map_or(0, |queued| queued.ahead)
    }
}
