//! Which servers are checked and asked by tasks of their own, as servers come and go.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::agent;
use super::checker::{self, First, Known};
use super::probe::Probe;
use crate::config::ServerTimeouts;
use crate::config::policy::InitState;
use crate::id::Key;
use crate::resolver;
use crate::supervisor::Supervisor;
use crate::supervisor::reload::Arrival;
use crate::topology::status::CheckReport;
use crate::topology::{Current, Server, Topology};

/// How long the first sessions may be kept waiting for the first checks.
const KNOWN_BEFORE: Duration = Duration::from_secs(1);

/// The checks and agents of all servers.
#[derive(Debug)]
pub struct Schedule {
    current: Current,
    supervisor: Rc<Supervisor>,
    tasks: RefCell<HashMap<Key, Tasks>>,
}

/// What runs for one server.
#[derive(Debug)]
struct Tasks {
    /// As it was configured when they began.
    server: Arc<Server>,
    timeouts: ServerTimeouts,
    spread: u8,
    check: Option<Task>,
    agent: Option<Task>,
}

/// Ends when it is dropped.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Schedule {
    /// Nothing is checked yet.
    pub fn new(current: Current, supervisor: Rc<Supervisor>) -> Rc<Self> {
        Rc::new(Self {
            current,
            supervisor,
            tasks: RefCell::default(),
        })
    }

    /// Starts checking and asking, and waits until every server that is to be known before the
    /// first session was checked once.
    pub async fn start(&self, spread: u8) {
        let (known, mut all_known) = Known::channel();
        self.have_run(spread, |server, delay| {
            match server.config.policy.init_state {
                InitState::Known => First::AtOnce(known.clone(), delay),
                _ => First::After(delay),
            }
        });
        drop(known);
        if tokio::time::timeout(KNOWN_BEFORE, all_known.recv())
            .await
            .is_err()
        {
            tracing::warn!("Not every server could be checked within {KNOWN_BEFORE:?}; starting.");
        }
    }

    /// Finds out what can be known of the servers of `next` that are new, before they get
    /// sessions, for as long as the start of the process may be kept waiting.
    pub async fn meet(&self, next: &Topology) -> Vec<Arrival> {
        let (running, places) = (
            self.current.get(),
            Arc::new(Semaphore::new(checker::AT_ONCE)),
        );
        let end = Instant::now() + KNOWN_BEFORE;
        let is_new = |server: &Server| running.known(server.key).is_none();
        // Whoever is not found in time is found later.
        let _ = timeout_at(end, resolver::introduce(next, is_new)).await;
        let mut meetings = JoinSet::new();
        for server in next.servers() {
            if !is_new(server) {
                continue;
            }
            let timeouts = next.backend(server.id.backend).config.timeout;
            let (server, places) = (Arc::clone(server), Arc::clone(&places));
            meetings.spawn_local(async move {
                let _place = places.acquire().await;
                let report = timeout_at(end, meet(&server, &timeouts)).await;
                let report = report.ok().flatten();
                Arrival { server, report }
            });
        }
        meetings.join_all().await
    }

    /// Has exactly the servers checked and asked that run, and those that drain. Checks go on
    /// whose settings are the same; the others begin at once.
    pub fn follow(&self, spread: u8, arrivals: &[Arrival]) {
        let checked = arrivals.iter().filter(|arrival| arrival.report.is_some());
        let checked: HashSet<_> = checked.map(|arrival| arrival.server.key).collect();
        self.have_run(spread, |server, delay| {
            First::After(if checked.contains(&server.key) {
                checker::after_first(server, delay)
            } else {
                Duration::ZERO
            })
        });
    }

    /// Ends the checks of servers that are gone.
    pub fn leave_gone(&self) {
        let topology = self.current.load();
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|key, _| topology.known(*key).is_some());
    }

    /// `first` says of a server that is not checked yet when it is, given its part of the
    /// shortest interval.
    fn have_run(&self, spread: u8, first: impl Fn(&Server, Duration) -> First) {
        self.leave_gone();
        let topology = self.current.get();
        let checked = topology.servers().filter_map(|s| s.config.check.as_ref());
        let intervals: Vec<_> = checked.map(|check| check.interval).collect();
        let smallest = intervals.iter().min().copied().unwrap_or_default();
        let mut position = 0;
        let mut tasks = self.tasks.borrow_mut();
        for server in topology.servers() {
            let timeouts = topology.backend(server.id.backend).config.timeout;
            let delay = checker::first_delay(position, intervals.len(), smallest);
            position += usize::from(server.config.check.is_some());
            let before = tasks.remove(&server.key);
            let wanted = Tasks {
                server: Arc::clone(server),
                timeouts,
                spread,
                check: None,
                agent: None,
            };
            let tasks_now = self.go_on(before, wanted, || first(server, delay));
            tasks.insert(server.key, tasks_now);
        }
    }

    /// The tasks that are `wanted`, of which those go on that ran `before` in the same way.
    fn go_on(&self, before: Option<Tasks>, wanted: Tasks, first: impl Fn() -> First) -> Tasks {
        let mut tasks = wanted;
        if let Some(before) = before {
            let (a, b) = (&before.server.config, &tasks.server.config);
            let same_timeouts = before.timeouts == tasks.timeouts;
            let same_check = a.check == b.check && before.spread == tasks.spread;
            if same_timeouts && same_check {
                tasks.check = before.check;
            }
            if same_timeouts && a.agent == b.agent {
                tasks.agent = before.agent;
            }
        }
        let (server, timeouts) = (&tasks.server, tasks.timeouts);
        if tasks.check.is_none() && server.config.check.is_some() {
            let supervisor = Rc::clone(&self.supervisor);
            let server = Arc::clone(server);
            let check = checker::run(server, timeouts, first(), tasks.spread, supervisor);
            tasks.check = Some(Task(tokio::task::spawn_local(check).abort_handle()));
        }
        if let (None, Some(agent)) = (&tasks.agent, server.config.agent.clone()) {
            let supervisor = Rc::clone(&self.supervisor);
            let server = Arc::clone(server);
            let asking = agent::run(server, agent, timeouts, Duration::ZERO, supervisor);
            tasks.agent = Some(Task(tokio::task::spawn_local(asking).abort_handle()));
        }
        tasks
    }
}

/// Checks a new server once, if it is to be known before its first session.
async fn meet(server: &Server, timeouts: &ServerTimeouts) -> Option<CheckReport> {
    let check = server.config.check.as_ref()?;
    let wanted = server.config.policy.init_state == InitState::Known && !server.is_unattended();
    if !wanted {
        return None;
    }
    Some(Probe::new(check, timeouts).run(server).await)
}
