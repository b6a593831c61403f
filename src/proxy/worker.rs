//! Worker threads: each runs its own event loop with its own listeners and sessions.
//!
//! Workers share nothing that changes per byte: the topology is read-only to them, counters are
//! a shard each, and only choosing a server touches a cache line that all of them write.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep_until};

use super::accept;
use super::forward::pipe;
use super::registry::{Page, Query, Registry, SessionId, Shutdown};
use crate::config::LogConfig;
use crate::id::FrontendId;
use crate::outcome::Cause;
use crate::sys::cores;
use crate::topology::Topology;

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

/// A listener of one worker.
#[derive(Debug)]
pub struct Bind {
    /// Whose sessions it accepts.
    pub frontend: FrontendId,
    /// As configured.
    pub address: SocketAddr,
    /// Listening already.
    pub listener: TcpListener,
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
}

/// What the sessions of one worker share.
pub(super) struct Worker {
    /// Its position, and that of its counter shards.
    pub(super) id: usize,
    pub(super) topology: Arc<Topology>,
    pub(super) log: LogConfig,
    /// Borrowed within one poll only, never across an await.
    pub(super) scratch: RefCell<Box<[u8]>>,
    pub(super) pipes: pipe::Pool,
    pub(super) sessions: Registry,
    /// See [`Worker::expect_timers`].
    alarm: RefCell<Option<Pin<Box<Sleep>>>>,
    /// When a shortage was last complained of.
    complained: Cell<Option<Instant>>,
}

impl Worker {
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
    /// Starts one thread for each element of `binds`, each with one of `queues`, and if `pinned`
    /// on a core of its own.
    ///
    /// # Errors
    /// When a thread or its event loop cannot be made.
    pub fn start(
        topology: &Arc<Topology>,
        binds: Vec<Vec<Bind>>,
        queues: Queries,
        log: LogConfig,
        pinned: bool,
    ) -> io::Result<Self> {
        let (stage, stages) = watch::channel(Stage::Running);
        let workers = queues.len();
        let threads = binds
            .into_iter()
            .zip(queues)
            .enumerate()
            .map(|(id, (binds, queue))| {
                let (topology, stages) = (Arc::clone(topology), stages.clone());
                let place = (id, workers);
                std::thread::Builder::new()
                    .name(format!("worker-{id}"))
                    .spawn(move || {
                        if pinned && let Err(error) = cores::pin(id) {
                            tracing::warn!("Worker {id} cannot stay on a core: {error}.");
                        }
                        run(place, topology, binds, queue, log, stages)
                    })
            });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            stage,
        })
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

fn run(
    (id, workers): (usize, usize),
    topology: Arc<Topology>,
    binds: Vec<Bind>,
    queue: mpsc::UnboundedReceiver<Query>,
    log: LogConfig,
    stages: watch::Receiver<Stage>,
) -> u32 {
    let worker = Rc::new(Worker {
        id,
        topology,
        log,
        scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
        pipes: pipe::Pool::default(),
        sessions: Registry::new(id, workers),
        alarm: RefCell::new(None),
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
    runtime.block_on(serve(worker, binds, stages, queue))
}

/// Accepts until told to drain, then waits for the sessions. Returns how many were left.
async fn serve(
    worker: Rc<Worker>,
    binds: Vec<Bind>,
    mut stages: watch::Receiver<Stage>,
    queries: mpsc::UnboundedReceiver<Query>,
) -> u32 {
    tokio::task::spawn_local(answer(Rc::clone(&worker), queries));
    let accepting = binds.into_iter().map(|bind| {
        tokio::task::spawn_local(accept::run(Rc::clone(&worker), bind, stages.clone()))
    });
    for task in accepting.collect::<Vec<_>>() {
        // They end when the process drains; one that panicked has nothing to wait for.
        let _ = task.await;
    }
    // Not having anything to accept on, as after a failed start, is no reason to end.
    let _ = stages.wait_for(|stage| *stage >= Stage::Draining).await;
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
