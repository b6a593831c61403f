//! `backstop man` and `backstop completions`: what packages install beside the program, made
//! from the command line's own definition.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, FAILED};

/// Where man pages go.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// The directory that they are written to; it is made if there is none
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes `backstop.1` and a page for each command.
pub(super) fn man(arguments: &ManArguments) -> ExitCode {
    match write_pages(&arguments.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let directory = arguments.directory.display();
            eprintln!("error: man pages cannot be written to {directory}: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn write_pages(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(program(), directory)
}

/// Prints what the shell reads.
pub(super) fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program(), "backstop", &mut script);
    // Nobody may be reading.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}

fn program() -> Command {
    Arguments::command()
}
