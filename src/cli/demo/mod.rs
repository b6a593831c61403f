//! `backstop demo`: the proxy between servers and a client of its own.
//!
//! The proxy is the real one, run from `demo.toml` on the main thread. Everything else (the
//! [`servers`], the client in [`traffic`], the [`control`] address, the [`screen`]) shares one
//! thread, so that it takes little from the proxy.

mod address;
mod answering;
mod backstage;
mod command;
mod control;
mod http;
mod layout;
mod proxy_log;
mod screen;
mod servers;
mod setup;
mod stage;
mod terminal;
mod tour;
mod traffic;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{oneshot, watch};

use self::backstage::ClientEnd;
use self::setup::Setup;
use self::stage::Note;
use super::FAILED;
use super::run::{StopSignals, bind};
use crate::config::value;
use crate::process::Process;

/// The exit code when requests failed that should not.
const REQUESTS_FAILED: u8 = 4;

/// Run the proxy between built-in servers and a client, and let servers fail
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all went well; 1 an address cannot be had, and nothing was started; 2 wrong usage; \
4 with --tour or --for, when a request failed or the traffic did not move as told.")]
pub(super) struct DemoArguments {
    /// Let servers fail and return one after the other, then end
    #[arg(long)]
    tour: bool,
    /// How long a step of the tour lasts at least
    #[arg(long, value_name = "DURATION", default_value = "7s", value_parser = duration)]
    step: Duration,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "tour", value_parser = duration)]
    limit: Option<Duration>,
    /// The port to send requests to; 0 is any free one [default: 8181, or any free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The port of the stats page [default: 8711, or any free one]
    #[arg(long, value_name = "PORT")]
    stats_port: Option<u16>,
    /// The port to stop and start servers by [default: 8790, or any free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
}

fn duration(text: &str) -> Result<Duration, String> {
    value::duration(text).map_err(|fault| fault.help.unwrap_or(fault.title))
}

/// Runs the demo to its end.
pub(super) fn run(arguments: DemoArguments) -> ExitCode {
    let prepared = Setup::new(arguments).and_then(|setup| Ok((setup.config()?, setup)));
    match prepared {
        Ok((config, setup)) => match bind(config, None) {
            Ok(process) => serve(process, setup),
            Err(code) => code,
        },
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn serve(process: Process, setup: Setup) -> ExitCode {
    let (notes, received) = unbounded_channel();
    proxy_log::start(notes.clone());
    let finished = Arc::clone(&setup.finished);
    let (stop_client, stop) = watch::channel(false);
    let (stopped, mut client_stopped) = watch::channel(false);
    let client = ClientEnd { stop, stopped };
    let sender = notes.clone();
    let (ready, servers_listen) = oneshot::channel();
    let backstage = thread::spawn(move || backstage::run(setup, ready, client, sender, received));
    // Else the first checks would find nobody. An error is a thread that has ended.
    let _ = servers_listen.blocking_recv();
    let mut signals = StopSignals::default();
    let served = process.run(async || {
        tokio::select! {
            () = signals.next() => {}
            () = finished.notified() => {}
        }
        stop_client.send_replace(true);
        // An error is a thread that has ended, and the client with it.
        let _ = client_stopped.wait_for(|stopped| *stopped).await;
    });
    // It fails only if that thread has ended already.
    let _ = notes.send(Note::End);
    match (served, backstage.join()) {
        (Ok(_), Ok(Ok(true))) => ExitCode::SUCCESS,
        (Ok(_), Ok(Ok(false))) => ExitCode::from(REQUESTS_FAILED),
        (Err(error), _) | (_, Ok(Err(error))) => {
            eprintln!("error: the demo cannot run: {error}");
            ExitCode::from(FAILED)
        }
        // Its panic has been told.
        (_, Err(_)) => ExitCode::from(FAILED),
    }
}
