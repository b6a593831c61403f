//! Where log lines go: standard output, files and syslog servers, each by a thread of its own.
//!
//! A log that nobody reads must not stop traffic, and one target must not stop another: lines
//! wait in a bounded queue for each, and are dropped, counted and told of when it is full.
//!
//! - `subscriber`: makes a line of what the program says.
//! - [`destination`]: the queue and the thread of one target.
//! - [`line`](mod@line): a line and its forms. `output`: files and standard output.
//!   `syslog`: messages and sockets.

pub mod destination;
pub mod line;
mod output;
mod subscriber;
mod syslog;

use std::fmt;
use std::io;
use std::panic;
use std::path::PathBuf;

pub use self::destination::{Destination, LogCount, counts, reopen};
use self::output::Output;
pub use self::syslog::hostname;
use crate::config::log::{LogConfig, LogFormat, LogSink};

/// Logging; what is queued is written when it is dropped.
#[derive(Debug)]
pub struct Logging {
    _destinations: Vec<Destination>,
}

/// A file that cannot be logged to.
#[derive(Debug)]
pub struct LogError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(f, "log lines cannot be written to {path}: {error}")
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// When a file cannot be opened. A syslog server need not be there.
pub fn start(config: &LogConfig) -> Result<Logging, LogError> {
    let mut destinations = Vec::new();
    let mut levels = Vec::new();
    let mut wants_fields = false;
    for target in &config.targets {
        let format = target.format.unwrap_or(config.format);
        let (name, output) = match &target.to {
            LogSink::Stdout => ("stdout".to_owned(), Output::stdout(format)),
            LogSink::File(path) => {
                let failed = |error| LogError {
                    path: path.clone(),
                    error,
                };
                let output = Output::file(path, format).map_err(failed)?;
                (path.display().to_string(), output)
            }
            LogSink::Syslog(syslog) => (syslog.server.to_string(), Output::syslog(syslog, format)),
        };
        wants_fields |= format == LogFormat::Json;
        destinations.push(Destination::start(name, output));
        levels.push(target.level.unwrap_or(config.level));
    }
    let handles = destinations.iter().map(Destination::handle).zip(levels);
    subscriber::start(handles.collect(), wants_fields, config.rate_limit);
    tell_panics();
    Ok(Logging {
        _destinations: destinations,
    })
}

/// Has bugs told where people look, as well as on standard error.
fn tell_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |bug| {
        let place = bug.location().map_or_else(String::new, ToString::to_string);
        let payload = bug.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or_default();
        tracing::error!(
            target: "process",
            "A bug in Backstop ends a session or another task: {place}: {text}"
        );
        usual(bug);
    }));
}
