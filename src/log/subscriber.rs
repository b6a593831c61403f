//! Makes a line of what the program says, for every target that wants it.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::destination::Handle;
use super::line::Line;
use crate::config::log::LogLevel;

/// Bytes that most lines have room in.
const USUAL: usize = 224;

/// Has every line of the process that matters enough go to `targets`; `wants_fields` if one of
/// them wants its parts. At most `rate_limit` lines a second are about sessions.
pub(super) fn start(targets: Vec<(Handle, LogLevel)>, wants_fields: bool, rate_limit: Option<u32>) {
    let targets: Vec<_> = targets
        .into_iter()
        .map(|(handle, level)| (handle, filter(level)))
        .collect();
    let most = targets.iter().map(|(_, level)| *level).max();
    let lines = Lines {
        targets,
        wants_fields,
        rate: rate_limit.map(Rate::new),
    };
    let subscriber = tracing_subscriber::registry()
        .with(most.unwrap_or(LevelFilter::OFF))
        .with(lines);
    // An error means that the process logs already, as a test may.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

struct Lines {
    targets: Vec<(Handle, LevelFilter)>,
    wants_fields: bool,
    rate: Option<Rate>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line {
            at: SystemTime::now(),
            level: *metadata.level(),
            target: metadata.target(),
            text: String::new(),
            fields: Vec::new(),
        };
        let targets = self.targets.iter();
        let mut wanted = targets.filter(|(_, level)| line.level <= *level);
        let rate = self.rate.as_ref().filter(|_| line.is_of_session());
        if rate.is_some_and(|rate| !rate.allows()) {
            wanted.for_each(|(handle, _)| handle.refuse());
            return;
        }
        if wanted.next().is_none() {
            return;
        }
        line.text.reserve(USUAL);
        event.record(&mut Recorder {
            line: &mut line,
            wants_fields: self.wants_fields,
        });
        let line = Arc::new(line);
        for (handle, level) in &self.targets {
            if line.level <= *level {
                handle.offer(&line);
            }
        }
    }
}

struct Recorder<'a> {
    line: &'a mut Line,
    wants_fields: bool,
}

impl Recorder<'_> {
    fn keep(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if self.wants_fields {
            self.line.fields.push((field.name(), value()));
        }
    }
}

impl Visit for Recorder<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.line.text, "{value:?}");
        } else {
            self.keep(field, || Value::from(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, || Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, || Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, || Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, || Value::from(value));
    }
}

/// So many in each second.
#[derive(Debug)]
struct Rate {
    most: u32,
    began: Instant,
    /// The second in the upper half, and how many it had so far in the lower.
    second: AtomicU64,
}

impl Rate {
    fn new(most: u32) -> Self {
        Self {
            most,
            began: Instant::now(),
            second: AtomicU64::new(0),
        }
    }

    fn allows(&self) -> bool {
        self.allows_in(self.began.elapsed().as_secs())
    }

    /// Whether there is one more in this second since the beginning.
    fn allows_in(&self, second: u64) -> bool {
        let count = |state: u64| {
            let so_far = if state >> 32 == second {
                state & 0xffff_ffff
            } else {
                0
            };
            (so_far < u64::from(self.most)).then(|| second << 32 | (so_far + 1))
        };
        self.second.fetch_update(Relaxed, Relaxed, count).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn each_second_has_so_many() {
        let rate = Rate::new(2);
        let allowed: Vec<_> = [0, 0, 0, 1, 1, 1, 5].map(|at| rate.allows_in(at)).into();
        assert_eq!(allowed, [true, true, false, true, true, false, true]);
    }

    #[test]
    fn levels_compare_as_severities_do() {
        assert!(Level::ERROR <= LevelFilter::INFO);
        assert!(Level::DEBUG > LevelFilter::INFO);
    }
}
