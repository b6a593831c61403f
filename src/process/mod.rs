//! The process from a valid configuration to its end: what starts in which order, and how it
//! stops.
//!
//! - [`bind`]: what the configuration needs, taken before anything starts.
//! - [`handover`]: this process and the one that takes over from it.
//! - [`listeners`], [`stats`]: listeners while it runs.
//! - [`reload`]: another configuration while it runs. [`watch`]: when its file changes.

mod bind;
mod handover;
mod listeners;
mod notices;
mod reload;
mod stats;
mod watch;

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use self::bind::Bound;
pub use self::bind::{BindError, StartError};
use self::handover::Handover;
use self::listeners::Listeners;
use self::notices::Notices;
use self::reload::Reloader;
pub use self::reload::Source;
use self::stats::StatsPages;
use crate::admin::Running;
use crate::admin::health::{Point, Readiness};
use crate::admin::orders::{self, Orders};
use crate::api::socket::ApiSocket;
use crate::api::{self, Api};
use crate::checks::schedule::Schedule;
use crate::config::Config;
use crate::descriptors;
use crate::events::Journal;
use crate::events::file::EventFile;
use crate::hooks::{self, HookCounts};
use crate::log;
use crate::notify;
use crate::privileges;
use crate::proxy::{Sessions, Stage, Workers};
use crate::resolver;
use crate::state::{self, Clock, Keeper, Saved};
use crate::supervisor::Supervisor;
use crate::sys::limits;
use crate::topology::{Admission, Current, Topology};
use crate::upgrade::{Inheritance, Offer, Predecessor};
use crate::watchdog;

/// A proxy that holds its addresses and has not begun to serve.
#[derive(Debug)]
pub struct Process {
    config: Config,
    current: Current,
    frontends: Vec<Bound>,
    stats: Vec<Bound>,
    journal: Journal,
    readiness: Readiness,
    api: Option<ApiSocket>,
    /// Where the next process asks.
    upgrade: Option<ApiSocket>,
    /// The process before this one, and what it knows.
    predecessor: Option<(Predecessor, Saved)>,
    workers: usize,
    source: Option<Source>,
}

impl Process {
    /// Takes the addresses and opens the files that `config` names, without listening yet.
    ///
    /// # Errors
    /// All that cannot be had.
    pub fn bind(config: Config) -> Result<Self, Vec<StartError>> {
        Self::take_over(config, None)
    }

