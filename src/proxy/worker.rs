//! Worker threads: each runs its own event loop with its own listeners and sessions.
//!
//! Workers share nothing that changes per byte: the topology is read-only to them, counters are
//! a shard each, and only choosing a server touches a cache line that all of them write. A reload
//! puts another topology in place of the one that sessions begin with.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until};

use super::accept;
use super::arrival::{self, Guests, Peer};
use super::forward::pipe;
use super::registry::{Page, Query, Registry, SessionId, Shutdown};
use crate::config::SessionLog;
use crate::descriptors;
use crate::outcome::Cause;
use crate::sys::cores;
use crate::topology::{Admission, Current, Loads, Topology, Turnover};

/// Bytes read at once; sessions of a worker take turns with one such buffer.
const SCRATCH_BYTES: usize = 64 * 1024;

/// How far ahead the alarm is set; less than the shortest timer of a connection attempt
/// ([`super::connect::GLANCE`]).
const ALARM: Duration = Duration::from_millis(6);

/// How far the process has come in stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// New sessions are accepted.
    Running,
    /// No new sessions; open ones go on.
    Draining,
    /// Open sessions are cut.
    Stopped,
}

/// A listener of one worker. It accepts for the frontend that has its address in the topology.
#[derive(Debug)]
pub struct Bind {
    /// As configured.
    pub address: SocketAddr,
    /// Listening already.
    pub listener: TcpListener,
    /// What is to be done with it.
    pub orders: watch::Receiver<Order>,
}

/// What is to be done with a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To accept, for the frontend that has its address now.
    Accept,
    /// To accept what waits already, and to close.
    Close,
}

/// The way to look at sessions, and to end them, from outside their workers.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<[mpsc::UnboundedSender<Query>]>);

/// The workers' ends of a [`Sessions`], one each.
pub type Queries = Vec<mpsc::UnboundedReceiver<Query>>;

impl Sessions {
    /// The way to the sessions of this many workers.
    pub fn channel(workers: usize) -> (Self, Queries) {
        let (senders, queues): (Vec<_>, _) =
            (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        (Self(senders.into()), queues)
    }

    /// Ends sessions on every worker, whether or not the result is waited for, which is how many
    /// there were; the limit is each worker's own.
    pub fn shut_down(&self, shutdown: Shutdown) -> impl Future<Output = usize> + use<> {
        let ask = |worker: &mpsc::UnboundedSender<Query>| {
            let (reply, answer) = oneshot::channel();
            // A worker that is gone has no sessions.
            let _ = worker.send(Query::ShutDown(shutdown, reply));
            answer
        };
        let answers: Vec<_> = self.0.iter().map(ask).collect();
        async {
            let mut ended = 0;
            for answer in answers {
                ended += answer.await.unwrap_or(0);
            }
            ended
        }
    }

    /// Ends one session. Returns what it was on, `backend/server` or else its frontend; `None`
    /// if there is no such session.
    pub async fn end(&self, id: SessionId, cause: Cause) -> Option<String> {
        let worker = self.0.get(id.worker(self.workers()))?;
        let (reply, answer) = oneshot::channel();
        worker.send(Query::End(id, cause, reply)).ok()?;
        answer.await.ok()?
    }

    /// Some of the sessions of a worker, from one of its places on; `None` if it is gone.
    pub async fn list(&self, worker: usize, from: usize) -> Option<Page> {
        let (reply, answer) = oneshot::channel();
        self.0.get(worker)?.send(Query::List(from, reply)).ok()?;
        answer.await.ok()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.len()
    }
}

/// The running worker threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<u32>>,
    stage: watch::Sender<Stage>,
    binds: Listeners,
}

/// The way to give workers listeners, one for each of them.
pub type Listeners = Vec<mpsc::UnboundedSender<Bind>>;

