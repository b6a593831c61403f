//! Connections to the stats page, bounded in number and in time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use super::answer::{LetIn, Site};
use super::deadline::Deadline;
use super::places::{Place, Places};
use super::refusals::Refused;
use crate::sys::limits;

/// What clients may take up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once; for each that is more another one is closed.
    connections: usize,
    /// For a request's head, and for the pause before another request's.
    head: Duration,
    /// For a whole connection, whatever happens on it; on one with a live page, for each message.
    lifetime: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    connections: 1024,
    head: Duration::from_secs(5),
    lifetime: Duration::from_secs(60),
};

/// The longest head of a request, in bytes. `hyper` asks for at least 8 KiB.
const LONGEST_HEAD: usize = 16 * 1024;

/// The pause after a connection was closed for another one: so many who connect as fast as they
/// can do not keep the thread busy, and each has a second at least to ask for something.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

/// The pause after a failed accept: what it lacked, descriptors mostly, is not back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many connections each of `listeners` may have: an eighth of the descriptors that the
/// process may open is for the page, and the rest for sessions.
pub(super) fn places_each(listeners: usize) -> usize {
    let descriptors = limits::open_files().unwrap_or(u64::MAX);
    let all = (descriptors / 8).min(LIMITS.connections as u64) as usize;
    (all / listeners.max(1)).max(1)
}

/// Serves `site` on `listener` to at most `places` connections at once. Never ends; when it is
/// dropped, every connection is closed. It must run inside a tokio runtime with timers and I/O.
pub(super) async fn serve(
    listener: TcpListener,
    site: Arc<Site>,
    tls: Option<TlsAcceptor>,
    places: usize,
) -> Infallible {
    let limits = Limits {
        connections: places,
        ..LIMITS
    };
    serve_within(limits, listener, site, tls).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    site: Arc<Site>,
    tls: Option<TlsAcceptor>,
) -> Infallible {
    let mut connections = JoinSet::new();
    let mut places = Places::new(limits.connections);
    loop {
        tokio::select! {
            // What has ended must not count against the limit.
            biased;
            Some(ended) = connections.join_next_with_id() => {
                places.free(ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id));
                report(&ended);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if places.make_room() {
                        let refusals = site.refusals();
                        refusals.tell(Refused::Connection, format_args!("{peer}: too many connections"));
                        sleep(ROOM_PAUSE).await;
                    }
                    let (place, site, tls) = (Place::default(), Arc::clone(&site), tls.clone());
                    let served = connection(limits, stream, tls, peer, site, place.clone());
                    places.give(place, connections.spawn(served));
                }
                Err(error) => {
                    site.refusals().tell(
                        Refused::Connection,
                        format_args!("cannot accept a connection: {error}"),
                    );
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(
    limits: Limits,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    peer: SocketAddr,
    site: Arc<Site>,
    place: Place,
) {
    let Some(tls) = tls else {
        return requests(limits, stream, peer, site, place).await;
    };
    match timeout(limits.head, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(limits, stream, peer, site, place).await,
        Ok(Err(error)) => debug!(target: "stats", %peer, %error, "TLS was not agreed on"),
        Err(_) => debug!(target: "stats", %peer, "TLS took too long"),
    }
}

/// Answers what is asked on one connection.
pub(super) async fn requests<S>(
    limits: Limits,
    stream: S,
    peer: SocketAddr,
    site: Arc<Site>,
    place: Place,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Deadline::after(limits.lifetime);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (site, place, deadline) = (Arc::clone(&site), place.clone(), deadline.clone());
        async move {
            let response = site.answer(request, peer, &deadline).await;
            if response.extensions().get::<LetIn>().is_some() {
                place.let_in();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => if let Err(error) = served {
            debug!(target: "stats", %peer, %error, "connection ended early");
        },
        () = deadline.passed() => debug!(target: "stats", %peer, "connection lasted too long"),
    }
}

fn report(ended: &Result<(Id, ()), JoinError>) {
    // One that had to go has not failed.
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        error!(target: "stats", %error, "a connection to the stats page failed");
    }
}

#[cfg(test)]
mod tests;
