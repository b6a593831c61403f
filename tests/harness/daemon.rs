//! A child process that runs until it is told to stop.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{DEADLINE, wait_for, wait_within};

/// A running program with all that it printed so far.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Daemon {
    /// Starts `command` without any input.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        Self::spawn_with(name, command, Stdio::null())
    }

    /// Starts `command` with this as its standard input.
    pub(crate) fn spawn_with(name: &str, command: &mut Command, input: Stdio) -> Self {
        let command = command.stdin(input);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("a pipe"));
        let stderr = Lines::collect(child.stderr.take().expect("a pipe"));
        Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The lines printed on standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// The lines printed on standard error so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
    }

    /// Waits for its end and for the last of its output.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("{} should end", self.name);
        let status = wait_for(&what, || self.child.try_wait().expect("a child's state"));
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        wait_within(limit, || self.child.try_wait().ok().flatten()).is_some()
    }

    fn show(&self) {
        for line in self.stdout().iter().chain(&self.stderr()) {
            eprintln!("{}: {line}", self.name);
        }
    }
}

impl Drop for Daemon {
    /// Ends the program, politely first: nginx takes its workers with it only then.
    fn drop(&mut self) {
        if thread::panicking() {
            self.show();
        }
        if self.ends_within(Duration::ZERO) {
            return;
        }
        let _ = kill_process(self.pid(), Signal::TERM);
        // A second one tells a draining proxy to stop at once; a stopped process must go on first.
        let _ = kill_process(self.pid(), Signal::CONT);
        let _ = kill_process(self.pid(), Signal::TERM);
        if !self.ends_within(DEADLINE) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The lines of a pipe, read as they come by a thread of their own.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                sink.lock().expect("no reader panics").push(line);
            }
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
    }
}
