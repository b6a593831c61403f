//! Which server a session gets, and the next one when that fails.
//!
//! `HAProxy` waits and tries the same server again unless told otherwise, and reaches a backup only
//! when checks have noticed. Here another usable server is tried at once, then a backup; the
//! same server is tried again, after a wait, only when nothing else is left.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::accept::is_starvation;
use super::account::Account;
use crate::outcome::{Cause, Outcome, Phase};
use crate::sys::sockets;
use crate::topology::{Backend, Server};

/// The longest wait before a server is tried a second time (configuration.txt, "retries").
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Why an attempt failed.
enum Failure {
    /// The server refused or could not be reached.
    Refused(io::Error),
    /// The connect timeout passed.
    TimedOut,
    /// The proxy itself had no descriptor or port for it; no server is to blame.
    Starved(io::Error),
    /// The client is gone.
    ClientGone,
}

/// Connects to a server of `backend` for `client`.
pub(super) async fn connect(
    backend: &Backend,
    account: &mut Account,
    client: &TcpStream,
) -> Result<TcpStream, Outcome> {
    let mut failure = None;
    let mut tried = Vec::new();
    for attempt in 0..=backend.config.retries {
        let last = attempt > 0 && attempt == backend.config.retries;
        let Some(server) = choose(backend, &mut tried, last).await else {
            break;
        };
        account.assign(&server);
        let Some(address) = server.address() else {
            break;
        };
        match dial(address, backend.config.timeout.connect, client).await {
            Ok(stream) => {
                account.connected();
                return Ok(stream);
            }
            Err(error @ (Failure::Refused(_) | Failure::TimedOut)) => {
                explain(account, &server, &error);
                tried.push(server.id.position);
                failure = Some(error);
            }
            Err(error) => {
                explain(account, &server, &error);
                failure = Some(error);
                break;
            }
        }
    }
    account.connect_failed();
    let cause = match failure {
        Some(Failure::TimedOut) => Cause::ServerTimeout,
        Some(Failure::Starved(_)) => Cause::Resource,
        Some(Failure::ClientGone) => Cause::ClientAbort,
        Some(Failure::Refused(_)) | None => Cause::ServerAbort,
    };
    Err(Outcome::new(cause, Phase::Connect))
}

/// The server for the next attempt, after a wait if every usable one has failed.
async fn choose(backend: &Backend, tried: &mut Vec<u32>, last: bool) -> Option<Arc<Server>> {
    let usable = || backend.usable();
    let position = if tried.is_empty() {
        usable().first()
    } else {
        usable().next(tried, last)
    };
    let position = match position {
        Some(position) => position,
        None if tried.is_empty() => return None,
        None => {
            let limit = backend.config.timeout.connect.unwrap_or(LONGEST_WAIT);
            tokio::time::sleep(limit.min(LONGEST_WAIT)).await;
            tried.clear();
            usable().first()?
        }
    };
    Some(Arc::clone(backend.server(position)))
}

async fn dial(
    address: std::net::SocketAddr,
    timeout: Option<Duration>,
    client: &TcpStream,
) -> Result<TcpStream, Failure> {
    let connecting = async {
        match timeout {
            Some(limit) => tokio::time::timeout(limit, sockets::connect(address)).await,
            None => Ok(sockets::connect(address).await),
        }
    };
    tokio::select! {
        biased;
        connected = connecting => match connected {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if is_local(&error) => Err(Failure::Starved(error)),
            Ok(Err(error)) => Err(Failure::Refused(error)),
            Err(_) => Err(Failure::TimedOut),
        },
        // Only a reset: a client that has sent its request and closed that side still waits.
        _ = client.ready(Interest::ERROR) => Err(Failure::ClientGone),
    }
}

/// Whether the proxy's own machine could not make the connection.
fn is_local(error: &io::Error) -> bool {
    is_starvation(error) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn explain(account: &Account, server: &Server, failure: &Failure) {
    let path = &server.path;
    match failure {
        Failure::Refused(error) => tracing::debug!("Server {path} was not connected to: {error}."),
        Failure::TimedOut => tracing::debug!("Server {path} was not connected to in time."),
        Failure::ClientGone => tracing::debug!("The client left while {path} was connected to."),
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
