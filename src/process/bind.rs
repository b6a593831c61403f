//! Addresses and files that a configuration needs, taken before anything is started with it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use socket2::Socket;

use crate::api::socket::ApiSocket;
use crate::config::operation::{ApiConfig, Level};
use crate::config::value::overlap;
use crate::config::{BackendConfig, Config};
use crate::descriptors::Shortfall;
use crate::privileges::PrivilegeError;
use crate::sys::inherited;
use crate::sys::options::ListenOptions;
use crate::sys::sockets;
use crate::upgrade::{Inheritance, offer, take};

/// What cannot be had, and nothing is started without.
#[derive(Debug)]
pub enum StartError {
    /// Enough descriptors.
    Descriptors(Shortfall),
    /// An address.
    Bind(BindError),
    /// The file that events are written to.
    EventFile(PathBuf, io::Error),
    /// The socket of the runtime API.
    Api(PathBuf, io::Error),
    /// The socket that the next process asks at.
    Upgrade(PathBuf, io::Error),
    /// The user, or what it may do.
    Privileges(PrivilegeError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors(shortfall) => write!(f, "{shortfall}"),
            Self::Bind(error) => write!(f, "{error}"),
            Self::Privileges(error) => write!(f, "{error}"),
            Self::EventFile(path, error) => {
                write!(f, "events cannot be written to {}: {error}", path.display())
            }
            Self::Api(path, error) => {
                let path = path.display();
                write!(f, "the runtime API cannot listen on {path}: ")?;
                taken_or(error, f)
            }
            Self::Upgrade(path, error) => {
                let path = path.display();
                write!(f, "`upgrade_socket` cannot be made at {path}: ")?;
                taken_or(error, f)
            }
        }
    }
}

fn taken_or(error: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::AddrInUse => f.write_str("another process is listening there"),
        _ => write!(f, "{error}"),
    }
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// Whose it is, such as `frontend ft-app`.
    pub owner: String,
    /// What it cannot do with the address, such as `listen on`.
    pub purpose: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner,
            purpose,
            address,
            error,
        } = self;
        write!(f, "{owner} cannot {purpose} {address}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => f.write_str("another process is listening there"),
            io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("ports below 1024 need root or the capability CAP_NET_BIND_SERVICE")
            }
            _ => write!(f, "{error}"),
        }
    }
}

/// An address of a frontend that is taken and not listened on yet.
#[derive(Debug)]
pub(super) struct Bound {
    /// As configured.
    pub(super) address: SocketAddr,
    /// One for each worker; more if the process that had them before had more workers.
    pub(super) sockets: Vec<Socket>,
    /// Connections that may wait to be accepted.
    pub(super) backlog: Option<u32>,
}

/// Takes every address of the frontends of `config` that is `wanted`, for so many workers, of
/// whom `ours` are listened on already. What cannot be had is added to `errors`.
pub(super) fn frontends(
    config: &Config,
    workers: usize,
    wanted: impl Fn(SocketAddr) -> bool,
    ours: &[SocketAddr],
    errors: &mut Vec<StartError>,
) -> Vec<Bound> {
    let mut bound = Vec::new();
    for frontend in &config.frontends {
        for &address in frontend.bind.iter().filter(|address| wanted(**address)) {
            let owner = format!("frontend {}", frontend.name);
            match listen_on(owner, address, workers, &frontend.socket, ours) {
                Ok(sockets) => bound.push(Bound {
                    address,
                    sockets,
                    backlog: frontend.socket.backlog,
                }),
                Err(error) => errors.push(error),
            }
        }
    }
    bound
}

/// Takes what `config` has frontends for from `inheritance`, one socket at least for each worker.
pub(super) fn inherited(
    config: &Config,
    workers: usize,
    inheritance: &mut Inheritance,
    errors: &mut Vec<StartError>,
) -> Vec<Bound> {
    let mut bound = Vec::new();
    for frontend in &config.frontends {
        for &address in &frontend.bind {
            let Some(sockets) = inheritance.sockets(&offer::tcp(address)) else {
                continue;
            };
            match take::at_least(workers, sockets) {
                Ok(sockets) => bound.push(Bound {
                    address,
                    sockets,
                    backlog: frontend.socket.backlog,
                }),
                Err(error) => errors.push(StartError::Bind(BindError {
                    owner: format!("frontend {}", frontend.name),
                    purpose: "go on to listen on",
                    address,
                    error,
                })),
            }
        }
    }
    bound
}

