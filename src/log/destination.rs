//! The queue and the thread of one target.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tracing::Level;

use super::line::Line;
use super::output::Output;
use crate::config::log::LogFormat;

/// Lines that may wait to be written.
const QUEUE: u32 = 16_384;

/// Of these as many may be about sessions: those must not crowd out the lines that say why
/// sessions fail.
const SESSIONS: u32 = QUEUE / 4 * 3;

/// Lines that are written at once.
const BATCH: usize = 512;

/// How long the thread lets lines gather, so that a busy proxy wakes it once for many of them.
const GATHER: Duration = Duration::from_millis(2);

/// How often losses are looked for, which may be when no line comes, and told of at most.
const TELL: Duration = Duration::from_secs(1);

/// How long the end of the process may be kept waiting for what is queued.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Every target of the process that is written to.
static ALL: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// What became of the lines of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCount {
    /// Where they go.
    pub target: String,
    /// Lines written.
    pub written: u64,
    /// Lines that found the queue full.
    pub full: u64,
    /// Lines above the rate limit.
    pub rate: u64,
    /// Lines that could not be written.
    pub failed: u64,
}

/// A target and its thread, which writes what is queued when this is dropped.
#[derive(Debug)]
pub struct Destination {
    handle: Handle,
    /// Disconnected when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// A target for those who have lines for it.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Message {
    Line(Arc<Line>),
    Reopen,
    Stop,
}

#[derive(Debug, Default)]
struct Shared {
    name: String,
    waiting: AtomicU32,
    written: AtomicU64,
    full: AtomicU64,
    rate: AtomicU64,
    failed: AtomicU64,
}

/// What became of the lines of every target.
pub fn counts() -> Vec<LogCount> {
    let count = |handle: &Handle| {
        let shared = &handle.shared;
        LogCount {
            target: shared.name.clone(),
            written: shared.written.load(Relaxed),
            full: shared.full.load(Relaxed),
            rate: shared.rate.load(Relaxed),
            failed: shared.failed.load(Relaxed),
        }
    };
    all().iter().map(count).collect()
}

/// Has every file opened anew and every syslog server connected to again.
pub fn reopen() {
    for handle in all().iter() {
        // One whose thread has ended has nothing to open.
        let _ = handle.sender.send(Message::Reopen);
    }
}

fn all() -> MutexGuard<'static, Vec<Handle>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Destination {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(name: String, output: Output) -> Self {
        Self::start_with(name, output, Unwritten::Lost)
    }

    fn start_with(name: String, output: Output, unwritten: Unwritten) -> Self {
        let (sender, receiver) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let shared = Arc::new(Shared {
            name,
            ..Shared::default()
        });
        let handle = Handle {
            sender,
            shared: Arc::clone(&shared),
        };
        let writer = Writer {
            output,
            shared,
            unwritten,
            failing: false,
            tried_at: Instant::now(),
            told: 0,
            told_at: Instant::now(),
        };
        let run = move || {
            writer.run(&receiver);
            drop(end);
        };
        if let Err(error) = thread::Builder::new().name("log".into()).spawn(run) {
            tracing::error!("The thread of a log cannot be started: {error}.");
        }
        all().push(handle.clone());
        Self {
            handle,
            ended: Mutex::new(ended),
        }
    }

    /// A file to which lines are written as they are. Those that cannot be written are kept, as
    /// many as may wait, until they can.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn file(path: &Path) -> io::Result<Self> {
        let output = Output::file(path, LogFormat::Raw)?;
        let name = path.display().to_string();
        Ok(Self::start_with(name, output, Unwritten::Kept))
    }

    /// For those who have lines for it.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Queues a line that is written as it is.
    pub fn write(&self, text: String) {
        self.handle.offer(&Arc::new(Line {
            at: SystemTime::now(),
            level: Level::INFO,
            target: "event",
            text,
            fields: Vec::new(),
        }));
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        all().retain(|handle| !Arc::ptr_eq(&handle.shared, &self.handle.shared));
        let _ = self.handle.sender.send(Message::Stop);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may read what it writes, and the process has to end.
        let _ = ended.recv_timeout(LAST_WORDS);
    }
}

impl Handle {
    /// Queues a line, or counts it as lost.
    pub(super) fn offer(&self, line: &Arc<Line>) {
        let shared = &self.shared;
        let most = if line.is_of_session() {
            SESSIONS
        } else {
            QUEUE
        };
        if shared.waiting.fetch_add(1, Relaxed) >= most {
            shared.waiting.fetch_sub(1, Relaxed);
            shared.full.fetch_add(1, Relaxed);
        } else if self.sender.send(Message::Line(Arc::clone(line))).is_err() {
            shared.failed.fetch_add(1, Relaxed);
        }
    }

    /// Counts a line that is above the rate limit.
    pub(super) fn refuse(&self) {
        self.shared.rate.fetch_add(1, Relaxed);
    }
}

