//! `backstop run`: the proxy itself.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check;
use super::{FAILED, RunArguments, SESSIONS_CUT};
use crate::config::{self, Config};
use crate::log;
use crate::process::Process;
use crate::sys::limits;

pub(super) fn run(arguments: &RunArguments) -> ExitCode {
    let colour = io::stderr().is_terminal();
    let loaded = match config::load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", check::failure(&report, colour));
            return ExitCode::from(FAILED);
        }
    };
    eprint!("{}", loaded.warnings.render(colour));
    let mut config = loaded.config;
    override_log(&mut config, arguments);
    serve(config)
}

/// Runs the proxy on a valid configuration until it is told to stop.
pub(super) fn serve(config: Config) -> ExitCode {
    limits::raise_open_files();
    let log_config = config.log;
    let process = match Process::bind(config) {
        Ok(process) => process,
        Err(errors) => {
            for error in errors {
                eprintln!("error: {error}");
            }
            eprintln!("Nothing was started.");
            return ExitCode::from(FAILED);
        }
    };
    let _writing = log::start(&log_config);
    // Made at the first call, which is inside the event loop that signals need.
    let mut signals = None;
    let stop = async || match signals.get_or_insert_with(StopSignals::new) {
        Ok(signals) => signals.next().await,
        Err(error) => {
            tracing::error!("Stop signals cannot be caught: {error}.");
            std::future::pending::<()>().await;
        }
    };
    match process.run(stop) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(SESSIONS_CUT),
        Err(error) => {
            tracing::error!("Backstop cannot run: {error}.");
            ExitCode::from(FAILED)
        }
    }
}

fn override_log(config: &mut Config, arguments: &RunArguments) {
    let log = &mut config.log;
    log.level = arguments.log_level.unwrap_or(log.level);
    log.format = arguments.log_format.unwrap_or(log.format);
    log.sessions = arguments.log_sessions.unwrap_or(log.sessions);
}

/// SIGTERM and SIGINT. Once made, neither ends the process by itself.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