/// Takes every address of the stats page of `config` that is `wanted`, as [`frontends`] does, those
/// that the old process has from there.
pub(super) fn stats(
    config: &Config,
    wanted: impl Fn(SocketAddr) -> bool,
    ours: &[SocketAddr],
    mut inheritance: Option<&mut Inheritance>,
    errors: &mut Vec<StartError>,
) -> Vec<Bound> {
    let mut bound = Vec::new();
    let addresses = config.stats.iter().flat_map(|stats| &stats.bind);
    for &address in addresses.filter(|address| wanted(**address)) {
        let had = inheritance.as_mut();
        let no_options = ListenOptions::default();
        let sockets = match had.and_then(|had| had.sockets(&offer::tcp(address))) {
            Some(sockets) => Ok(sockets),
            None => listen_on("the stats page".into(), address, 1, &no_options, ours),
        };
        match sockets {
            Ok(sockets) => bound.push(Bound {
                address,
                sockets,
                backlog: None,
            }),
            Err(error) => errors.push(error),
        }
    }
    bound
}

/// A Unix socket as `config` wants it, from the old process or whoever started this one, if they
/// have it.
pub(super) fn unix(
    config: &ApiConfig,
    inheritance: Option<&mut Inheritance>,
) -> io::Result<ApiSocket> {
    let sockets = inheritance.and_then(|had| had.sockets(&offer::unix(&config.socket)));
    let socket = match sockets.and_then(|mut sockets| sockets.pop()) {
        Some(socket) => Some(socket),
        None => inherited::unix(&config.socket)?,
    };
    match socket.map(|socket| ApiSocket::inherited(socket, &config.socket)) {
        Some(Ok(socket)) => Ok(socket),
        // Without its file nobody could connect to it.
        Some(Err(_)) | None => ApiSocket::bind(config),
    }
}

/// The socket at `path` where the next process asks, which is for root and whoever this process
/// becomes.
pub(super) fn upgrade(path: &Path, config: &Config) -> ApiConfig {
    ApiConfig {
        socket: path.to_owned(),
        mode: 0o600,
        user: config.privileges.user.clone(),
        group: None,
        level: Level::Admin,
    }
}

/// `count` sockets for an address of `owner`. It may be that of sockets that the process was started
/// with, which are taken then; else they do not listen yet. It may be one of `ours`, or overlap with one.
fn listen_on(
    owner: String,
    address: SocketAddr,
    count: usize,
    options: &ListenOptions,
    ours: &[SocketAddr],
) -> Result<Vec<Socket>, StartError> {
    let bound = match inherited::sockets(address) {
        Ok(had) if !had.is_empty() => {
            sockets::adopt(&had, options).and_then(|()| take::at_least(count, had))
        }
        Err(error) => Err(error),
        Ok(_) if ours.iter().any(|ours| overlap(*ours, address)) => {
            sockets::bind_beside(address, count, options)
        }
        Ok(_) => sockets::bind(address, count, options),
    };
    bound.map_err(|error| {
        StartError::Bind(BindError {
            owner,
            purpose: "listen on",
            address,
            error,
        })
    })
}

/// What the connections of the backends of `config` cannot have.
pub(super) fn backends(config: &Config) -> impl Iterator<Item = StartError> {
    let failed = config.backends.iter().filter_map(try_socket);
    failed.map(StartError::Bind)
}

/// Whether connections of `backend` can have the options that it wants, tried once so that a
/// mistake is known before the first session.
fn try_socket(backend: &BackendConfig) -> Option<BindError> {
    let any = IpAddr::from([0, 0, 0, 0]);
    let address = SocketAddr::new(backend.socket.source.unwrap_or(any), 0);
    let error = sockets::to_connect(address, &backend.socket).err()?;
    Some(BindError {
        owner: format!("backend {}", backend.name),
        purpose: "connect from",
        address,
        error,
    })
}
