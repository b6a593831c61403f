//! `backstop run`: the proxy itself.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check;
use super::{FAILED, RunArguments, SESSIONS_CUT};
use crate::config::{self, Config};
use crate::log;
use crate::process::{Process, Source};
use crate::sys::limits;
use crate::upgrade::{self, Inheritance};

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
    let inheritance = if arguments.take_over {
        match take_over(&config) {
            Ok(inheritance) => inheritance,
            Err(error) => {
                eprintln!("error: {error}\nNothing was started.");
                return ExitCode::from(FAILED);
            }
        }
    } else {
        None
    };
    let overrides = arguments.clone();
    let source = Source {
        path: arguments.file.clone(),
        adjust: Box::new(move |config| override_log(config, &overrides)),
    };
    serve(config, source, inheritance)
}

/// What the process that is to be taken over has; `None` if there is none.
fn take_over(config: &Config) -> Result<Option<Inheritance>, String> {
    let Some(path) = &config.upgrade_socket else {
        return Err("`--take-over` needs `upgrade_socket` in the configuration".to_owned());
    };
    let failed = |error| {
        let path = path.display();
        format!("the process at {path} cannot be taken over: {error}")
    };
    upgrade::take::take(path).map_err(failed)
}

/// Runs the proxy on the valid configuration of `source` until it is told to stop.
fn serve(config: Config, source: Source, inheritance: Option<Inheritance>) -> ExitCode {
    let log_config = config.log.clone();
    let process = match bind(config, inheritance) {
        Ok(process) => process.reloading(source),
        Err(code) => return code,
    };
    // After the privileges were given up, which no thread may outlive.
    let _writing = match log::start(&log_config) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("error: {error}\nNothing was started.");
            return ExitCode::from(FAILED);
        }
    };
    let mut signals = StopSignals::default();
    match process.run(async || signals.next().await) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(SESSIONS_CUT),
        Err(error) => {
            tracing::error!("Backstop cannot run: {error}.");
            ExitCode::from(FAILED)
        }
    }
}

/// Takes the addresses of `config`, those in `inheritance` from there, or tells which of them
/// cannot be had.
pub(super) fn bind(config: Config, inheritance: Option<Inheritance>) -> Result<Process, ExitCode> {
    limits::raise_open_files();
    Process::take_over(config, inheritance).map_err(|errors| {
        for error in errors {
            eprintln!("error: {error}");
        }
        eprintln!("Nothing was started.");
        ExitCode::from(FAILED)
    })
}

fn override_log(config: &mut Config, arguments: &RunArguments) {
    let log = &mut config.log;
    log.level = arguments.log_level.unwrap_or(log.level);
    log.format = arguments.log_format.unwrap_or(log.format);
    log.sessions = arguments.log_sessions.unwrap_or(log.sessions);
}

/// SIGTERM and SIGINT. Once waited for, neither ends the process by itself.
#[derive(Debug, Default)]
pub(super) struct StopSignals {
    /// Made at the first wait, which is inside the event loop that signals need.
    signals: Option<(Signal, Signal)>,
}

impl StopSignals {
    pub(super) async fn next(&mut self) {
        if let Err(error) = self.listen() {
            tracing::error!("Stop signals cannot be caught: {error}.");
        }
        let Some((terminate, interrupt)) = &mut self.signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }

    fn listen(&mut self) -> io::Result<()> {
        if self.signals.is_none() {
            let terminate = signal(SignalKind::terminate())?;
            self.signals = Some((terminate, signal(SignalKind::interrupt())?));
        }
        Ok(())
    }
}
