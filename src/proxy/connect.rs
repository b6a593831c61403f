//! Which server a session gets, and the next one when that fails or is slow.
//!
//! HAProxy waits and tries the same server again unless told otherwise, and reaches a backup only
//! when checks have noticed. Here another usable server is tried at once, then a backup; the
//! same server is tried again, after a wait, only when nothing else is left. A server that takes
//! unusually long gets a rival: the first that is connected wins, and the others are closed.
//! A server at its `maxconn` is passed over, and when all are the session waits its turn.

mod dial;

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

use self::dial::{Dialled, Failure, blame, dial, explain, introduce, lacking, within};
use super::account::Account;
use crate::config::policy::Hedge;
use crate::outcome::{Cause, Outcome, Phase};
use crate::topology::admission::Resource;
use crate::topology::queue::Place;
use crate::topology::usable::UsableSet;
use crate::topology::{Backend, Server};

/// The longest wait before a server is tried a second time (configuration.txt, "retries").
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often an attempt that waits looks whether other sessions have found its server dead. It is
/// more than a connection within a site takes, so that hardly any attempt looks at all.
pub(super) const GLANCE: Duration = Duration::from_millis(8);

/// How long a session outlasts a shortage of the process without a connect timeout.
const LONGEST_SHORTAGE: Duration = Duration::from_secs(5);

/// How often it looks whether the shortage is over.
const SHORTAGE_STEP: Duration = Duration::from_millis(50);

/// As good as no limit, and within what the timer can count.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A connection and the place at its server.
type Found = (TcpStream, Place);

/// The attempt that was connected.
enum Won {
    First(TcpStream),
    Rival(TcpStream, Place),
}

/// Why there is no server for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// None is usable that this session has not tried, or it may not try again.
    Server,
    /// Those that are have as many sessions as they may.
    Room,
}

/// An attempt that runs beside the first one.
struct Rival<'a> {
    place: Place,
    dialling: Pin<Box<dyn Future<Output = Dialled> + 'a>>,
}

/// The search for a server for one session.
struct Search<'a> {
    backend: &'a Arc<Backend>,
    account: &'a mut Account,
    /// Whose session it is.
    client: IpAddr,
    /// The session's.
    timer: Pin<&'a mut Sleep>,
    /// Whether it lasts so long that it matters whether the client is still there.
    lasts: &'a Cell<bool>,
    /// Positions of the servers with a failed or running attempt.
    tried: SmallVec<[u32; 4]>,
    /// Attempts begun.
    attempts: u32,
    /// Why the last one failed.
    failure: Option<Failure>,
    /// When the process first lacked something for this session.
    starved_since: Option<Instant>,
    /// What the session is doing.
    phase: Phase,
}

/// Connects to a server of `backend` for `client`. `timer` is the session's, and may be left set.
pub(super) async fn connect(
    backend: &Arc<Backend>,
    account: &mut Account,
    client: &TcpStream,
    timer: Pin<&mut Sleep>,
) -> Result<TcpStream, Outcome> {
    let lasts = &Cell::new(false);
    let mut search = Search {
        backend,
        client: account.client().ip(),
        account,
        timer,
        lasts,
        tried: SmallVec::new(),
        attempts: 0,
        failure: None,
        starved_since: None,
        phase: Phase::Connect,
    };
    let found = tokio::select! {
        biased;
        found = search.run() => found.ok_or(None),
        () = reset(client, lasts) => Err(Some(Cause::ClientAbort)),
    };
    let (failure, phase) = (search.failure.take(), search.phase);
    match found {
        Ok((stream, place)) => {
            let version = place.server().config.policy.send_proxy;
            if let Some(version) = version
                && introduce(account, client, &stream, version).await.is_err()
            {
                account.connect_failed();
                return Err(Outcome::new(Cause::ServerAbort, Phase::Connect));
            }
            account.connected(place);
            account.note_server_end(&stream);
            Ok(stream)
        }
        Err(cause) => {
            account.connect_failed();
            Err(Outcome::new(
                cause.unwrap_or_else(|| blame(failure.as_ref())),
                phase,
            ))
        }
    }
}

