//! Network and process namespaces of a bench's own.
//!
//! Inside, packets can be dropped without anybody else's noticing, and the kernel ends every
//! process when the bench ends, however that happens: nothing has to be put back afterwards.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{self, Command, ExitCode, Stdio};
use std::thread;

use super::temp::TempDir;

/// Set in the environment of the program that runs inside.
const MARK: &str = "ENCLOSED_BENCH";

const ALONE: &[&str] = &["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// For users other than root, where the system lets them.
const AS_USER: &[&str] = &["--user", "--map-root-user"];

/// Where this program runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// In namespaces of its own.
    Inside,
    /// Where it was started, because namespaces cannot be made here.
    Outside,
    /// It has been run inside, to its end.
    Done(ExitCode),
}

/// Runs this program once more inside new namespaces, if they can be made.
pub(crate) fn enter() -> Place {
    if env::var_os(MARK).is_some() {
        end_with_the_outer_program();
        return Place::Inside;
    }
    let attempts = [ALONE.to_vec(), [AS_USER, ALONE].concat()];
    match attempts.into_iter().find(|options| is_possible(options)) {
        Some(options) => Place::Done(run_inside(&options)),
        None => Place::Outside,
    }
}

fn is_possible(options: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command
        .args(options)
        .args(["ip", "link", "set", "lo", "up"]);
    command.output().is_ok_and(|output| output.status.success())
}

fn run_inside(options: &[&str]) -> ExitCode {
    let directory = TempDir::new();
    let script = r#"ip link set lo up && exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", script]);
    command.arg(env::current_exe().expect("this program"));
    command.args(env::args_os().skip(1));
    command.env(MARK, "1").env("TMPDIR", directory.path());
    // Nothing is ever written to it: its end is what the inner program waits for.
    let mut child = command.stdin(Stdio::piped()).spawn().expect("unshare");
    let status = {
        let _open = child.stdin.take();
        child.wait().expect("a child's state")
    };
    match status.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// A signal ends the outer program only, and with it the pipe that is this one's input.
fn end_with_the_outer_program() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let directory = env::var_os("TMPDIR").map(PathBuf::from);
        let _ = directory.map(fs::remove_dir_all);
        process::exit(1);
    });
}
