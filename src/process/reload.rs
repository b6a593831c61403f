//! Another configuration while the process runs: read, checked, made ready, and then put in place
//! at once. Whatever is wrong with it, everything goes on as before.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::bind;
use super::handover::Turn;
use super::listeners::{self, Listeners};
use super::stats::StatsPages;
use super::watch::FileWatch;
use crate::admin::health::{Point, Readiness};
use crate::admin::reloads::Reloads;
use crate::api::reload::{Ask, REFUSED, UNUSABLE, What};
use crate::checks::schedule::Schedule;
use crate::config::diff::Difference;
use crate::config::report::Report;
use crate::config::{self, Config};
use crate::descriptors;
use crate::events::{Event, Journal};
use crate::notify;
use crate::supervisor::Supervisor;
use crate::sys::limits;
use crate::topology::Current;

/// Where the configuration comes from.
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What the command line says otherwise.
    pub adjust: Box<dyn Fn(&mut Config) + Send>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path.display())
    }
}

/// Why a configuration cannot take the place of the one that runs.
#[derive(Debug)]
struct Refusal {
    /// In one line.
    short: String,
    /// With everything that helps.
    long: String,
}

/// The one who reloads.
#[derive(Debug)]
pub(super) struct Reloader {
    /// Nobody's file if the process was started with none.
    pub(super) source: Option<Source>,
    /// Caught from the start on: it would end the process.
    pub(super) hangups: Option<Signal>,
    /// What runs; of settings that only a restart changes, what was at the start.
    pub(super) config: Config,
    pub(super) workers: usize,
    pub(super) current: Current,
    pub(super) supervisor: Rc<Supervisor>,
    pub(super) schedule: Rc<Schedule>,
    pub(super) listeners: Listeners,
    pub(super) stats: StatsPages,
    pub(super) journal: Journal,
    pub(super) readiness: Readiness,
    pub(super) reloads: Reloads,
    pub(super) turn: Turn,
}

