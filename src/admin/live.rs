//! The live page: one stream of server-sent events (WHATWG HTML, "Server-sent events") for each
//! page that is looked at.
//!
//! However many look, each part of the page is written once a second, compared with what was
//! told last by its hash, and told to all if it has changed. What happens in between is told as
//! one change. With nobody looking nothing is done at all.
//!
//! A reader that does not keep up has its place in line taken away: a message that finds its
//! queue full ends its stream, and a stream that takes nothing for the lifetime of a connection
//! ends with that. A page whose stream has ended asks for another.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Report;
use super::body::Pieces;
use super::deadline::Deadline;
use super::parts::{Part, shape};
use super::stream::Stream;
use crate::events::Journal;
use crate::sys::courtesy::offer_core;

/// Streams at once; further pages load themselves again instead.
pub const MOST: usize = 32;

/// Messages that wait for a reader, about one for each second that it does not read.
const QUEUE: usize = 16;

/// Between two looks at what has changed. Session rates change no more often.
const PERIOD: Duration = Duration::from_secs(1);

/// After an event, so that several at once are told together.
const SOON: Duration = Duration::from_millis(100);

/// A look at everything may take this share of the thread's time, which other tasks need.
const SHARE: u32 = 20;

/// A message's text is not longer than this and the longest part.
const LENGTH: usize = 16 * 1024;

/// Who is looking. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Readers>>);

#[derive(Debug, Default)]
struct Readers {
    queues: Vec<mpsc::Sender<Bytes>>,
    /// Whether a task tells them what changes.
    told: bool,
}

impl Live {
    /// A stream of what changes in `report`, which is called whenever that is looked at; `None`
    /// if too many are looking already. Each message that is taken puts off `deadline`. It must
    /// be called inside a tokio runtime.
    pub fn stream<R>(&self, journal: &Journal, deadline: Deadline, report: R) -> Option<Stream>
    where
        R: Fn() -> Report + Clone + Send + 'static,
    {
        let (queue, messages) = mpsc::channel(QUEUE);
        let mut readers = self.readers();
        readers.queues.retain(|queue| !queue.is_closed());
        if readers.queues.len() >= MOST {
            return None;
        }
        readers.queues.push(queue);
        if !std::mem::replace(&mut readers.told, true) {
            let (live, report, events) = (self.clone(), report.clone(), journal.watch());
            tokio::spawn(async move { live.tell(report, events).await });
        }
        let everything = move || Pieces::new(whole(report()));
        Some(Stream::new(messages, everything, deadline))
    }

    /// Tells all readers what changes, until there are none.
    async fn tell(&self, report: impl Fn() -> Report, mut events: watch::Receiver<u64>) {
        let mut known = Known::default();
        loop {
            let began = Instant::now();
            events.mark_unchanged();
            for message in changes(report(), &mut known).await {
                self.send(&message);
            }
            if self.is_over() {
                return;
            }
            let pause = (began.elapsed() * SHARE).max(SOON);
            sleep(pause).await;
            let _ = timeout(PERIOD.saturating_sub(pause), events.changed()).await;
        }
    }

    fn send(&self, message: &Bytes) {
        let is_served = |queue: &mpsc::Sender<Bytes>| queue.try_send(message.clone()).is_ok();
        self.readers().queues.retain(is_served);
    }

    /// Whether nobody is looking any more. If so, the next to come starts another task.
    fn is_over(&self) -> bool {
        let mut readers = self.readers();
        readers.queues.retain(|queue| !queue.is_closed());
        readers.told = !readers.queues.is_empty();
        !readers.told
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one message says: parts of the page, and when they were written.
#[derive(Debug, Serialize)]
struct Message {
    /// Seconds since the process began.
    t: f64,
    /// The [`shape`] of the page that the parts are for.
    p: u32,
    /// The id of each part and its element.
    parts: Vec<(String, String)>,
}

impl Message {
    fn of(report: &Report) -> Self {
        Self {
            t: report.moment.uptime().as_secs_f64(),
            p: shape(&report.topology),
            parts: Vec::new(),
        }
    }

    /// As an event. JSON has no line ends in it, which would end the event.
    fn event(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("data: {json}\n\n")
    }
}

/// What readers were told last.
#[derive(Debug, Default)]
struct Known {
    shape: u32,
    /// The hash of each part.
    parts: Vec<u64>,
}

/// The messages about all parts that are not as they were `known`: at least one, so that
/// readers see that the stream is alive. Of a page that is new nothing is told: a stream begins
/// with everything, and pages of another shape have to be loaded again.
async fn changes(report: Report, known: &mut Known) -> Vec<Bytes> {
    let report = report.for_script();
    let (mut messages, mut message, mut length) = (Vec::new(), Message::of(&report), 0);
    let is_new = std::mem::replace(&mut known.shape, message.p) != message.p;
    if is_new {
        known.parts.clear();
    }
    let mut written = 0;
    for (index, part) in Part::all(&report.topology).enumerate() {
        offer_core();
        let markup = part.markup(&report).0;
        written += markup.len();
        if written >= LENGTH {
            written = 0;
            tokio::task::yield_now().await;
        }
        if !known.is_news(index, hash(&markup)) || is_new {
            continue;
        }
        length += markup.len();
        message.parts.push((part.id(), markup));
        if length >= LENGTH {
            messages.push(message.event().into());
            (message, length) = (Message::of(&report), 0);
        }
    }
    if messages.is_empty() || length > 0 {
        messages.push(message.event().into());
    }
    messages
}

impl Known {
    /// Takes the hash of a part; whether it is another than before.
    fn is_news(&mut self, index: usize, hash: u64) -> bool {
        if let Some(before) = self.parts.get_mut(index) {
            return std::mem::replace(before, hash) != hash;
        }
        self.parts.push(hash);
        true
    }
}

/// Every part, a message at a time, written when it is asked for.
fn whole(report: Report) -> impl Iterator<Item = String> + Send + 'static {
    let report = report.for_script();
    let mut parts = Part::all(&report.topology);
    std::iter::from_fn(move || {
        let (mut message, mut length) = (Message::of(&report), 0);
        while length < LENGTH {
            let Some(part) = parts.next() else { break };
            offer_core();
            let markup = part.markup(&report).0;
            length += markup.len();
            message.parts.push((part.id(), markup));
        }
        (length > 0).then(|| message.event())
    })
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
