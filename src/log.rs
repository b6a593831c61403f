//! Where log lines go: standard output, by a thread of its own.
//!
//! A log that nobody reads must not stop traffic: lines wait in a bounded queue, and are
//! dropped and counted when it is full.

use std::io;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Lines that may wait to be written.
const QUEUE: usize = 16_384;

/// Starts logging for the whole process. What is queued is written when the guard is dropped.
pub fn start(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) = queue();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(filter(config.level))
        .with_writer(writer)
        .with_ansi(false);
    // An error means that the process logs already, as a test may.
    let _ = match config.format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(subscriber.json().flatten_event(true).finish())
        }
    };
    guard
}

fn queue() -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(io::stdout())
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
