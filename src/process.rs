//! The process from a valid configuration to its end: what starts in which order, and how it
//! stops.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::task::LocalSet;

use crate::admin::health::{Point, Readiness};
use crate::admin::{self, Running};
use crate::api::socket::ApiSocket;
use crate::api::{self, Api};
use crate::checks::agent;
use crate::checks::checker::{self, First, Known};
use crate::config::policy::InitState;
use crate::config::{BackendConfig, Config};
use crate::events::Journal;
use crate::events::file::EventFile;
use crate::id::FrontendId;
use crate::proxy::worker::Bind;
use crate::proxy::{Sessions, Stage, Workers};
use crate::resolver;
use crate::state::{self, Keeper};
use crate::supervisor::Supervisor;
use crate::sys::options::SocketOptions;
use crate::sys::sockets;
use crate::topology::Topology;

/// How long the first sessions may be kept waiting for the first checks.
const KNOWN_BEFORE: Duration = Duration::from_secs(1);

/// A proxy that holds its addresses and has not begun to serve.
#[derive(Debug)]
pub struct Process {
    config: Config,
    topology: Arc<Topology>,
    /// One for each worker, of each frontend's each address.
    frontends: Vec<(FrontendId, SocketAddr, Vec<Socket>)>,
    stats: Vec<Socket>,
    journal: Journal,
    readiness: Readiness,
    api: Option<ApiSocket>,
    workers: usize,
}