/// What becomes of lines that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    /// They are lost: there will be others, and they may be very many.
    Lost,
    /// They are written later: each of them counts.
    Kept,
}

/// What the thread has.
struct Writer {
    output: Output,
    shared: Arc<Shared>,
    unwritten: Unwritten,
    /// Whether the last line could not be written, which was told of.
    failing: bool,
    /// When lines that are kept were last tried to be written.
    tried_at: Instant,
    /// Losses that were told of.
    told: u64,
    told_at: Instant,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let mut message = match receiver.recv_timeout(TELL) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            let mut stop = false;
            while let Some(one) = message {
                match one {
                    Message::Line(line) => batch.push(line),
                    Message::Reopen => self.reopen(),
                    Message::Stop => stop = true,
                }
                let more = batch.len() < BATCH && !stop;
                message = more.then(|| receiver.try_recv().ok()).flatten();
            }
            let full = batch.len() >= BATCH;
            self.write(&mut batch, stop);
            self.tell_of_losses();
            if stop {
                return;
            }
            if !full || self.failing {
                thread::sleep(GATHER);
            }
        }
    }

    /// Writes lines, and leaves those that are kept; when it `ends` none is.
    fn write(&mut self, lines: &mut Vec<Arc<Line>>, ends: bool) {
        let keeps = self.unwritten == Unwritten::Kept;
        let waits = keeps && self.failing && self.tried_at.elapsed() < TELL;
        if lines.is_empty() || waits && !ends {
            return;
        }
        self.tried_at = Instant::now();
        let written = self.output.write(lines);
        let there = lines.len() - written.lost;
        let lost = if keeps && !ends { 0 } else { written.lost };
        lines.drain(..if lost > 0 { lines.len() } else { there });
        let shared = &self.shared;
        shared.waiting.fetch_sub((there + lost) as u32, Relaxed);
        shared.failed.fetch_add(lost as u64, Relaxed);
        shared.written.fetch_add(there as u64, Relaxed);
        self.tell_of_failure(written.error);
    }

    /// Says once that lines cannot be written, and that they can be again where nothing else tells.
    fn tell_of_failure(&mut self, error: Option<io::Error>) {
        let name = &self.shared.name;
        let failed = self.failing;
        self.failing = error.is_some();
        match (error, self.unwritten) {
            (Some(error), Unwritten::Lost) if !failed => tracing::error!(
                target: "log",
                "Log lines cannot be written to {name}: {error}. They are lost until it works again.",
            ),
            (Some(error), Unwritten::Kept) if !failed => tracing::error!(
                target: "log",
                "Events cannot be written to {name}: {error}. They are kept until it works again.",
            ),
            (None, Unwritten::Kept) if failed => tracing::info!(
                target: "log",
                "Events are written to {name} again, those included that had to wait.",
            ),
            _ => {}
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.output.reopen() {
            let name = &self.shared.name;
            tracing::error!(target: "log", "{name} cannot be opened anew: {error}.");
        }
    }

    fn lost(&self) -> u64 {
        let Shared {
            full, rate, failed, ..
        } = &*self.shared;
        [full, rate, failed]
            .map(|lost| lost.load(Relaxed))
            .iter()
            .sum()
    }

    /// Says how many lines are missing, where they are.
    fn tell_of_losses(&mut self) {
        let lost = self.lost();
        if lost == self.told || self.failing || self.told_at.elapsed() < TELL {
            return;
        }
        let missing = lost - self.told;
        let text = match self.unwritten {
            Unwritten::Lost => format!("{missing} log lines were lost here."),
            Unwritten::Kept => format!(r#"{{"kind":"events_lost","count":{missing}}}"#),
        };
        let line = Line {
            at: SystemTime::now(),
            level: Level::WARN,
            target: "log",
            text,
            fields: Vec::new(),
        };
        self.told_at = Instant::now();
        if self.output.write(&[Arc::new(line)]).error.is_none() {
            self.told = lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_do_not_crowd_out_other_lines() {
        let (sender, _receiver) = mpsc::channel();
        let handle = Handle {
            sender,
            shared: Arc::default(),
        };
        let line = |target| {
            Arc::new(Line {
                at: SystemTime::now(),
                level: Level::INFO,
                target,
                text: String::new(),
                fields: Vec::new(),
            })
        };
        let (session, event) = (line("session"), line("event"));
        (0..QUEUE).for_each(|_| handle.offer(&session));
        assert_eq!(
            handle.shared.full.load(Relaxed),
            u64::from(QUEUE - SESSIONS)
        );
        (0..QUEUE).for_each(|_| handle.offer(&event));
        assert_eq!(handle.shared.waiting.load(Relaxed), QUEUE);
        let lost = QUEUE - SESSIONS + SESSIONS;
        assert_eq!(handle.shared.full.load(Relaxed), u64::from(lost));
    }
}