/// What the sessions of one worker share.
pub(super) struct Worker {
    /// Its position, and that of its counter shards.
    pub(super) id: usize,
    current: Current,
    /// What `current` was when it was last looked at.
    seen: RefCell<Rc<Seen>>,
    /// When the process began.
    pub(super) started: Instant,
    /// The same in every topology.
    pub(super) admission: Arc<Admission>,
    /// The same in every topology.
    pub(super) loads: Arc<Loads>,
    /// The ways to hand arrivals to each worker; none if this is the only one.
    pub(super) peers: Arc<[Peer]>,
    turnover: Turnover,
    /// Which sessions get a line.
    pub(super) session_log: SessionLog,
    /// Borrowed within one poll only, never across an await.
    pub(super) scratch: RefCell<Box<[u8]>>,
    pub(super) pipes: pipe::Pool,
    pub(super) sessions: Registry,
    /// See [`Worker::expect_timers`].
    alarm: RefCell<Option<Pin<Box<Sleep>>>>,
    /// Sessions that wait for what the process lacks, descriptors mostly.
    hungry: Cell<u32>,
    /// When a shortage was last complained of.
    complained: Cell<Option<Instant>>,
}

/// The topology that a worker saw last. Behind an `Rc`, so that its sessions do not all count
/// references where other workers do.
#[derive(Debug)]
pub(super) struct Seen(Arc<Topology>);

impl Seen {
    /// For another worker.
    pub(super) fn share(&self) -> Arc<Topology> {
        Arc::clone(&self.0)
    }
}

impl Deref for Seen {
    type Target = Topology;

    fn deref(&self) -> &Topology {
        &self.0
    }
}

/// A session that waits for what the process lacks.
pub(super) struct Hungry(Rc<Worker>);

impl Hungry {
    pub(super) fn new(worker: &Rc<Worker>) -> Self {
        worker.hungry.set(worker.hungry.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Hungry {
    fn drop(&mut self) {
        self.0.hungry.set(self.0.hungry.get() - 1);
    }
}

impl Worker {
    /// What sessions that begin now are routed by.
    pub(super) fn topology(&self) -> Rc<Seen> {
        let mut seen = self.seen.borrow_mut();
        let now = self.current.load();
        if !Arc::ptr_eq(&now, &seen.0) {
            *seen = Rc::new(Seen(Guard::into_inner(now)));
        }
        Rc::clone(&seen)
    }

    /// What another worker saw.
    pub(super) fn see(&self, topology: &Arc<Topology>) -> Rc<Seen> {
        let own = self.topology();
        if Arc::ptr_eq(topology, &own.0) {
            own
        } else {
            Rc::new(Seen(Arc::clone(topology)))
        }
    }

    /// Which worker is to take what this one has accepted, if it is another.
    pub(super) fn relief(&self) -> Option<usize> {
        let ended_lately = || self.turnover.lately(Instant::now());
        self.loads.relief(self.id, ended_lately)
    }

    /// Takes note of a session's end.
    pub(super) fn session_left(&self) {
        self.loads.leave(self.id);
        self.turnover.count();
    }

    /// Says that a session begins at `now`, which will set timers.
    ///
    /// Whenever a timer is set that is earlier than all others, tokio wakes its event loop by a
    /// write to an eventfd, although the loop has not gone to sleep. Each connection attempt
    /// would pay for that. So while there are any, an alarm that nobody waits for is earlier.
    pub(super) fn expect_timers(&self, now: Instant) {
        let mut alarm = self.alarm.borrow_mut();
        let next = tokio::time::Instant::from_std(now + ALARM);
        match alarm.as_mut() {
            None => *alarm = Some(Box::pin(sleep_until(next))),
            // Moved in time, since an alarm that has passed leaves a gap.
            Some(alarm) if alarm.deadline() + ALARM / 2 <= next => alarm.as_mut().reset(next),
            Some(_) => {}
        }
    }

    /// Whether sessions wait for what the process lacks, so that no more should be taken on.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry.get() > 0
    }

    /// True at most once a second: a shortage that hits every session must not fill the log.
    pub(super) fn may_complain(&self) -> bool {
        let now = Instant::now();
        let last = self.complained.get();
        let may = last.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1));
        if may {
            self.complained.set(Some(now));
        }
        may
    }
}

