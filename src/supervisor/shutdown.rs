//! Sessions that end because a server's state changed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use crate::outcome::Cause;
use crate::proxy::registry::{Shutdown, Target};
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
        let of = Target::Server(server.id);
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
            return supervisor.sessions.shut_down(shutdown(usize::MAX));
        }
        tokio::task::spawn_local(async move {
            tokio::time::sleep(how.after).await;
            while !server.is_up() && server.counters.open() > 0 {
                supervisor.sessions.shut_down(shutdown(per_step));
                tokio::time::sleep(STEP).await;
            }
        });
    }

    /// Ends the sessions on its backend's backups when a primary comes up, if it is so
    /// configured (configuration.txt, "on-marked-up shutdown-backup-sessions").
    pub(super) fn marked_up(&self, server: &Server) {
        if server.config.policy.on_marked_up && !server.config.backup {
            let of = Target::Backups(server.id.backend);
            self.sessions.shut_down(Shutdown {
                of,
                cause: Cause::PrimaryUp,
                limit: usize::MAX,
            });
        }
    }
}
