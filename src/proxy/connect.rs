//! Which server a session gets, and the next one when that fails or is slow.
//!
//! HAProxy waits and tries the same server again unless told otherwise, and reaches a backup only
//! when checks have noticed. Here another usable server is tried at once, then a backup; the
//! same server is tried again, after a wait, only when nothing else is left. A server that takes
//! unusually long gets a rival: the first that is connected wins, and the others are closed.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::account::Account;
use crate::config::BackendConfig;
use crate::config::policy::Hedge;
use crate::outcome::{Cause, Outcome, Phase};
use crate::sys::sockets;
use crate::topology::usable::UsableSet;
use crate::topology::{Backend, Server};

/// The longest wait before a server is tried a second time (configuration.txt, "retries").
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often an attempt that waits looks whether other sessions have found its server dead. It is
/// more than a connection within a site takes, so that hardly any attempt looks at all.
pub(super) const GLANCE: Duration = Duration::from_millis(8);

/// Why an attempt failed.
#[derive(Debug)]
enum Failure {
    /// The server refused or could not be reached.
    Refused(io::Error),
    /// The connect timeout passed.
    TimedOut,
    /// The proxy itself had no descriptor or port for it; no server is to blame.
    Starved(io::Error),
}

/// The outcome of one attempt.
type Dialled = Result<TcpStream, Failure>;

/// An attempt that runs beside the first one.
struct Rival<'a> {
    server: Arc<Server>,
    dialling: Pin<Box<dyn Future<Output = Dialled> + 'a>>,
}

/// The search for a server for one session.
struct Search<'a> {
    backend: &'a Backend,
    account: &'a mut Account,
    /// Positions of the servers with a failed or running attempt.
    tried: Vec<u32>,
    /// Attempts begun.
    attempts: u32,
    /// Why the last one failed.
    failure: Option<Failure>,
}

/// Connects to a server of `backend` for `client`.
pub(super) async fn connect(
    backend: &Backend,
    account: &mut Account,
    client: &TcpStream,
) -> Result<TcpStream, Outcome> {
    let mut search = Search {
        backend,
        account,
        tried: Vec::new(),
        attempts: 0,
        failure: None,
    };
    let found = tokio::select! {
        biased;
        found = search.run() => found.ok_or(None),
        // Only a reset: a client that has sent its request and closed that side still waits.
        _ = client.ready(Interest::ERROR) => Err(Some(Cause::ClientAbort)),
    };
    let failure = search.failure.take();
    match found {
        Ok(stream) => {
            account.connected();
            Ok(stream)
        }
        Err(cause) => {
            account.connect_failed();
            Err(Outcome::new(
                cause.unwrap_or_else(|| blame(failure.as_ref())),
                Phase::Connect,
            ))
        }
    }
}

fn blame(failure: Option<&Failure>) -> Cause {
    match failure {
        Some(Failure::TimedOut) => Cause::ServerTimeout,
        Some(Failure::Starved(_)) => Cause::Resource,
        Some(Failure::Refused(_)) | None => Cause::ServerAbort,
    }
}

