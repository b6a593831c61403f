//! One connection attempt, and what is to be said when it fails.

use std::io;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::config::BackendConfig;
use crate::config::clients::ProxyVersion;
use crate::outcome::Cause;
use crate::proxy::account::Account;
use crate::proxy_header::{self, Told};
use crate::sys::sockets;
use crate::topology::Server;
use crate::topology::admission::Resource;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused or could not be reached.
    Refused(io::Error),
    /// The connect timeout passed.
    TimedOut,
    /// The proxy itself had no descriptor or port for it; no server is to blame.
    Starved(io::Error),
}

/// The outcome of one attempt.
pub(super) type Dialled = Result<TcpStream, Failure>;

/// An attempt that began at `began` and may take as long as `limit`.
pub(super) async fn within(
    limit: Option<Duration>,
    began: Instant,
    dialling: impl Future<Output = Dialled>,
) -> Dialled {
    match limit {
        Some(limit) => timeout_at((began + limit).into(), dialling)
            .await
            .unwrap_or(Err(Failure::TimedOut)),
        None => dialling.await,
    }
}

/// Connects to `server`, however long it takes since `began`.
pub(super) async fn dial(backend: &BackendConfig, server: &Server, began: Instant) -> Dialled {
    let Some(address) = server.address() else {
        return Err(Failure::Refused(io::ErrorKind::HostUnreachable.into()));
    };
    match sockets::connect(address, &backend.socket).await {
        Ok(stream) => {
            server.latency.record(began.elapsed());
            Ok(stream)
        }
        Err(error) if sockets::is_own_failure(&error) => Err(Failure::Starved(error)),
        Err(error) => Err(Failure::Refused(error)),
    }
}

/// Tells a server who the client is (`send-proxy`).
pub(super) async fn introduce(
    account: &Account,
    client: &TcpStream,
    server: &TcpStream,
    version: ProxyVersion,
) -> io::Result<()> {
    let local = match account.told_local() {
        Some(local) => local,
        None => sockets::canonical(client.local_addr()?),
    };
    let told = Told {
        client: account.client(),
        local,
    };
    let header = proxy_header::encode(version, Some(told));
    let mut rest = header.as_slice();
    while !rest.is_empty() {
        server.writable().await?;
        match server.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the process was short of.
pub(super) fn lacking(error: &io::Error) -> Resource {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        Resource::Ports
    } else if sockets::is_out_of_descriptors(error) {
        Resource::Descriptors
    } else {
        Resource::Memory
    }
}

/// Says why an attempt failed, a shortage not too often.
pub(super) fn explain(account: &Account, server: &Server, failure: &Failure) {
    let path = &server.path;
    match failure {
        Failure::Refused(error) => tracing::debug!("Server {path} was not connected to: {error}."),
        Failure::TimedOut => tracing::debug!("Server {path} was not connected to in time."),
        Failure::Starved(error) if account.may_complain() => {
            let what = match lacking(error) {
                Resource::Ports => "no local port is left for it",
                Resource::Descriptors => "no descriptor is left",
                Resource::Memory => "the system has no memory left for sockets",
            };
            tracing::error!("Cannot connect to {path}, {what}: {error}.");
        }
        Failure::Starved(_) => {}
    }
}

/// Who is to blame when no server was connected.
pub(super) fn blame(failure: Option<&Failure>) -> Cause {
    match failure {
        Some(Failure::TimedOut) => Cause::ServerTimeout,
        Some(Failure::Starved(_)) => Cause::Resource,
        Some(Failure::Refused(_)) | None => Cause::ServerAbort,
    }
}
