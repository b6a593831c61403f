//! What one session counts, and the line it leaves in the log.
//!
//! An [`Account`] opens when a connection is accepted and closes exactly once, when it is
//! dropped: whatever ends a session, a panic included, the counters stay right.

mod bytes;
mod client;
mod line;
mod queued;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use self::line::SessionLine;
use self::queued::Queued;
use super::forward::Side;
use super::registry::{Forwarded, Key};
use super::worker::{Hungry, Worker};
use crate::config::SessionLog;
use crate::config::policy::Silence;
use crate::counters::{Counters, Shard};
use crate::outcome::{Cause, Outcome, Phase};
use crate::proxy_header::Told;
use crate::topology::admission::{Admitted, Resource};
use crate::topology::guard::Refusal;
use crate::topology::queue::Place;
use crate::topology::{Backend, Frontend, Server};

/// One session's account.
pub(super) struct Account {
    worker: Rc<Worker>,
    key: Key,
    client: SocketAddr,
    frontend: Arc<Frontend>,
    backend: Option<Arc<Backend>>,
    /// The last server that was tried.
    server: Option<Arc<Server>>,
    accepted: Instant,
    /// Since `accepted`; `None` until a server is connected.
    connect_time: Option<Duration>,
    /// Attempts after the first one.
    retries: u32,
    redispatched: bool,
    /// What a PROXY header has told of the client.
    told: Option<Box<Told>>,
    /// Why the client is not served, if it is not.
    refused: Option<Refusal>,
    /// Of a session that had to wait for a server with room.
    queued: Option<Box<Queued>>,
    forwarded: Rc<Forwarded>,
    outcome: Option<Outcome>,
}

impl Account {
    /// Counts a session of `frontend` as taken on, which has been admitted.
    pub(super) fn open(
        worker: &Rc<Worker>,
        frontend: Arc<Frontend>,
        client: SocketAddr,
        admitted: &Admitted,
    ) -> Self {
        let accepted = Instant::now();
        let (key, forwarded) = worker.sessions.enter(client, &frontend, accepted);
        let account = Self {
            worker: Rc::clone(worker),
            key,
            client,
            frontend,
            backend: None,
            server: None,
            accepted,
            connect_time: None,
            retries: 0,
            redispatched: false,
            told: None,
            refused: None,
            queued: None,
            forwarded,
            outcome: None,
        };
        let (counters, now) = (&account.frontend.counters, account.now());
        if admitted.reserved {
            counters.enter_reserved(worker.id, now);
        } else {
            counters.enter(worker.id, now);
        }
        worker.loads.enter(worker.id);
        worker.expect_timers(account.accepted);
        account
    }

    /// Takes note of the address that the client connected to, if its line tells it.
    pub(super) fn note_client_end(&self, client: &TcpStream) {
        if self
            .frontend
            .config
            .log_format
            .as_ref()
            .is_some_and(|format| format.tells_ends)
        {
            let ends = self.forwarded.ends.get_or_init(Box::default);
            ends.at_client.set(client.local_addr().ok());
        }
    }

    /// Takes note of the address that the connection to the server comes from, if that is told.
    pub(super) fn note_server_end(&self, server: &TcpStream) {
        if let Some(ends) = self.forwarded.ends.get() {
            ends.at_server.set(server.local_addr().ok());
        }
    }

    /// The session's place in its worker's registry.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Where the client is.
    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    pub(super) fn frontend(&self) -> &Arc<Frontend> {
        &self.frontend
    }

    /// Counts the session on its backend, and no longer on the one that it leaves.
    pub(super) fn enter_backend(&mut self, backend: Arc<Backend>) {
        if let Some(left) = self.backend.take() {
            if left.key == backend.key {
                // A reload has put another in its place, which counts it already.
                self.worker.sessions.set_backend(self.key, &backend);
                self.backend = Some(backend);
                return;
            }
            left.counters.leave();
            self.server = None;
            self.redispatched = true;
        }
        backend.counters.enter(self.worker.id, self.now());
        self.shard(&backend.counters).balanced.add(1);
        self.worker.sessions.set_backend(self.key, &backend);
        self.backend = Some(backend);
    }

    /// Notes that `server` is tried next. As in HAProxy, going on to another server is a
    /// redispatch of the one left, and going back to the same one is a retry.
    pub(super) fn assign(&mut self, server: &Arc<Server>) {
        if let Some(previous) = self.server.take() {
            self.retries += 1;
            let moved = previous.key != server.key;
            self.redispatched |= moved;
            let backend = self.backend.iter().map(|backend| &backend.counters);
            for counters in backend.chain([&previous.counters]) {
                let shard = self.shard(counters);
                if moved {
                    shard.redispatches.add(1);
                } else {
                    shard.retries.add(1);
                }
            }
        }
        self.shard(&server.counters).balanced.add(1);
        self.server = Some(Arc::clone(server));
    }

    /// Counts an attempt to connect to `server` beside a slow one.
    pub(super) fn hedge(&mut self, server: &Arc<Server>) {
        self.shard(&server.counters).balanced.add(1);
        let backend = self.backend.iter().map(|backend| &backend.counters);
        backend
            .chain([&server.counters])
            .for_each(|c| self.shard(c).hedges.add(1));
    }

    /// Counts that `server` was faster than the server tried first.
    pub(super) fn hedge_won(&mut self, server: &Server) {
        let backend = self.backend.iter().map(|backend| &backend.counters);
        backend
            .chain([&server.counters])
            .for_each(|c| self.shard(c).hedges_won.add(1));
    }

