//! The sessions of a backend that wait for a server with room.
//!
//! A server at its `maxconn` gets no more sessions. The next session goes to another server in
//! use; when all of them are full it waits here, and each place that is given back goes to the
//! session that has waited longest, whichever worker it lives on. The place is handed over: it
//! is never free in between, so no newcomer can take it.
//!
//! The lock is taken only by sessions that wait and by those that end while others wait. A
//! backend without `maxconn` never comes here.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Backend, Server};

/// A server's place for one session that is about to connect to it; given back when it is
/// dropped.
#[derive(Debug)]
pub struct Place {
    server: Arc<Server>,
    /// Who else may be waiting for the place; `None` if it is not reserved, since the server has no
    /// limit and nobody compares how many it has.
    queue: Option<Arc<Queue>>,
}

impl Place {
    /// A place at a server that has no limit, which nobody counts before it is taken.
    fn unlimited(server: &Arc<Server>) -> Self {
        Self {
            server: Arc::clone(server),
            queue: None,
        }
    }

    /// Whose place it is.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Counts the session as open on the server, at `now` in seconds since the process began.
    /// [`Backend::left`] undoes this.
    pub fn take(mut self, worker: usize, now: u64) {
        match self.queue.take() {
            Some(_) => self.server.counters.enter_reserved(worker, now),
            None => self.server.counters.enter(worker, now),
        }
    }

    /// Gives the place back without looking for a session that waits for it.
    fn give_up(mut self) {
        if self.queue.take().is_some() {
            self.server.counters.give_back();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            self.server.counters.give_back();
            queue.serve();
        }
    }
}

/// What a session that waited got: a place, or `None` because no server is usable any more.
pub type Offer = Option<Place>;

/// A session's place in the queue, which it leaves when this is dropped.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
    offer: oneshot::Receiver<Offer>,
    /// How many sessions stood in the queue when this one joined it.
    pub ahead: u32,
}

impl Ticket {
    /// Waits for its turn.
    pub async fn turn(&mut self) -> Offer {
        // The other end is only dropped with an offer, or with the backend.
        (&mut self.offer).await.unwrap_or(None)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.remove(self.number);
    }
}

/// Sessions that wait, oldest first. A backend that takes another's place in a reload takes over
/// its queue, so the sessions of both stand in one line.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<VecDeque<Waiting>>,
    /// The length of `line`, to be read without its lock.
    length: AtomicU32,
    longest: AtomicU32,
    /// The next ticket's number.
    next: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Where it looks for a server.
    backend: Arc<Backend>,
    client: IpAddr,
    /// Positions of the servers that it could not connect to.
    tried: Box<[u32]>,
    offer: oneshot::Sender<Offer>,
}

impl Queue {
    /// How many sessions wait now.
    pub fn len(&self) -> u32 {
        self.length.load(SeqCst)
    }

    /// Whether no session waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most sessions that ever waited at once.
    pub fn longest(&self) -> u32 {
        self.longest.load(Relaxed)
    }

