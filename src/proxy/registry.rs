//! The open sessions of one worker, so that they can be looked at and ended from outside.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::id;
use crate::outcome::Cause;
use crate::topology::{Backend, Frontend, Server};

/// Places looked at for one [`Page`]: some ten microseconds' work, so that no session waits for
/// somebody who lists a hundred thousand of them.
const PAGE: usize = 128;

/// Something asked of a worker.
#[derive(Debug)]
pub enum Query {
    /// To end sessions; the answer is how many.
    ShutDown(Shutdown, oneshot::Sender<usize>),
    /// To end one session; the answer is what it was on.
    End(SessionId, Cause, oneshot::Sender<Option<String>>),
    /// To list sessions from a place on.
    List(usize, oneshot::Sender<Page>),
}

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
    Server(id::Key),
    /// Those on any server of a backend that was a backup when they were connected.
    Backups(id::Key),
}

/// A session's number: one that no other session of the process has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The worker, of so many, that the session lives on.
    pub fn worker(self, workers: usize) -> usize {
        (self.0 % workers.max(1) as u64) as usize
    }
}

impl fmt::Display for SessionId {
    /// As HAProxy writes it, where it is an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An open session.
#[derive(Debug)]
pub struct SessionInfo {
    /// Its number.
    pub id: SessionId,
    /// Where its client connected from.
    pub client: SocketAddr,
    /// Where it came in.
    pub frontend: Arc<Frontend>,
    /// Where it was sent, if that is decided.
    pub backend: Option<Arc<Backend>>,
    /// The server that it is connected to, if it is.
    pub server: Option<Arc<Server>>,
    /// Time since it was accepted.
    pub age: Duration,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
}

/// Some of the sessions of a worker.
#[derive(Debug)]
pub struct Page {
    /// Those found.
    pub sessions: Vec<SessionInfo>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
}

/// The addresses of a session's own ends.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Where its connection arrived.
    pub(super) at_client: Cell<Option<SocketAddr>>,
    /// Where the connection to the server comes from.
    pub(super) at_server: Cell<Option<SocketAddr>>,
}

/// What a session has forwarded so far, and what is kept beside it so that its future is small.
#[derive(Debug, Default)]
pub(super) struct Forwarded {
    /// Only if the frontend's lines tell them.
    pub(super) ends: OnceCell<Box<Ends>>,
    /// From the client.
    pub(super) bytes_in: Cell<u64>,
    /// To the client.
    pub(super) bytes_out: Cell<u64>,
}

/// The open sessions of one worker.
#[derive(Debug)]
pub(super) struct Registry {
    sessions: RefCell<Slab<Entry>>,
    emptied: Notify,
    /// The next session's number. They are as many apart as there are workers, so that a number
    /// tells whose session it is.
    next_id: Cell<u64>,
    workers: u64,
}

#[derive(Debug)]
struct Entry {
    id: SessionId,
    client: SocketAddr,
    accepted: Instant,
    forwarded: Rc<Forwarded>,
    frontend: Arc<Frontend>,
    backend: Option<Arc<Backend>>,
    task: Option<AbortHandle>,
    server: Option<Arc<Server>>,
    /// Set when the session is being ended from outside.
    cause: Option<Cause>,
}

/// A session's place in its worker's [`Registry`].
pub(super) type Key = usize;

impl Registry {
    /// An empty one for the worker at a position among so many.
    pub(super) fn new(worker: usize, workers: usize) -> Self {
        let (worker, workers) = (worker as u64, workers as u64);
        Self {
            sessions: RefCell::default(),
            emptied: Notify::new(),
            next_id: Cell::new(workers + worker),
            workers,
        }
    }

    /// Takes in a session. Its bytes are counted where the second part of the result says.
    pub(super) fn enter(
        &self,
        client: SocketAddr,
        frontend: &Arc<Frontend>,
        accepted: Instant,
    ) -> (Key, Rc<Forwarded>) {
        let id = SessionId(self.next_id.get());
        self.next_id.set(id.0 + self.workers);
        let forwarded = Rc::<Forwarded>::default();
        let key = self.sessions.borrow_mut().insert(Entry {
            id,
            client,
            accepted,
            forwarded: Rc::clone(&forwarded),
            frontend: Arc::clone(frontend),
            backend: None,
            task: None,
            server: None,
            cause: None,
        });
        (key, forwarded)
    }

