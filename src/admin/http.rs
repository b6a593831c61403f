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
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use super::Running;
use super::answer::Site;
use super::orders::Orders;
use super::refusals::Refused;
use crate::config::StatsConfig;

/// What clients may take up.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at once; more are closed at once.
    connections: usize,
    /// For a request's head, and for the pause before another request's.
    head: Duration,
    /// For a whole connection, whatever happens on it.
    lifetime: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(5),
    lifetime: Duration::from_secs(60),
};

/// The longest head of a request, in bytes. `hyper` asks for at least 8 KiB.
const LONGEST_HEAD: usize = 16 * 1024;

/// The pause after a failed accept: what it lacked, descriptors mostly, is not back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves the stats page of a running proxy on `listener`. Never ends; when it is dropped, every
/// connection is closed. It must run inside a tokio runtime with timers and I/O.
pub async fn serve(
    listener: TcpListener,
    settings: Arc<StatsConfig>,
    running: Running,
    orders: Option<Orders>,
) -> Infallible {
    let tls = settings
        .tls
        .as_ref()
        .map(|tls| Arc::clone(&tls.config).into());
    serve_within(LIMITS, listener, Site::new(settings, running, orders), tls).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    site: Site,
    tls: Option<TlsAcceptor>,
) -> Infallible {
    let site = Arc::new(site);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // What has ended must not count against the limit.
            biased;
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= limits.connections => {
                    let refusals = site.refusals();
                    refusals.tell(Refused::Connection, format_args!("{peer}: too many connections"));
                }
                Ok((stream, peer)) => {
                    connections.spawn(connection(limits, stream, tls.clone(), peer, site.clone()));
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
) {
    let Some(tls) = tls else {
        return requests(limits, stream, peer, site).await;
    };
    match timeout(limits.head, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(limits, stream, peer, site).await,
        Ok(Err(error)) => debug!(target: "stats", %peer, %error, "TLS was not agreed on"),
        Err(_) => debug!(target: "stats", %peer, "TLS took too long"),
    }
}

async fn requests<S>(limits: Limits, stream: S, peer: SocketAddr, site: Arc<Site>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request, peer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.lifetime, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(target: "stats", %peer, %error, "connection ended early"),
        Err(_) => debug!(target: "stats", %peer, "connection lasted too long"),
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(target: "stats", %error, "a connection to the stats page failed");
    }
}

#[cfg(test)]
mod tests;