    /// Begins the maximum anew.
    pub fn clear_maximum(&self) {
        self.longest.store(self.len(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the length that is read without the lock, which `line` proves to be held.
    fn note_length(&self, line: &VecDeque<Waiting>) {
        let length = line.len() as u32;
        self.length.store(length, SeqCst);
        self.longest.fetch_max(length, Relaxed);
    }

    fn remove(&self, number: u64) {
        let mut line = self.lock();
        if let Ok(index) = line.binary_search_by_key(&number, |waiting| waiting.number) {
            line.remove(index);
            self.note_length(&line);
        }
    }

    /// Gives places that are free to the sessions that wait, oldest first. When no server is
    /// usable they are sent away, because the rules may know of another backend; when a reload
    /// has put another backend in the place of theirs, because that one knows its servers.
    pub fn serve(&self) {
        if self.is_empty() {
            return;
        }
        let mut line = self.lock();
        let mut index = 0;
        while let Some(waiting) = line.get(index) {
            let offer = match waiting.backend.offer(waiting.client, &waiting.tried) {
                Ok(offer) => offer,
                Err(Full::ForThis) => {
                    index += 1;
                    continue;
                }
                Err(Full::ForAll) => break,
            };
            let Some(waiting) = line.remove(index) else {
                break;
            };
            if let Err(Some(place)) = waiting.offer.send(offer) {
                // It has left and not said so yet. The lock is held, so nobody is looked for.
                place.give_up();
            }
        }
        self.note_length(&line);
    }
}

/// Why a session that waits gets nothing yet.
enum Full {
    /// The servers with room are those that it could not connect to.
    ForThis,
    /// No server has room.
    ForAll,
}

impl Backend {
    /// A place at the server at `position`, unless it is full or sessions wait already, which
    /// come first.
    pub fn place(&self, position: u32) -> Option<Place> {
        if self.server(position).maxconn() > 0 && !self.queue.is_empty() {
            return None;
        }
        self.place_at(position)
    }

    fn place_at(&self, position: u32) -> Option<Place> {
        let server = self.server(position);
        let most = match server.maxconn() {
            0 if self.policy.balance.compares_sessions() => u32::MAX,
            0 => return Some(Place::unlimited(server)),
            most => most,
        };
        server.counters.reserve(most).then(|| Place {
            server: Arc::clone(server),
            queue: Some(Arc::clone(&self.queue)),
        })
    }

    /// A place for a session of `client` that failed to connect to the servers at `tried` and
    /// found the next one full.
    pub fn place_elsewhere(&self, client: IpAddr, tried: &[u32]) -> Option<Place> {
        let may_enter = |server: &Server| server.maxconn() == 0 || self.queue.is_empty();
        self.place_with_room(client, tried, |server| {
            may_enter(server) && server.has_room()
        })
    }

    fn place_with_room(
        &self,
        client: IpAddr,
        tried: &[u32],
        has_room: impl Fn(&Server) -> bool,
    ) -> Option<Place> {
        let usable = self.usable();
        let has_room = |position| has_room(self.server(position));
        loop {
            let position = usable.next_with_room(client, tried, has_room)?;
            // Somebody else may have been faster.
            if let Some(place) = self.place_at(position) {
                return Some(place);
            }
        }
    }

    /// Puts a session of `client` into the queue that could not connect to the servers at `tried`;
    /// `None` if as many wait as may (`maxqueue`).
    pub fn queue_up(self: &Arc<Self>, client: IpAddr, tried: &[u32]) -> Option<Ticket> {
        let (sender, offer) = oneshot::channel();
        let (number, ahead) = {
            let mut line = self.queue.lock();
            let ahead = line.len() as u32;
            if self.config.maxqueue.is_some_and(|most| ahead >= most) {
                return None;
            }
            // Under the lock, so that numbers ascend along the line.
            let number = self.queue.next.fetch_add(1, Relaxed);
            line.push_back(Waiting {
                number,
                backend: Arc::clone(self),
                client,
                tried: tried.into(),
                offer: sender,
            });
            self.queue.note_length(&line);
            (number, ahead)
        };
        let ticket = Ticket {
            queue: Arc::clone(&self.queue),
            number,
            offer,
            ahead,
        };
        // A place may have been given back before its owner could see that somebody waits.
        self.queue.serve();
        Some(ticket)
    }

    /// Takes note that a session on `server` has ended, which [`Place::take`] began.
    pub fn left(&self, server: &Server) {
        server.counters.leave();
        if server.maxconn() > 0 {
            self.queue.serve();
        }
    }

    /// What a session of `client` gets that waits and could not connect to the servers at `tried`.
    fn offer(&self, client: IpAddr, tried: &[u32]) -> Result<Offer, Full> {
        let usable = self.usable();
        if self.is_superseded() || usable.in_use().is_empty() {
            return Ok(None);
        }
        if let Some(place) = self.place_with_room(client, tried, Server::has_room) {
            return Ok(Some(place));
        }
        let has_room = |position: &u32| self.server(*position).has_room();
        Err(if usable.in_use().iter().any(has_room) {
            Full::ForThis
        } else {
            Full::ForAll
        })
    }
}

#[cfg(test)]
mod tests;