    pub(super) fn set_task(&self, key: Key, task: AbortHandle) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(key) {
            entry.task = Some(task);
        }
    }

    pub(super) fn set_client(&self, key: Key, client: SocketAddr) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(key) {
            entry.client = client;
        }
    }

    pub(super) fn set_backend(&self, key: Key, backend: &Arc<Backend>) {
        if let Some(entry) = self.sessions.borrow_mut().get_mut(key) {
            entry.backend = Some(Arc::clone(backend));
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

    /// Does what is asked from outside. Whoever asked may have gone.
    pub(super) fn answer(&self, query: Query) {
        match query {
            Query::ShutDown(shutdown, reply) => {
                let _ = reply.send(self.shut_down(shutdown));
            }
            Query::End(id, cause, reply) => {
                let _ = reply.send(self.end(id, cause));
            }
            Query::List(from, reply) => {
                let _ = reply.send(self.list(from));
            }
        }
    }

    /// Ends sessions as asked, and returns how many.
    fn shut_down(&self, shutdown: Shutdown) -> usize {
        let mut sessions = self.sessions.borrow_mut();
        let entries = sessions.iter_mut().map(|(_, entry)| entry);
        let open = entries.filter(|entry| entry.cause.is_none() && entry.is_of(shutdown.of));
        open.take(shutdown.limit)
            .map(|entry| entry.end(shutdown.cause))
            .count()
    }

    fn end(&self, id: SessionId, cause: Cause) -> Option<String> {
        let mut sessions = self.sessions.borrow_mut();
        let mut entries = sessions.iter_mut().map(|(_, entry)| entry);
        let entry = entries.find(|entry| entry.id == id && entry.cause.is_none())?;
        entry.end(cause);
        Some(entry.place())
    }

    fn list(&self, from: usize) -> Page {
        let sessions = self.sessions.borrow();
        let end = (from.saturating_add(PAGE)).min(sessions.capacity());
        let found = (from..end).filter_map(|key| sessions.get(key));
        Page {
            sessions: found.map(Entry::info).collect(),
            next: (end < sessions.capacity()).then_some(end),
        }
    }
}

impl Entry {
    fn is_of(&self, target: Target) -> bool {
        let Some(server) = &self.server else {
            return false;
        };
        match target {
            Target::Server(key) => server.key == key,
            Target::Backups(key) => {
                server.config.backup && self.backend.as_ref().is_some_and(|b| b.key == key)
            }
        }
    }

    fn end(&mut self, cause: Cause) {
        self.cause = Some(cause);
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    fn place(&self) -> String {
        match (&self.server, &self.backend) {
            (Some(server), _) => server.path.clone(),
            (None, Some(backend)) => backend.config.name.clone(),
            (None, None) => self.frontend.config.name.clone(),
        }
    }

    fn info(&self) -> SessionInfo {
        SessionInfo {
            id: self.id,
            client: self.client,
            frontend: Arc::clone(&self.frontend),
            backend: self.backend.clone(),
            server: self.server.clone(),
            age: self.accepted.elapsed(),
            bytes_in: self.forwarded.bytes_in.get(),
            bytes_out: self.forwarded.bytes_out.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample::farms;

    fn client() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5))
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.sessions.iter().map(|session| session.id.0).collect()
    }

    #[test]
    fn numbers_tell_the_worker_and_are_never_used_again() {
        let topology = farms();
        let frontend = &topology.frontends[0];
        for worker in 0..3 {
            let registry = Registry::new(worker, 3);
            for _ in 0..4 {
                let (key, _) = registry.enter(client(), frontend, Instant::now());
                registry.leave(key);
                registry.enter(client(), frontend, Instant::now());
            }
            let listed = numbers(&registry.list(0));
            assert_eq!(listed.len(), 4);
            for id in listed {
                assert_eq!(SessionId(id).worker(3), worker, "{id}");
                assert!(registry.end(SessionId(id), Cause::Killed).is_some());
                assert_eq!(registry.end(SessionId(id), Cause::Killed), None);
            }
        }
    }

    #[test]
    fn pages_together_have_every_session_once() {
        let topology = farms();
        let registry = Registry::new(0, 1);
        for _ in 0..1_000 {
            registry.enter(client(), &topology.frontends[0], Instant::now());
        }
        let (mut listed, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let page = registry.list(from);
            assert!(page.sessions.len() <= PAGE);
            listed.extend(numbers(&page));
            next = page.next;
        }
        assert_eq!(listed, (1..=1_000).collect::<Vec<_>>());
        assert_eq!(registry.list(usize::MAX).next, None);
    }

    #[test]
    fn as_many_sessions_of_a_server_are_ended_as_asked_for() {
        let topology = farms();
        let registry = Registry::new(0, 1);
        let servers = &topology.backends[0].servers;
        for server in [0, 1, 0, 0] {
            let (key, _) = registry.enter(client(), &topology.frontends[0], Instant::now());
            registry.set_server(key, &servers[server]);
        }
        let ended = |limit| {
            registry.shut_down(Shutdown {
                of: Target::Server(servers[0].key),
                cause: Cause::MarkedDown,
                limit,
            })
        };
        assert_eq!([ended(2), ended(9), ended(9)], [2, 1, 0]);
        assert_eq!(registry.leave(0), Some(Cause::MarkedDown));
        assert_eq!(registry.leave(1), None);
    }
}