impl Search<'_> {
    async fn run(&mut self) -> Option<TcpStream> {
        while let Some(server) = self.next_server().await {
            self.account.assign(&server);
            if let Some(stream) = self.attempt(&server).await {
                return Some(stream);
            }
            if matches!(self.failure, Some(Failure::Starved(_))) {
                return None;
            }
        }
        None
    }

    /// One attempt and, while it is slow, its rivals.
    async fn attempt(&mut self, server: &Arc<Server>) -> Option<TcpStream> {
        let mut first = pin!(dial(&self.backend.config, server));
        let Some(patience) = self.patience(server) else {
            let dialled = first.await;
            return self.finished(server, dialled);
        };
        tokio::select! {
            biased;
            dialled = first.as_mut() => self.finished(server, dialled),
            () = slow(server, patience) => self.race(server, first).await,
        }
    }

    /// Adds a rival whenever the youngest attempt is slow or one has failed, until one is
    /// connected or all have failed.
    async fn race(
        &mut self,
        first_server: &Arc<Server>,
        mut first: Pin<&mut impl Future<Output = Dialled>>,
    ) -> Option<TcpStream> {
        let config = &self.backend.config;
        let mut first_runs = true;
        let mut rivals: Vec<Rival<'_>> = Vec::new();
        first_server.suspect();
        loop {
            let joining = self.fresh_server();
            if let Some(server) = &joining {
                self.account.hedge(server);
                let (server, own) = (Arc::clone(server), Arc::clone(server));
                let dialling = Box::pin(async move { dial(config, &own).await });
                rivals.push(Rival { server, dialling });
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
            let patience = joining.as_ref().and_then(|rival| self.patience(rival));
            let (index, dialled) = match joining.as_deref().zip(patience) {
                None => finished.await,
                Some((youngest, patience)) => tokio::select! {
                    biased;
                    finished = finished => finished,
                    () = slow(youngest, patience) => continue,
                },
            };
            let server = match index {
                None => {
                    first_runs = false;
                    Arc::clone(first_server)
                }
                Some(index) => rivals.swap_remove(index).server,
            };
            if let Some(stream) = self.finished(&server, dialled) {
                if index.is_some() {
                    self.account.hedge_won(&server);
                }
                return Some(stream);
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
                if !matches!(failure, Failure::Starved(_)) {
                    server.connect_failed();
                }
                self.failure = Some(failure);
                None
            }
        }
    }

    /// The server for the next attempt, after a wait if every usable one has failed.
    async fn next_server(&mut self) -> Option<Arc<Server>> {
        if self.attempts > self.backend.config.retries {
            return None;
        }
        if let Some(server) = self.fresh_server() {
            return Some(server);
        }
        if self.tried.is_empty() || self.backend.is_superseded() {
            return None;
        }
        let limit = self.backend.config.timeout.connect.unwrap_or(LONGEST_WAIT);
        if let Ok(server) = timeout(limit.min(LONGEST_WAIT), self.another_server()).await {
            return server;
        }
        self.tried.clear();
        self.fresh_server()
    }

    /// A server that becomes usable while the session waits; `None` when the backend's place is
    /// taken by another, which is then to be asked.
    async fn another_server(&mut self) -> Option<Arc<Server>> {
        let backend = self.backend;
        loop {
            let recomputed = backend.recomputed();
            if backend.is_superseded() {
                return None;
            }
            if let Some(server) = self.fresh_server() {
                return Some(server);
            }
            recomputed.await;
        }
    }

    /// A usable server that this session has not tried.
    fn fresh_server(&mut self) -> Option<Arc<Server>> {
        let retries = self.backend.config.retries;
        if self.attempts > retries {
            return None;
        }
        let usable = self.backend.usable();
        let position = if self.tried.is_empty() {
            self.unsuspected(&usable)
        } else {
            usable.next(&self.tried, self.attempts == retries)
        }?;
        self.attempts += 1;
        self.tried.push(position);
        Some(Arc::clone(self.backend.server(position)))
    }

    /// The first choice, or if that is suspected, the next one that is not.
    fn unsuspected(&self, usable: &UsableSet) -> Option<u32> {
        let is_suspected = |position: &u32| self.backend.server(*position).is_suspected();
        let first = usable.first()?;
        if !is_suspected(&first) {
            return Some(first);
        }
        let others = usable.in_use().iter().copied();
        let suspected: Vec<_> = others.filter(is_suspected).collect();
        let other = usable
            .next(&suspected, false)
            .filter(|other| usable.in_use().contains(other));
        Some(other.unwrap_or(first))
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

/// Ends when an attempt has taken `patience`, or before that when `server` has come to be suspected
/// since: a SYN that meets a dying listener is lost, and the next session's is refused.
async fn slow(server: &Server, patience: Duration) {
    let was_suspected = server.is_suspected();
    let mut left = patience;
    while left > GLANCE {
        sleep(GLANCE).await;
        left -= GLANCE;
        if !was_suspected && server.is_suspected() {
            return;
        }
    }
    sleep(left).await;
}

async fn dial(backend: &BackendConfig, server: &Server) -> Dialled {
    let limit = backend.timeout.connect;
    let Some(address) = server.address() else {
        return Err(Failure::Refused(io::ErrorKind::HostUnreachable.into()));
    };
    let began = Instant::now();
    let connecting = sockets::connect(address, &backend.socket);
    let connected = match limit {
        Some(limit) => match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => return Err(Failure::TimedOut),
        },
        None => connecting.await,
    };
    match connected {
        Ok(stream) => {
            server.latency.record(began.elapsed());
            Ok(stream)
        }
        Err(error) if sockets::is_own_failure(&error) => Err(Failure::Starved(error)),
        Err(error) => Err(Failure::Refused(error)),
    }
}

fn explain(account: &Account, server: &Server, failure: &Failure) {
    let path = &server.path;
    match failure {
        Failure::Refused(error) => tracing::debug!("Server {path} was not connected to: {error}."),
        Failure::TimedOut => tracing::debug!("Server {path} was not connected to in time."),
        Failure::Starved(error) if account.may_complain() => {
            let what = match error.kind() {
                io::ErrorKind::AddrNotAvailable => "no local port is left",
                _ => "the proxy has run out of something",
            };
            tracing::error!("Cannot connect to {path}, {what}: {error}.");
        }
        Failure::Starved(_) => {}
    }
}
