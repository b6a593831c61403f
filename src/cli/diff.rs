//! `backstop diff`: what a reload would do with another file.

use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::ctl::{self, SocketArgument};
use super::{FAILED, check};
use crate::api::reload::UNUSABLE;
use crate::config;
use crate::config::diff::Difference;

/// Ends the file's text on the wire; no line of a configuration is this.
const END: &str = "%end-of-the-configuration%";

/// What `backstop diff` compares.
#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The file that would be reloaded
    #[arg(short, long, value_name = "NEW")]
    file: PathBuf,
    /// Compare with this file in place of what runs
    #[arg(long, value_name = "OLD", conflicts_with = "socket")]
    old: Option<PathBuf>,
    #[command(flatten)]
    at: SocketArgument,
}

pub(super) fn run(arguments: &DiffArguments) -> ExitCode {
    match &arguments.old {
        Some(old) => between(old, &arguments.file),
        None => with_running(&arguments.at.socket, &arguments.file),
    }
}

fn between(old: &Path, new: &Path) -> ExitCode {
    let colour = io::stderr().is_terminal();
    let (old, new) = (config::load(old), config::load(new));
    let errors: Vec<_> = [&old, &new]
        .into_iter()
        .filter_map(|l| l.as_ref().err())
        .collect();
    for report in &errors {
        eprint!("{}", check::mistakes(report, colour));
    }
    let (Ok(old), Ok(new)) = (old, new) else {
        return ExitCode::from(FAILED);
    };
    print!(
        "{}",
        Difference::between(&old.config, &new.config).prospect()
    );
    ExitCode::SUCCESS
}

/// The running process reads the text itself, with its own environment, as a reload would.
fn with_running(socket: &Path, new: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(new) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {} cannot be read: {error}", new.display());
            return ExitCode::from(FAILED);
        }
    };
    let answer = ask(socket, new, &text);
    match answer {
        Err(error) => ctl::unreachable(socket, &error),
        Ok(answer) if answer.starts_with("A reload would") && !answer.starts_with(UNUSABLE) => {
            print!("{answer}");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            eprint!("{answer}");
            ExitCode::from(FAILED)
        }
    }
}

fn ask(socket: &Path, new: &Path, text: &str) -> io::Result<String> {
    let name = new.display().to_string();
    let escape = |c: char| {
        if " \t;\\".contains(c) {
            vec!['\\', c]
        } else {
            vec![c]
        }
    };
    let name: String = name.chars().flat_map(escape).collect();
    let mut stream = ctl::ask(socket, &format!("diff {name} <<{END}"))?;
    let line_end = if text.ends_with('\n') { "" } else { "\n" };
    writeln!(stream, "{text}{line_end}{END}")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.strip_suffix('\n').unwrap_or(&answer).to_owned())
}
