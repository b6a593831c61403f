//! Sessions that end because a server's state changed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use crate::events::{Ended, Event};
use crate::outcome::Cause;
use crate::proxy::registry::{SessionId, Shutdown, Target};
use crate::topology::Server;

/// How often a bounded number of sessions is ended.
const STEP: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Ends the sessions of a server that went down, if it is so configured, for as long as it
    /// stays down (configuration.txt, "on-marked-down shutdown-sessions").
    pub(super) fn marked_down(self: &Rc<Self>, server: &Arc<Server>) {
        let Some(how) = server.config.policy.on_marked_down else {
            return;
        };
        let of = Target::Server(server.key);
        let shutdown = move |limit| Shutdown {
            of,
            cause: Cause::MarkedDown,
            limit,
        };
        let (supervisor, server) = (Rc::clone(self), Arc::clone(server));
        let per_step = how.rate.map_or(usize::MAX, |rate| {
            let workers = supervisor.sessions.workers() as u32;
            rate.div_ceil(workers * (1000 / STEP.as_millis() as u32)) as usize
        });
        if how.after.is_zero() && how.rate.is_none() {
            // At once: before any other event can be handled.
            let ended = supervisor.sessions.shut_down(shutdown(usize::MAX));
            return supervisor.tell_of(ended, server.path.clone(), Ended::MarkedDown);
        }
        tokio::task::spawn_local(async move {
            tokio::time::sleep(how.after).await;
            let mut count = 0;
            while !server.is_up() && server.counters.open() > 0 {
                count += supervisor.sessions.shut_down(shutdown(per_step)).await;
                tokio::time::sleep(STEP).await;
            }
            let count = std::future::ready(count);
            supervisor.tell_of(count, server.path.clone(), Ended::MarkedDown);
        });
    }

    /// Ends the sessions on its backend's backups when a primary comes up, if it is so
    /// configured (configuration.txt, "on-marked-up shutdown-backup-sessions").
    pub(super) fn marked_up(self: &Rc<Self>, server: &Server) {
        if server.config.policy.on_marked_up
            && !server.config.backup
            && let Some(backend) = self.backend(server)
        {
            let of = Target::Backups(backend.key);
            let ended = self.sessions.shut_down(Shutdown {
                of,
                cause: Cause::PrimaryUp,
                limit: usize::MAX,
            });
            let on = backend.config.name.clone();
            self.tell_of(ended, on, Ended::PrimaryUp);
        }
    }

    /// Ends the sessions of a server because `who` wants it.
    pub fn shut_down_sessions(self: &Rc<Self>, server: &Server, who: &str) {
        let ended = self.sessions.shut_down(Shutdown {
            of: Target::Server(server.key),
            cause: Cause::Killed,
            limit: usize::MAX,
        });
        let who = who.to_owned();
        self.tell_of(ended, server.path.clone(), Ended::Operator { who });
    }

    /// Ends one session because `who` wants it. Returns whether there was such a session.
    pub async fn shut_down_session(&self, id: SessionId, who: &str) -> bool {
        let Some(on) = self.sessions.end(id, Cause::Killed).await else {
            return false;
        };
        let who = who.to_owned();
        self.journal.record(Event::SessionsEnded {
            on,
            count: 1,
            why: Ended::Operator { who },
        });
        true
    }

    /// Tells how many sessions were ended, once the workers know.
    fn tell_of(
        self: &Rc<Self>,
        ended: impl Future<Output = usize> + 'static,
        on: String,
        why: Ended,
    ) {
        let journal = self.journal.clone();
        tokio::task::spawn_local(async move {
            let count = ended.await;
            if count > 0 {
                journal.record(Event::SessionsEnded { on, count, why });
            }
        });
    }
}