impl Search<'_> {
    async fn run(&mut self) -> Option<Found> {
        while let Some(place) = self.next_place().await {
            self.account.assign(place.server());
            match self.attempt(&place).await {
                Some(Won::First(stream)) => return Some((stream, place)),
                Some(Won::Rival(stream, place)) => return Some((stream, place)),
                None => drop(place),
            }
            self.lasts.set(true);
            if self.is_starved() && !self.outlast_shortage().await {
                return None;
            }
        }
        None
    }

    /// One attempt and, while it is slow, its rivals.
    async fn attempt(&mut self, place: &Place) -> Option<Won> {
        let server = place.server();
        let (config, patience) = (&self.backend.config, self.patience(server));
        let limit = config.timeout.connect;
        let (began, was_suspected) = (Instant::now(), server.is_suspected());
        let mut first = pin!(dial(config, server, began));
        // Nearly every attempt ends within this, and needs no other timer.
        let soon = [limit, patience].into_iter().flatten();
        let soon = began + soon.fold(GLANCE, Duration::min);
        self.timer.as_mut().reset(soon.into());
        tokio::select! {
            biased;
            dialled = first.as_mut() => return self.finished(server, dialled).map(Won::First),
            () = self.timer.as_mut() => self.lasts.set(true),
        }
        let persisting = async {
            let mut first = pin!(within(limit, began, first));
            let Some(patience) = patience else {
                let dialled = first.await;
                return self.finished(server, dialled).map(Won::First);
            };
            tokio::select! {
                biased;
                dialled = first.as_mut() => self.finished(server, dialled).map(Won::First),
                () = slow(server, was_suspected, began + patience) => self.race(server, first).await,
            }
        };
        // Apart, so that other sessions do without the memory.
        Box::pin(persisting).await
    }

    /// Adds a rival whenever the youngest attempt is slow or one has failed, until one is
    /// connected or all have failed.
    async fn race(
        &mut self,
        first_server: &Server,
        mut first: Pin<&mut impl Future<Output = Dialled>>,
    ) -> Option<Won> {
        let config = &self.backend.config;
        let mut first_runs = true;
        let mut rivals: Vec<Rival<'_>> = Vec::new();
        first_server.suspect();
        loop {
            let joining = self.fresh_place().ok();
            let youngest = joining.as_ref().map(|place| Arc::clone(place.server()));
            if let Some(place) = joining {
                self.account.hedge(place.server());
                let own = Arc::clone(place.server());
                let dialling = Box::pin(async move {
                    let began = Instant::now();
                    within(config.timeout.connect, began, dial(config, &own, began)).await
                });
                rivals.push(Rival { place, dialling });
            }
            if !first_runs && rivals.is_empty() {
                return None;
            }
            let finished = poll_fn(|cx| {
                if first_runs && let Poll::Ready(dialled) = first.as_mut().poll(cx) {
                    return Poll::Ready((None, dialled));
                }
                for (index, rival) in rivals.iter_mut().enumerate() {
                    if let Poll::Ready(dialled) = rival.dialling.as_mut().poll(cx) {
                        return Poll::Ready((Some(index), dialled));
                    }
                }
                Poll::Pending
            });
            let patience = youngest.as_ref().and_then(|rival| self.patience(rival));
            let (index, dialled) = match youngest.as_deref().zip(patience) {
                None => finished.await,
                Some((youngest, patience)) => tokio::select! {
                    biased;
                    finished = finished => finished,
                    () = slow(youngest, youngest.is_suspected(), Instant::now() + patience) => {
                        continue;
                    }
                },
            };
            let Some(index) = index else {
                first_runs = false;
                if let Some(stream) = self.finished(first_server, dialled) {
                    return Some(Won::First(stream));
                }
                continue;
            };
            // The place of one that failed is given back.
            let place = rivals.swap_remove(index).place;
            if let Some(stream) = self.finished(place.server(), dialled) {
                self.account.hedge_won(place.server());
                return Some(Won::Rival(stream, place));
            }
        }
    }

    /// Takes note of how an attempt ended.
    fn finished(&mut self, server: &Server, dialled: Dialled) -> Option<TcpStream> {
        match dialled {
            Ok(stream) => {
                server.connect_succeeded();
                Some(stream)
            }
            Err(failure) => {
                explain(self.account, server, &failure);
                match &failure {
                    Failure::Starved(error) => self.account.starved(lacking(error)),
                    Failure::Refused(_) | Failure::TimedOut => server.connect_failed(),
                }
                self.failure = Some(failure);
                None
            }
        }
    }

    /// The place for the next attempt, after a wait if every usable server has failed or is full.
    async fn next_place(&mut self) -> Option<Place> {
        match self.fresh_place() {
            Ok(place) => return Some(place),
            Err(Lack::Room) => return self.queue().await,
            Err(Lack::Server) if self.tried.is_empty() || self.is_spent() => return None,
            Err(Lack::Server) if self.backend.is_superseded() => return None,
            Err(Lack::Server) => {}
        }
        if let Ok(place) = timeout(self.wait_limit(), self.another_place()).await {
            return place;
        }
        self.tried.clear();
        match self.fresh_place() {
            Err(Lack::Room) => self.queue().await,
            place => place.ok(),
        }
    }

    /// Whether the last attempt failed for want of something that no server has to do with.
    /// Ports are a matter of each server's address.
    fn is_starved(&self) -> bool {
        matches!(&self.failure, Some(Failure::Starved(error)) if lacking(error) != Resource::Ports)
    }

    /// Waits a moment for what the process lacks; the attempt does not count, since another
    /// server would have been no help. False if it has been lacking for too long.
    async fn outlast_shortage(&mut self) -> bool {
        let limit = self.backend.config.timeout.connect;
        let began = *self.starved_since.get_or_insert_with(Instant::now);
        if began.elapsed() >= limit.unwrap_or(LONGEST_SHORTAGE) {
            return false;
        }
        let _hungry = self.account.hungry();
        sleep(SHORTAGE_STEP).await;
        self.attempts = self.attempts.saturating_sub(1);
        self.tried.pop();
        true
    }

    /// How long to wait before trying again what has failed.
    fn wait_limit(&self) -> Duration {
        let limit = self.backend.config.timeout.connect;
        limit.map_or(LONGEST_WAIT, |limit| limit.min(LONGEST_WAIT))
    }

    /// Whether the session has had all its attempts.
    fn is_spent(&self) -> bool {
        self.attempts > self.backend.config.retries
    }

    /// A place at a server that becomes usable while the session waits; `None` when the backend's
    /// place is taken by another, which is then to be asked.
    async fn another_place(&mut self) -> Option<Place> {
        let backend = self.backend;
        loop {
            let recomputed = backend.recomputed();
            if backend.is_superseded() {
                return None;
            }
            if let Ok(place) = self.fresh_place() {
                return Some(place);
            }
            recomputed.await;
        }
    }

    /// Waits in the backend's queue for a place; `None` if there are too many before it, if its
    /// turn does not come in time, or if no server is usable any more.
    async fn queue(&mut self) -> Option<Place> {
        let timeouts = &self.backend.config.timeout;
        let limit = timeouts.queue.or(timeouts.connect).unwrap_or(NEVER);
        self.phase = Phase::Queue;
        self.lasts.set(true);
        let mut ticket = self.backend.queue_up(self.client, &self.tried)?;
        self.account.queue(ticket.ahead);
        let offer = timeout(limit, ticket.turn()).await;
        self.account.dequeue();
        let Ok(offer) = offer else {
            self.failure = Some(Failure::TimedOut);
            return None;
        };
        self.phase = Phase::Connect;
        let place = offer?;
        self.begin(place.server().id.position);
        Some(place)
    }

    /// A place at a usable server that this session has not tried.
    fn fresh_place(&mut self) -> Result<Place, Lack> {
        if self.is_spent() {
            return Err(Lack::Server);
        }
        let backend = self.backend;
        let usable = backend.usable();
        let position = if self.tried.is_empty() {
            self.unsuspected(&usable)
        } else {
            usable.next(
                self.client,
                &self.tried,
                self.attempts == backend.config.retries,
            )
        };
        let position = position.ok_or(Lack::Server)?;
        let place = backend.place(position);
        let place = place
            .or_else(|| backend.place_elsewhere(self.client, &self.tried))
            .ok_or(Lack::Room)?;
        self.begin(place.server().id.position);
        Ok(place)
    }

    /// Takes note that the server at `position` is tried.
    fn begin(&mut self, position: u32) {
        self.attempts += 1;
        self.tried.push(position);
    }

    /// The first choice, or if that is suspected, the next one that is not.
    fn unsuspected(&self, usable: &UsableSet) -> Option<u32> {
        let is_suspected = |position| self.backend.server(position).is_suspected();
        let first = usable.first(self.client)?;
        if !is_suspected(first) {
            return Some(first);
        }
        let other = usable.first_that(self.client, |position| !is_suspected(position));
        other.or(Some(first))
    }

    /// How long to wait for `server` before it gets a rival; `None` is for ever.
    fn patience(&self, server: &Server) -> Option<Duration> {
        match self.backend.config.failover.hedge {
            Hedge::Off => None,
            Hedge::Auto => Some(server.latency.slow_after()),
            Hedge::After(delay) => Some(delay),
        }
    }
}

/// Ends at `late`, or before that when `server` has come to be suspected meanwhile: a SYN that
/// meets a dying listener is lost, and the next session's is refused.
async fn slow(server: &Server, was_suspected: bool, late: Instant) {
    while was_suspected || !server.is_suspected() {
        let left = late.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(GLANCE)).await;
    }
}

/// Ends when `client` resets its connection, looked at from when the search `lasts`. One that has
/// sent its request and closed that side still waits.
async fn reset(client: &TcpStream, lasts: &Cell<bool>) {
    // Whoever sets it is polled before, as part of the same future.
    poll_fn(|_| {
        if lasts.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    let _ = client.ready(Interest::ERROR).await;
}
