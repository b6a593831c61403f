//! The commands of the `backstop` program.
//!
//! Exit codes: 0 all went well; 1 the configuration is wrong or an address cannot be had, and
//! nothing was started, or nothing answers; 2 wrong usage; 3 sessions were cut when stopping; 4 a
//! probed server failed.

pub mod check;
mod ctl;
mod demo;
mod diff;
mod events;
pub mod explain;
mod hash_password;
mod health;
mod manual;
pub mod probe;
mod run;
mod top;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{LogFormat, LogLevel, SCHEMA, SessionLog};
use crate::sys::inherited;

/// The configuration is wrong, or an address cannot be had.
const FAILED: u8 = 1;
/// Sessions did not end by themselves when stopping.
const SESSIONS_CUT: u8 = 3;
/// The configuration is good, but a server failed its probe. Not the code of a wrong
/// configuration, so that a script can refuse that and only tell of a dead server.
const SERVER_FAILED: u8 = 4;

/// A TCP failover proxy.
///
/// Accepts connections, forwards each to a server that works, and moves to backup servers or
/// another farm when servers fail.
#[derive(Debug, Parser)]
#[command(name = "backstop", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Exit codes: 0 all went well; 1 the configuration is wrong or an address cannot be had, and \
nothing was started; 2 wrong usage; 3 sessions were cut when stopping; 4 a probed server failed.")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<RunArguments>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (what `backstop -f FILE` does too)
    Run(RunArguments),
    /// Say whether a configuration can be used, and what it does
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Also check every server once and say what that finds
        #[arg(long)]
        probe: bool,
    },
    /// Say whether the proxy that was started with a configuration answers, for a container
    #[command(name = "healthcheck")]
    Health {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Give a command to a running Backstop
    Ctl(ctl::CtlArguments),
    /// Say what a reload would do with another file
    Diff(diff::DiffArguments),
    /// Show what has happened in a running Backstop
    Events(events::EventsArguments),
    /// Watch and steer a running Backstop in a terminal
    Top(top::TopArguments),
    /// Hash a password for the stats page, typed or from standard input
    #[command(name = "hash-password")]
    HashPassword,
    /// Show failover with built-in servers and a client, with nothing to install
    Demo(demo::DemoArguments),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Say where new sessions go and why, with some servers down
    Explain {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        question: explain::Question,
    },
    /// Print what makes a shell complete `backstop` commands
    Completions(manual::CompletionsArguments),
    /// Write the man pages
    Man(manual::ManArguments),
}

#[derive(Debug, Clone, Args)]
struct RunArguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Take over from the process that listens at `upgrade_socket`; if there is none, just start
    #[arg(long)]
    take_over: bool,
    /// Write log lines of this severity and above
    #[arg(long, value_name = "LEVEL", env = "BACKSTOP_LOG_LEVEL")]
    log_level: Option<LogLevel>,
    /// Write log lines for people or as JSON
    #[arg(long, value_name = "FORMAT", env = "BACKSTOP_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// Which sessions get a log line
    #[arg(long, value_name = "WHICH", env = "BACKSTOP_LOG_SESSIONS")]
    log_sessions: Option<SessionLog>,
}

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    inherited::note();
    let arguments = Arguments::parse();
    match arguments.command.or(arguments.run.map(Command::Run)) {
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Check { file, probe }) => check(&file, probe),
        Some(Command::Health { file }) => health::run(&file),
        Some(Command::Ctl(arguments)) => ctl::ctl(&arguments),
        Some(Command::Diff(arguments)) => diff::run(&arguments),
        Some(Command::Events(arguments)) => events::run(&arguments),
        Some(Command::Top(arguments)) => top::run(&arguments),
        Some(Command::HashPassword) => hash_password::run(),
        Some(Command::Demo(arguments)) => demo::run(arguments),
        Some(Command::Schema) => {
            print!("{SCHEMA}");
            ExitCode::SUCCESS
        }
        Some(Command::Explain { file, question }) => explain(&file, &question),
        Some(Command::Completions(arguments)) => manual::completions(&arguments),
        Some(Command::Man(arguments)) => manual::man(&arguments),
        None => {
            // Without anything asked for, the help is the most useful answer.
            let _ = <Arguments as clap::CommandFactory>::command().print_help();
            ExitCode::from(2)
        }
    }
}

fn check(file: &Path, probe: bool) -> ExitCode {
    let checked = check::check(file, std::io::stderr().is_terminal());
    print!("{}", checked.stdout);
    eprint!("{}", checked.stderr);
    let probed = if checked.valid && probe {
        probe::probe(file)
    } else {
        None
    };
    match probed {
        _ if !checked.valid => ExitCode::from(FAILED),
        Some(probed) => {
            print!("{}", probed.stdout);
            let failed = ExitCode::from(SERVER_FAILED);
            if probed.passed {
                ExitCode::SUCCESS
            } else {
                failed
            }
        }
        None => ExitCode::SUCCESS,
    }
}

fn explain(file: &Path, question: &explain::Question) -> ExitCode {
    let answer = explain::explain(file, question, std::io::stderr().is_terminal());
    print!("{}", answer.stdout);
    eprint!("{}", answer.stderr);
    if answer.valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}
