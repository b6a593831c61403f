//! `backstop events`: the event journal from a shell.

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use clap::Args;

use super::FAILED;
use super::ctl::{SocketArgument, ask, is_refusal, unreachable};

/// What `backstop events` is asked for.
#[derive(Debug, Args)]
pub(super) struct EventsArguments {
    #[command(flatten)]
    at: SocketArgument,
    /// Go on with events as they happen
    #[arg(short, long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Shows events, for ever if that is asked for.
pub(super) fn run(arguments: &EventsArguments) -> ExitCode {
    let json = if arguments.json { " json" } else { "" };
    let follow = if arguments.follow { " -w" } else { "" };
    let command = format!("show events{json}{follow}");
    let shown = ask(&arguments.at.socket, &command).map(|stream| {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        for line in lines.take_while(|line| !line.is_empty()) {
            if is_refusal(&command, &line) {
                eprintln!("{line}");
                return ExitCode::from(FAILED);
            }
            if writeln!(io::stdout(), "{line}").is_err() {
                break;
            }
        }
        ExitCode::SUCCESS
    });
    shown.unwrap_or_else(|error| unreachable(&arguments.at.socket, &error))
}