    /// The same with the addresses of a process that has them, which goes on until this one is
    /// ready.
    ///
    /// # Errors
    /// All that cannot be had.
    pub fn take_over(
        config: Config,
        mut inheritance: Option<Inheritance>,
    ) -> Result<Self, Vec<StartError>> {
        let workers = config.threads.or_else(|| available_parallelism().ok());
        let workers = workers.map_or(1, std::num::NonZero::get);
        let (maxconn, possible) = descriptors::maxconn(&config, workers, limits::open_files())
            .map_err(|shortfall| vec![StartError::Descriptors(shortfall)])?;
        let mut errors = Vec::new();
        let mut frontends = match &mut inheritance {
            Some(had) => bind::inherited(&config, workers, had, &mut errors),
            None => Vec::new(),
        };
        let had: HashSet<_> = frontends.iter().map(|bound| bound.address).collect();
        let is_new = |address| !had.contains(&address);
        frontends.extend(bind::frontends(&config, workers, is_new, &[], &mut errors));
        let stats = bind::stats(&config, |_| true, &[], inheritance.as_mut(), &mut errors);
        let api = config.api.as_ref().and_then(|api| {
            let failed = |error| errors.push(StartError::Api(api.socket.clone(), error));
            bind::unix(api, inheritance.as_mut()).map_err(failed).ok()
        });
        let upgrade = config.upgrade_socket.as_ref().and_then(|path| {
            let failed = |error| errors.push(StartError::Upgrade(path.clone(), error));
            let socket = bind::upgrade(path, &config);
            bind::unix(&socket, inheritance.as_mut())
                .map_err(failed)
                .ok()
        });
        // What comes after this has to work as it will later, for a reload too.
        if let Err(error) = privileges::give_up(&config) {
            errors.push(StartError::Privileges(error));
        }
        errors.extend(bind::backends(&config));
        let file = config.events.file.as_ref().and_then(|path| {
            let failed = |error| errors.push(StartError::EventFile(path.clone(), error));
            EventFile::open(path).map_err(failed).ok()
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let journal = Journal::new(config.events.size, file);
        let mut topology = Topology::build(&config, workers, Instant::now());
        topology.admission = Arc::new(Admission::new(maxconn, possible));
        Ok(Self {
            config,
            current: Current::new(Arc::new(topology)),
            frontends,
            stats,
            journal,
            readiness: Readiness::default(),
            api,
            upgrade,
            predecessor: inheritance.map(Inheritance::rest),
            workers,
            source: None,
        })
    }

    /// Reloads from `source` when it is told to.
    #[must_use]
    pub fn reloading(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// What runs, for those who want to watch.
    pub fn topology(&self) -> Arc<Topology> {
        self.current.get()
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
            let (current, journal) = (self.current.clone(), self.journal.clone());
            let state = self.config.state.clone();
            tokio::task::spawn_local(reopen_logs());
            let (workers, handover) = self.start().await?;
            let events = journal.clone();
            let keeper = state.map(|state| Keeper::start(&state, current, events));
            let heir = tokio::select! {
                () = stop() => None,
                heir = handover.heir() => Some(heir),
            };
            readiness.reach(Point::Stopping);
            let keeper = if let Some(heir) = heir {
                workers.stage().send_replace(Stage::Draining);
                handover.leave(heir);
                journal.leave();
                if let Some(keeper) = keeper {
                    keeper.leave();
                }
                None
            } else {
                notify::stopping();
                handover.close();
                keeper
            };
            let cut = drain(workers, grace, stop()).await;
            if let Some(keeper) = keeper {
                keeper.finish();
            }
            Ok(cut)
        });
        drop(local);
        // A thread that works out a password, or waits for a disk, is not waited for.
        runtime.shutdown_background();
        cut
    }

    async fn start(self) -> io::Result<(Workers, Handover)> {
        let hangups = self.source.as_ref().and_then(|_| reload::hangups());
        let (sessions, queues) = Sessions::channel(self.workers);
        let (current, journal) = (self.current.clone(), self.journal.clone());
        let topology = current.get();
        let watched = sessions.clone();
        let supervisor = Supervisor::new(current.clone(), sessions.clone(), journal.clone());
        let (predecessor, saved) = self.predecessor.unzip();
        match (saved, &self.config.state) {
            (Some(saved), _) => state::tell_ignored(&saved.apply(&topology, Clock::now())),
            (None, Some(config)) => state::restore(config, &topology),
            (None, None) => {}
        }
        supervisor.resume_probations();
        let names = resolver::resolve_all(&topology, &supervisor).await;
        let resolving = resolver::run(current.clone(), Rc::clone(&supervisor), names);
        tokio::task::spawn_local(resolving);
        let schedule = Schedule::new(current.clone(), Rc::clone(&supervisor));
        schedule.start(self.config.spread_checks).await;
        let ticking = tick(
            current.clone(),
            self.readiness.clone(),
            Rc::clone(&supervisor),
            Rc::clone(&schedule),
        );
        tokio::task::spawn_local(ticking);
        let hooks = HookCounts::new(&self.config.hooks);
        hooks::start(&self.config.hooks, &hooks, &journal, &current);
        let mut running = Running::new(current.clone(), journal, self.readiness.clone());
        running.hooks = hooks;
        let (orders, inbox) = Orders::channel();
        let obeying = orders::obey(inbox, current.clone(), Rc::clone(&supervisor));
        tokio::task::spawn_local(obeying);
        let offer = Offer::new(self.upgrade.is_some());
        let mut handover = Handover::new(offer.clone(), current.clone());
        let mut stats = StatsPages::new(running.clone(), orders, offer.clone());
        stats.follow(listeners::listen(self.stats)?, self.config.stats.as_ref())?;
        let (asks, asked) = mpsc::unbounded_channel();
        if let (Some(socket), Some(config)) = (self.api, &self.config.api) {
            let (listener, file) = socket.listen()?;
            let offered = handover.add_file(&offer, &file, &listener)?;
            let api = Rc::new(Api {
                running: running.clone(),
                supervisor: Rc::clone(&supervisor),
                sessions,
                asks,
            });
            let service = api::serve::serve(listener, file, api, config.level);
            let service = tokio::task::spawn_local(service);
            handover.add([offered], service.abort_handle());
        }
        watchdog::start(&watched, &self.readiness);
        supervisor.begin();
        let workers = Workers::start(
            &current,
            queues,
            self.config.log.sessions,
            self.config.pin_threads,
        )?;
        let mut listeners = Listeners::new(workers.listeners(), offer.clone());
        listeners.give(listeners::listen(self.frontends)?);
        if let Some(socket) = self.upgrade {
            handover.listen(&offer, socket)?;
        }
        if let Some(predecessor) = predecessor {
            handover.succeed(predecessor).await;
        }
        let reloader = Reloader {
            source: self.source,
            hangups,
            config: self.config,
            workers: self.workers,
            current,
            supervisor,
            schedule,
            listeners,
            stats,
            journal: running.journal,
            readiness: running.readiness,
            reloads: running.reloads,
            turn: Rc::clone(&handover.turn),
        };
        // With it go the stats page and what is offered of the listeners.
        let service = tokio::task::spawn_local(reloader.run(asked));
        handover.add([], service.abort_handle());
        self.readiness.reach(Point::Ready);
        let size = size(&topology, self.workers);
        tracing::info!(target: "process", "Backstop is ready: {size}");
        notify::ready(&size);
        Ok((workers, handover))
    }
}

/// What runs, in a line.
fn size(topology: &Topology, workers: usize) -> String {
    format!(
        "{} frontends, {} backends, {} servers, {workers} worker threads, at most {} sessions.",
        topology.frontends.len(),
        topology.backends.len(),
        topology.servers().count(),
        topology.admission.maxconn()
    )
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

/// Opens log files anew at each SIGUSR1, as those who rotate them expect.
async fn reopen_logs() {
    match signal(SignalKind::user_defined1()) {
        Err(error) => tracing::error!("SIGUSR1 cannot be caught: {error}."),
        Ok(mut signals) => {
            while signals.recv().await.is_some() {
                log::reopen();
                tracing::info!(target: "log", "Log files were opened anew.");
            }
        }
    }
}

/// Once a second: computes session rates, tells of those who are kept out,
/// forgets what reloads have removed and no session uses,
/// and shows that this thread gets its turn.
async fn tick(
    current: Current,
    readiness: Readiness,
    supervisor: Rc<Supervisor>,
    schedule: Rc<Schedule>,
) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut notices = Notices::default();
    loop {
        seconds.tick().await;
        readiness.beat(Instant::now());
        let topology = current.get();
        notices.look(&topology, Instant::now());
        topology
            .frontends
            .iter()
            .for_each(|frontend| frontend.counters.tick());
        topology
            .backends
            .iter()
            .for_each(|backend| backend.counters.tick());
        topology.servers().for_each(|server| server.counters.tick());
        if supervisor.forget_retired() {
            schedule.leave_gone();
        }
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
