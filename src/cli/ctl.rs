//! `backstop ctl`: the runtime API from a shell.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::FAILED;

/// Which socket.
#[derive(Debug, Args)]
pub(super) struct SocketArgument {
    /// The socket of the runtime API, `socket` in `[api]`
    #[arg(
        short,
        long,
        value_name = "SOCKET",
        env = "BACKSTOP_SOCKET",
        default_value = "/run/backstop.sock"
    )]
    pub(super) socket: PathBuf,
}

/// What `backstop ctl` is asked for.
#[derive(Debug, Args)]
pub(super) struct CtlArguments {
    #[command(flatten)]
    at: SocketArgument,
    /// A command of the runtime API, such as `show stat`; `help` lists them
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Gives one command and shows the answer.
pub(super) fn ctl(arguments: &CtlArguments) -> ExitCode {
    let command = arguments.command.join(" ");
    match ask(&arguments.at.socket, &command).and_then(answer) {
        Err(error) => unreachable(&arguments.at.socket, &error),
        Ok(answer) => {
            // The empty line that ends every answer is of use on the wire only.
            let shown = answer.strip_suffix('\n').unwrap_or(&answer);
            let refused = is_refusal(&command, shown);
            // Nobody may be reading.
            let _ = if refused {
                io::stderr().write_all(shown.as_bytes())
            } else {
                io::stdout().write_all(shown.as_bytes())
            };
            if refused {
                ExitCode::from(FAILED)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

/// Gives a command to the runtime API.
pub(super) fn ask(socket: &Path, command: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{command}")?;
    Ok(stream)
}

/// All that is answered to what was asked.
pub(super) fn answer(mut stream: UnixStream) -> io::Result<String> {
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Says that the runtime API cannot be asked.
pub(super) fn unreachable(socket: &Path, error: &io::Error) -> ExitCode {
    let socket = socket.display();
    eprintln!("error: the runtime API at {socket} cannot be asked: {error}");
    eprintln!("It is served where `socket` in `[api]` says; name it with -s or BACKSTOP_SOCKET.");
    ExitCode::from(FAILED)
}

/// Whether the answer says that the command was not done. Commands that change something
/// answer with nothing when it is done, except about addresses.
pub(super) fn is_refusal(command: &str, answer: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    let changes = matches!(first, "set" | "enable" | "disable" | "shutdown" | "clear");
    let said = answer.trim();
    let moved = said.starts_with("IP changed") || said.starts_with("no need to change");
    let starts = [
        "Not reloaded: ",
        "Permission denied",
        "Unknown command",
        "No such ",
        "Can't find ",
        "Require ",
    ];
    starts.iter().any(|start| said.starts_with(start)) || changes && !said.is_empty() && !moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_answers() {
        assert!(!is_refusal("set server a/b state maint", ""));
        assert!(!is_refusal(
            "set server a/b addr 1.2.3.4",
            "IP changed from 'x' to 'y' by z\n"
        ));
        assert!(!is_refusal("show backend", "# name\nbk\n"));
        assert!(is_refusal("show sess", "Permission denied\n"));
        assert!(is_refusal("get weight a/b", "No such server.\n"));
        assert!(is_refusal(
            "set maxconn frontend f 1",
            "Integer value expected.\n"
        ));
    }
}