impl Reloader {
    /// Reloads and compares whenever that is asked for, for ever.
    pub(super) async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>) {
        let watched = self
            .source
            .as_ref()
            .filter(|_| self.config.reload_on_change);
        let mut file = watched.map(|source| FileWatch::new(source.path.clone()));
        loop {
            tokio::select! {
                Some(ask) = asks.recv() => {
                    let answer = match ask.what {
                        What::Reload => self.reload(&ask.who).await,
                        What::Compare { name, text } => self.compare(name, text).await,
                    };
                    // Whoever asked may have gone.
                    let _ = ask.reply.send(answer);
                }
                () = hung_up(&mut self.hangups) => drop(self.reload("SIGHUP").await),
                () = changed(&mut file) => drop(self.reload("the file has changed").await),
            }
        }
    }

    /// Reloads because of `who`. Returns what is to be said about it.
    async fn reload(&mut self, who: &str) -> String {
        let who = who.to_owned();
        let stops = |readiness: &Readiness| readiness.point() == Point::Stopping;
        if !stops(&self.readiness) {
            notify::reloading();
        }
        let tried = self.try_to_reload().await;
        if !stops(&self.readiness) {
            notify::ready(&super::size(&self.current.load(), self.workers));
        }
        match tried {
            Ok(difference) => {
                self.reloads.went_well();
                let changes = difference.changes.clone();
                let restart = difference.restart.clone();
                self.journal.record(Event::Reloaded {
                    who,
                    changes,
                    restart,
                });
                let done = if difference.is_empty() {
                    "Reloaded; nothing has changed."
                } else {
                    "Reloaded."
                };
                format!("{done}\n{}", difference.lines())
            }
            Err(Refusal { short, long }) => {
                self.reloads.failed(&short);
                let reason = short.clone();
                self.journal.record(Event::ReloadFailed { who, reason });
                format!("{REFUSED}{short}. Everything goes on as before.\n{long}")
            }
        }
    }

    async fn try_to_reload(&mut self) -> Result<Difference, Refusal> {
        if self.readiness.point() == Point::Stopping {
            return Err(Refusal::of("the process is stopping"));
        }
        let turn = self.turn.clone();
        let Ok(_turn) = turn.try_lock() else {
            return Err(Refusal::of(
                "another process is about to take over; reload that one then, or this one if it \
                 fails",
            ));
        };
        let Some(source) = &self.source else {
            return Err(Refusal::of("this process was started without a file"));
        };
        let path = source.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let loaded = loaded.map_err(|_| Refusal::of("reading the file failed, which is a bug"))?;
        let mut new = loaded.map_err(|report| Refusal::of_report(&report))?.config;
        (source.adjust)(&mut new);
        let difference = Difference::between(&self.config, &new);
        new.keep_fixed(&self.config);
        self.put_in_place(new).await?;
        Ok(difference)
    }

    async fn put_in_place(&mut self, new: Config) -> Result<(), Refusal> {
        let maxconn = descriptors::maxconn(&new, self.workers, limits::open_files());
        let (maxconn, _) = maxconn.map_err(|shortfall| Refusal::of(&shortfall.to_string()))?;
        let mut errors = Vec::new();
        let ours: Vec<_> = self
            .listeners
            .addresses()
            .chain(self.stats.addresses())
            .collect();
        let unheard = |address| !self.listeners.has(address);
        let frontends = bind::frontends(&new, self.workers, unheard, &ours, &mut errors);
        let unserved = |address| !self.stats.has(address);
        let stats = bind::stats(&new, unserved, &ours, None, &mut errors);
        errors.extend(bind::backends(&new));
        if !errors.is_empty() {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            return Err(Refusal::of(&errors.join("; ")));
        }
        // From here on connections to new addresses are not refused any more; they wait.
        let listening = |error| Refusal::of(&format!("an address cannot be listened on: {error}"));
        let frontends = listeners::listen(frontends).map_err(listening)?;
        let stats = listeners::listen(stats).map_err(listening)?;
        let now = Instant::now();
        let next = self.current.get().rebuild(&new, self.workers, now);
        let arrivals = self.schedule.meet(&next).await;
        // Nothing can fail any more, and nothing waits.
        self.supervisor.replace(next, &arrivals);
        if new.maxconn != self.config.maxconn {
            self.current.load().admission.set_maxconn(maxconn);
        }
        self.listeners.give(frontends);
        self.listeners.follow(&new);
        if let Err(error) = self.stats.follow(stats, new.stats.as_ref()) {
            tracing::error!("The stats page cannot be served: {error}.");
        }
        self.schedule.follow(new.spread_checks, &arrivals);
        self.config = new;
        Ok(())
    }

    /// What a reload would do if the file were this text.
    async fn compare(&self, name: String, text: String) -> String {
        let env = |variable: &str| std::env::var(variable).ok();
        let parsed = move || config::parse(&text, &name, &env);
        let mut new = match tokio::task::spawn_blocking(parsed).await {
            Ok(Ok(loaded)) => loaded.config,
            Ok(Err(report)) => {
                let Refusal { short, long } = Refusal::of_report(&report);
                return format!("{UNUSABLE}{short}.\n{long}");
            }
            Err(_) => return format!("{UNUSABLE}reading the text failed, which is a bug.\n"),
        };
        if let Some(source) = &self.source {
            (source.adjust)(&mut new);
        }
        Difference::between(&self.config, &new).prospect()
    }
}

impl Refusal {
    fn of(short: &str) -> Self {
        Self {
            short: short.to_owned(),
            long: String::new(),
        }
    }

    fn of_report(report: &Report) -> Self {
        Self {
            short: report.short(),
            long: report.render(false),
        }
    }
}

/// SIGHUP, which from now on does not end the process.
pub(super) fn hangups() -> Option<Signal> {
    let hangups = signal(SignalKind::hangup());
    let failed = |error| tracing::error!("SIGHUP cannot be caught: {error}.");
    hangups.map_err(failed).ok()
}

async fn hung_up(hangups: &mut Option<Signal>) {
    let heard = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn changed(file: &mut Option<FileWatch>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}