/// What cannot be had, and nothing is started without.
#[derive(Debug)]
pub enum StartError {
    /// An address.
    Bind(BindError),
    /// The file that events are written to.
    EventFile(PathBuf, io::Error),
    /// The socket of the runtime API.
    Api(PathBuf, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => write!(f, "{error}"),
            Self::EventFile(path, error) => {
                write!(f, "events cannot be written to {}: {error}", path.display())
            }
            Self::Api(path, error) => {
                let path = path.display();
                write!(f, "the runtime API cannot listen on {path}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str("another process is listening there"),
                    _ => write!(f, "{error}"),
                }
            }
        }
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

impl Process {
    /// Takes the addresses and opens the files that `config` names, without listening yet.
    ///
    /// # Errors
    /// All that cannot be had.
    pub fn bind(config: Config) -> Result<Self, Vec<StartError>> {
        let workers = config.threads.or_else(|| available_parallelism().ok());
        let workers = workers.map_or(1, std::num::NonZero::get);
        let mut errors = Vec::new();
        let mut bind = |owner: String, address, count, options: &SocketOptions| {
            sockets::bind(address, count, options).unwrap_or_else(|error| {
                errors.push(StartError::Bind(BindError {
                    owner,
                    purpose: "listen on",
                    address,
                    error,
                }));
                Vec::new()
            })
        };
        let mut frontends = Vec::new();
        for (frontend, id) in config.frontends.iter().zip(0..) {
            for &address in &frontend.bind {
                let owner = format!("frontend {}", frontend.name);
                let sockets = bind(owner, address, workers, &frontend.socket.both);
                frontends.push((FrontendId(id), address, sockets));
            }
        }
        let no_options = SocketOptions::default();
        let stats = config.stats.iter().flat_map(|stats| &stats.bind);
        let stats = stats
            .flat_map(|&address| bind("the stats page".into(), address, 1, &no_options))
            .collect();
        errors.extend(
            config
                .backends
                .iter()
                .filter_map(try_socket)
                .map(StartError::Bind),
        );
        let file = config.events.file.as_ref().and_then(|path| {
            let failed = |error| errors.push(StartError::EventFile(path.clone(), error));
            EventFile::open(path).map_err(failed).ok()
        });
        let api = config.api.as_ref().and_then(|api| {
            let failed = |error| errors.push(StartError::Api(api.socket.clone(), error));
            ApiSocket::bind(api).map_err(failed).ok()
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let journal = Journal::new(config.events.size, file);
        let topology = Arc::new(Topology::build(&config, workers, Instant::now()));
        Ok(Self {
            config,
            topology,
            frontends,
            stats,
            journal,
            readiness: Readiness::default(),
            api,
            workers,
        })
    }

    /// What runs, for those who want to watch.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Serves until `stop` returns, then lets sessions end until it returns once more or until
    /// `grace` has passed. Returns how many sessions were cut.
    ///
    /// # Errors
    /// When a thread or an event loop cannot be made.
    pub fn run(self, mut stop: impl AsyncFnMut()) -> io::Result<u32> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(32)
            .build()?;
        let local = LocalSet::new();
        let cut = local.block_on(&runtime, async {
            let grace = self.config.grace;
            let readiness = self.readiness.clone();
            let (topology, journal) = (Arc::clone(&self.topology), self.journal.clone());
            let state = self.config.state.clone();
            let workers = self.start().await?;
            let keeper = state.map(|state| Keeper::start(&state, topology, journal));
            stop().await;
            readiness.reach(Point::Stopping);
            let cut = drain(workers, grace, stop()).await;
            if let Some(keeper) = keeper {
                keeper.finish();
            }
            Ok(cut)
        });
        drop(local);
        // A look-up that no name server answers would keep its thread, and us, for much longer.
        runtime.shutdown_background();
        cut
    }

    async fn start(self) -> io::Result<Workers> {
        let (sessions, queues) = Sessions::channel(self.workers);
        let supervisor = Supervisor::new(
            Arc::clone(&self.topology),
            sessions.clone(),
            self.journal.clone(),
        );
        if let Some(config) = &self.config.state {
            state::restore(config, &self.topology);
        }
        supervisor.resume_probations();
        resolver::resolve_all(&self.topology, &supervisor).await;
        tokio::task::spawn_local(resolver::run(
            Arc::clone(&self.topology),
            Rc::clone(&supervisor),
        ));
        start_agents(&self.topology, &supervisor);
        start_checks(&self.topology, &supervisor, self.config.spread_checks).await;
        tokio::task::spawn_local(tick(Arc::clone(&self.topology)));
        let mut binds: Vec<_> = (0..self.workers).map(|_| Vec::new()).collect();
        for (frontend, address, sockets) in self.frontends {
            let backlog = self.config.frontends[frontend.index()].socket.backlog;
            for (socket, binds) in sockets.into_iter().zip(&mut binds) {
                let listener = sockets::listen(socket, backlog)?;
                binds.push(Bind {
                    frontend,
                    address,
                    listener,
                });
            }
        }
        let running = Running {
            topology: Arc::clone(&self.topology),
            journal: self.journal.clone(),
            readiness: self.readiness.clone(),
        };
        for socket in self.stats {
            let listener = tokio::net::TcpListener::from_std(sockets::listen(socket, None)?)?;
            if let Some(settings) = &self.config.stats {
                let site =
                    admin::http::serve(listener, Arc::new(settings.clone()), running.clone());
                tokio::task::spawn_local(site);
            }
        }
        if let (Some(socket), Some(config)) = (self.api, &self.config.api) {
            let (listener, file) = socket.listen()?;
            let api = Rc::new(Api {
                running,
                supervisor: Rc::clone(&supervisor),
                sessions,
            });
            tokio::task::spawn_local(api::serve::serve(listener, file, api, config.level));
        }
        supervisor.begin();
        let workers = Workers::start(
            &self.topology,
            binds,
            queues,
            self.config.log,
            self.config.pin_threads,
        )?;
        self.readiness.reach(Point::Ready);
        tracing::info!(
            target: "process",
            "Backstop is ready: {} frontends, {} backends, {} servers, {} worker threads.",
            self.topology.frontends.len(),
            self.topology.backends.len(),
            self.topology.servers().count(),
            self.workers
        );
        Ok(workers)
    }
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

async fn drain(workers: Workers, grace: Duration, stop: impl Future<Output = ()>) -> u32 {
    tracing::info!(
        "Stopping: no new sessions; open ones may go on for {grace:?}. A second signal cuts them."
    );
    let stage = workers.stage();
    stage.send_replace(Stage::Draining);
    let mut ended = std::pin::pin!(workers.ended());
    let cut = tokio::select! {
        cut = &mut ended => Some(cut),
        () = stop => None,
        () = tokio::time::sleep(grace) => None,
    };
    let cut = if let Some(cut) = cut {
        cut
    } else {
        stage.send_replace(Stage::Stopped);
        ended.await
    };
    tracing::info!("Stopped; {cut} sessions were cut.");
    cut
}

/// Starts checking, and waits until every server that is to be known before the first session
/// was checked once.
async fn start_checks(topology: &Topology, supervisor: &Rc<Supervisor>, spread: u8) {
    let checked: Vec<_> = topology
        .servers()
        .filter(|server| server.config.check.is_some())
        .collect();
    let intervals = checked
        .iter()
        .filter_map(|server| server.config.check.as_ref());
    let smallest = intervals
        .map(|check| check.interval)
        .min()
        .unwrap_or_default();
    let (known, mut all_known) = Known::channel();
    for (index, server) in checked.iter().enumerate() {
        let delay = checker::first_delay(index, checked.len(), smallest);
        let first = match server.config.policy.init_state {
            InitState::Known => First::AtOnce(known.clone(), delay),
            _ => First::After(delay),
        };
        let timeouts = topology.backend(server.id.backend).config.timeout;
        let (server, supervisor) = (Arc::clone(server), Rc::clone(supervisor));
        tokio::task::spawn_local(checker::run(server, timeouts, first, spread, supervisor));
    }
    drop(known);
    if tokio::time::timeout(KNOWN_BEFORE, all_known.recv())
        .await
        .is_err()
    {
        tracing::warn!("Not every server could be checked within {KNOWN_BEFORE:?}; starting.");
    }
}

/// Starts asking the servers' agents.
fn start_agents(topology: &Topology, supervisor: &Rc<Supervisor>) {
    for server in topology.servers() {
        let Some(agent) = server.config.agent.clone() else {
            continue;
        };
        let timeouts = topology.backend(server.id.backend).config.timeout;
        let (server, supervisor) = (Arc::clone(server), Rc::clone(supervisor));
        let asking = agent::run(server, agent, timeouts, Duration::ZERO, supervisor);
        tokio::task::spawn_local(asking);
    }
}

/// Computes session rates, once a second.
async fn tick(topology: Arc<Topology>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        topology
            .frontends
            .iter()
            .for_each(|frontend| frontend.counters.tick());
        topology
            .backends
            .iter()
            .for_each(|backend| backend.counters.tick());
        topology.servers().for_each(|server| server.counters.tick());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample;

    #[test]
    fn a_source_that_is_not_there_is_told_before_anything_starts() {
        let mut backend = sample::backend("bk", false, vec![sample::server("s", 80, false)]);
        // Of the documentation's own network, which no machine has (RFC 5737).
        backend.socket.source = Some("192.0.2.1".parse().unwrap());
        let config = Config {
            backends: vec![backend],
            ..sample::empty_config()
        };
        let errors = Process::bind(config).unwrap_err();
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let expected =
            "backend bk cannot connect from 192.0.2.1:0: this machine has no such address";
        assert_eq!(errors, [expected]);
    }
}
