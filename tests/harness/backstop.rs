//! The program under test.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;

use super::daemon::Daemon;
use super::session_log::SessionLine;
use super::temp::TempDir;
use super::wait::{wait_for, wait_until};

/// The line that says that every listener accepts.
const READY: &str = "Backstop is ready";

/// A command for the built program, free of settings from the environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstop"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BACKSTOP_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a run left behind that came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program with these arguments to its end, which must come by itself.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let mut daemon = Daemon::spawn("backstop", command().args(arguments));
    let code = daemon.wait().code();
    Ended {
        code,
        stdout: daemon.stdout().join("\n"),
        stderr: daemon.stderr().join("\n"),
    }
}

/// A running Backstop. Its output is shown when a test that holds one panics.
#[derive(Debug)]
pub(crate) struct Backstop {
    daemon: Daemon,
    // Declared after the daemon, so that it goes after the process ended.
    directory: TempDir,
}

impl Backstop {
    /// Starts with this configuration and waits until the listeners accept.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_by(command(), config)
    }

    /// The same by a command that may set an environment.
    pub(crate) fn start_by(command: Command, config: &str) -> Self {
        Self::start_with(Stdio::null(), command, config)
    }

    /// The same with this as descriptor 0, standard input.
    pub(crate) fn start_with(input: impl Into<Stdio>, command: Command, config: &str) -> Self {
        let mut backstop = Self::spawn_by(command, input.into(), config);
        wait_until("Backstop should be ready or end", || {
            backstop.log().iter().any(|line| line.contains(READY)) || !backstop.daemon.is_running()
        });
        assert!(backstop.daemon.is_running(), "Backstop ended at once");
        backstop
    }

    /// Starts with this configuration and waits for nothing.
    pub(crate) fn spawn(config: &str) -> Self {
        Self::spawn_by(command(), Stdio::null(), config)
    }

    /// The same with this as descriptor 0, standard input.
    pub(crate) fn spawn_with(input: impl Into<Stdio>, config: &str) -> Self {
        Self::spawn_by(command(), input.into(), config)
    }

    fn spawn_by(mut command: Command, input: Stdio, config: &str) -> Self {
        let directory = TempDir::new();
        let file = directory.write("backstop.toml", config);
        let daemon = Daemon::spawn_with("backstop", command.arg("-f").arg(file), input);
        Self { daemon, directory }
    }

    /// Writes another configuration to its file, which it has to be told of.
    pub(crate) fn configure(&self, config: &str) {
        self.directory.write("backstop.toml", config);
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.daemon.stdout()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.daemon.stderr()
    }

    /// Waits for a log line with `part` in it.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        wait_for(&format!("a log line with `{part}`"), || {
            self.log().into_iter().find(|line| line.contains(part))
        })
    }

    /// The sessions that ended so far.
    pub(crate) fn sessions(&self) -> Vec<SessionLine> {
        let lines = self.log();
        lines.iter().filter_map(|l| SessionLine::parse(l)).collect()
    }

    /// Waits until at least `count` sessions ended, and returns them.
    pub(crate) fn wait_for_sessions(&self, count: usize) -> Vec<SessionLine> {
        wait_for(&format!("{count} sessions in the log"), || {
            Some(self.sessions()).filter(|sessions| sessions.len() >= count)
        })
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        self.daemon.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !self.daemon.is_running()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.daemon.wait()
    }

    /// Tells it to stop and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = fs::read_to_string(path).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let value = line.and_then(|line| line.split_whitespace().next());
        value.expect("VmRSS").parse().expect("a number of KiB")
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid().as_raw_nonzero());
        fs::read_dir(path).expect("a running process").count()
    }
}