impl Workers {
    /// Starts one thread for each of `queues`, and if `pinned` on a core of its own.
    ///
    /// # Errors
    /// When a thread or its event loop cannot be made.
    pub fn start(
        current: &Current,
        queues: Queries,
        session_log: SessionLog,
        pinned: bool,
    ) -> io::Result<Self> {
        let (stage, stages) = watch::channel(Stage::Running);
        let workers = queues.len();
        let (binds, entrances): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let (peers, guests): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let peers: Arc<[Peer]> = if workers > 1 {
            peers.into()
        } else {
            Arc::default()
        };
        let threads = entrances
            .into_iter()
            .zip(queues)
            .zip(guests)
            .enumerate()
            .map(|(id, ((binds, queue), guests))| {
                let (current, stages) = (current.clone(), stages.clone());
                let place = (id, workers);
                let inbox = Inbox {
                    binds,
                    queries: queue,
                    guests,
                };
                let peers = Arc::clone(&peers);
                std::thread::Builder::new()
                    .name(format!("worker-{id}"))
                    .spawn(move || {
                        if pinned && let Err(error) = cores::pin(id) {
                            tracing::warn!("Worker {id} cannot stay on a core: {error}.");
                        }
                        run(place, current, inbox, peers, session_log, stages)
                    })
            });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            stage,
            binds,
        })
    }

    /// The way to give the workers listeners.
    pub fn listeners(&self) -> Listeners {
        self.binds.clone()
    }

    /// The switch by which the workers are stopped.
    pub fn stage(&self) -> watch::Sender<Stage> {
        self.stage.clone()
    }

    /// Waits until every worker has ended, which they do when they drain and have no session
    /// left, or are stopped. Returns how many sessions were cut.
    pub async fn ended(self) -> u32 {
        let joined = tokio::task::spawn_blocking(|| {
            // A worker whose thread panicked has no sessions left to report.
            self.threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or(0))
                .sum()
        });
        joined.await.unwrap_or(0)
    }
}

/// What others send to one worker.
struct Inbox {
    binds: mpsc::UnboundedReceiver<Bind>,
    queries: mpsc::UnboundedReceiver<Query>,
    guests: Guests,
}

fn run(
    (id, workers): (usize, usize),
    current: Current,
    inbox: Inbox,
    peers: Arc<[Peer]>,
    session_log: SessionLog,
    stages: watch::Receiver<Stage>,
) -> u32 {
    let topology = current.get();
    let pipes = descriptors::pipes(topology.admission.maxconn(), workers);
    let worker = Rc::new(Worker {
        id,
        current,
        started: topology.started,
        admission: Arc::clone(&topology.admission),
        loads: Arc::clone(&topology.loads),
        peers,
        turnover: Turnover::new(topology.started),
        seen: RefCell::new(Rc::new(Seen(topology))),
        session_log,
        scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
        pipes: pipe::Pool::new(pipes),
        sessions: Registry::new(id, workers),
        alarm: RefCell::new(None),
        hungry: Cell::new(0),
        complained: Cell::new(None),
    });
    // Not a LocalSet: one that is woken by its own thread's events writes to an eventfd each time.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("Worker {id} could not start its event loop: {error}.");
            return 0;
        }
    };
    runtime.block_on(serve(worker, inbox, stages))
}

/// Accepts until told to drain, then waits for the sessions. Returns how many were left.
async fn serve(worker: Rc<Worker>, inbox: Inbox, mut stages: watch::Receiver<Stage>) -> u32 {
    let Inbox {
        mut binds,
        queries,
        guests,
    } = inbox;
    tokio::task::spawn_local(answer(Rc::clone(&worker), queries));
    let receive = arrival::receive(Rc::clone(&worker), guests, stages.clone());
    let receiving = tokio::task::spawn_local(receive);
    let accept = |bind| accept::run(Rc::clone(&worker), bind, stages.clone());
    let mut draining = stages.clone();
    let mut accepting = JoinSet::new();
    loop {
        tokio::select! {
            // Having nothing to accept on is no reason to end.
            _ = draining.wait_for(|stage| *stage >= Stage::Draining) => break,
            Some(_) = accepting.join_next() => {}
            Some(bind) = binds.recv() => {
                accepting.spawn_local(accept(bind));
            }
        }
    }
    // They end when the process drains; one that panicked has nothing to wait for.
    while accepting.join_next().await.is_some() {}
    // If it panicked, nobody can hand on anything to it any more.
    let _ = receiving.await;
    tokio::select! {
        () = worker.sessions.emptied() => {}
        _ = stages.wait_for(|stage| *stage == Stage::Stopped) => {}
    }
    worker.sessions.len() as u32
}

async fn answer(worker: Rc<Worker>, mut queries: mpsc::UnboundedReceiver<Query>) {
    while let Some(query) = queries.recv().await {
        worker.sessions.answer(query);
    }
}