    /// Counts the session on the server whose place it has got.
    pub(super) fn connected(&mut self, place: Place) {
        self.connect_time = Some(self.accepted.elapsed());
        let server = place.server();
        self.worker.sessions.set_server(self.key, server);
        if self
            .server
            .as_ref()
            .is_none_or(|tried| tried.key != server.key)
        {
            // A rival was faster.
            self.server = Some(Arc::clone(server));
        }
        place.take(self.worker.id, self.now());
    }

    /// Takes note that the process was short of something, which it may have in its pipes.
    pub(super) fn starved(&self, resource: Resource) {
        self.worker.admission.short_of(resource);
        if resource == Resource::Descriptors {
            self.worker.pipes.shed();
        }
    }

    /// Says for as long as the result lives that the session waits for what the process lacks.
    pub(super) fn hungry(&self) -> Hungry {
        Hungry::new(&self.worker)
    }

    /// Whether clients of the server usually say something first.
    pub(super) fn client_begins(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| server.client_begins())
    }

    /// Takes note of who has said something first.
    pub(super) fn note_first(&self, first: Side) {
        if let Some(server) = &self.server {
            server.note_first(first == Side::Client);
        }
    }

    /// When the server was connected, or else when the client was.
    pub(super) fn connected_at(&self) -> Instant {
        self.accepted + self.connect_time.unwrap_or_default()
    }

    /// Counts that the session got no server.
    pub(super) fn connect_failed(&mut self) {
        for counters in self.behind() {
            self.shard(counters).connect_errors.add(1);
        }
    }

    /// Whether it matters how long the server takes for its first byte.
    pub(super) fn silence(&self) -> Option<Silence> {
        self.server
            .as_ref()
            .and_then(|server| server.config.policy.silence)
    }

    /// Takes note of the server's first byte.
    pub(super) fn server_answered(&self) {
        if let Some(server) = &self.server {
            server.answered();
        }
    }

    /// Takes note that the server's first byte did not come in time.
    pub(super) fn server_was_silent(&self) {
        if let Some(server) = &self.server {
            server.was_silent();
        }
    }

    /// Closes the account with what ended the session.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// See [`Worker::may_complain`].
    pub(super) fn may_complain(&self) -> bool {
        self.worker.may_complain()
    }

    fn shard<'a>(&self, counters: &'a Counters) -> &'a Shard {
        counters.shard(self.worker.id)
    }

    /// The counters of the backend and the server.
    fn behind(&self) -> impl Iterator<Item = &Counters> {
        let backend = self.backend.iter().map(|backend| &*backend.counters);
        backend.chain(self.server.iter().map(|server| &*server.counters))
    }

    fn all(&self) -> impl Iterator<Item = &Counters> {
        [&*self.frontend.counters].into_iter().chain(self.behind())
    }

    /// Whole seconds since the process began.
    fn now(&self) -> u64 {
        self.accepted.duration_since(self.worker.started).as_secs()
    }

    fn count(&self, outcome: Outcome) {
        self.frontend.endings.count(self.worker.id, outcome);
        match (outcome.cause, outcome.phase) {
            _ if self.refused.is_some_and(Refusal::is_of_header) => {
                self.shard(&self.frontend.counters).request_errors.add(1);
            }
            // Counted as denied sessions, not as denied requests.
            _ if self.refused.is_some() => {}
            (Cause::Policy, _) => self.shard(&self.frontend.counters).denied.add(1),
            (Cause::ClientAbort | Cause::ClientTimeout, phase) => {
                if phase == Phase::Request {
                    self.shard(&self.frontend.counters).request_errors.add(1);
                }
                self.behind()
                    .for_each(|c| self.shard(c).client_aborts.add(1));
            }
            (Cause::ServerAbort | Cause::ServerTimeout, Phase::Data) => {
                for counters in self.behind() {
                    self.shard(counters).response_errors.add(1);
                    self.shard(counters).server_aborts.add(1);
                }
            }
            _ => {}
        }
    }

    fn is_logged(&self, outcome: Outcome) -> bool {
        match self.worker.session_log {
            SessionLog::All => true,
            SessionLog::Failed => outcome != Outcome::NORMAL || self.retries > 0,
            SessionLog::Off => false,
        }
    }

    fn line(&self, outcome: Outcome) -> SessionLine<'_> {
        SessionLine {
            account: self,
            outcome,
            lasted: self.accepted.elapsed(),
            open: [
                self.worker.admission.open(),
                self.frontend.counters.open(),
                self.backend
                    .as_ref()
                    .map_or(0, |backend| backend.counters.open()),
                self.server
                    .as_ref()
                    .map_or(0, |server| server.counters.open()),
            ],
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let ended = self.worker.sessions.leave(self.key);
        let outcome = self.outcome.unwrap_or_else(|| {
            let phase = match (&self.backend, self.connect_time) {
                (None, _) => Phase::Request,
                (Some(_), None) if self.waits() => Phase::Queue,
                (Some(_), None) => Phase::Connect,
                (Some(_), Some(_)) => Phase::Data,
            };
            let panicked = std::thread::panicking().then_some(Cause::Internal);
            Outcome::new(panicked.or(ended).unwrap_or(Cause::Killed), phase)
        });
        self.count(outcome);
        // In HAProxy a session's line does not count it on its backend and server any more, but
        // still does on its frontend.
        if let Some(backend) = &self.backend {
            backend.counters.leave();
        }
        if let (Some(backend), Some(server), Some(_)) =
            (&self.backend, &self.server, self.connect_time)
        {
            backend.left(server);
        }
        if self.is_logged(outcome) {
            self.line(outcome).write();
        }
        self.frontend.counters.leave();
        self.worker.session_left();
        self.worker.admission.leave(&self.frontend);
    }
}
