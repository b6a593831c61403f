//! Programs that checks and hooks run: without a shell, bounded in time, and in a process group
//! of their own so that nothing of them stays behind.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::finding::words;

/// The most that is kept of a program's output; the rest is read and dropped.
const OUTPUT: usize = 4096;

/// How long the end of the output may be awaited after the program has ended, in case a process
/// that it left behind holds the output open.
const LEFTOVERS: Duration = Duration::from_millis(50);

/// What became of a program.
#[derive(Debug)]
pub(crate) struct Run {
    /// How it ended; `None` if it did not end in time and was killed.
    pub(crate) ended: Option<io::Result<ExitStatus>>,
    /// The first line of what it said that is not empty; may be empty.
    pub(crate) first_line: String,
}

impl Run {
    /// `info`, and what the program said if it did.
    pub(crate) fn with_first_line(&self, info: &str) -> String {
        match self.first_line.as_str() {
            "" => info.to_owned(),
            line => format!("{info}: {line}"),
        }
    }
}

/// How a program ended that did not end well.
pub(crate) fn exit_words(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => format!("killed by signal {}", status.signal().unwrap_or_default()),
    }
}

/// Runs a program, which may read `input`, and kills it with its children if it has not ended
/// by `until`, or if this future is dropped.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn run(mut command: Command, input: &[u8], until: Instant) -> io::Result<Run> {
    command.stdin(if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    let (mut child, output, group) = start(command)?;
    let mut said = Vec::new();
    let ended = timeout_at(until, end(&mut child, input, output, &mut said)).await;
    // Dropping `group` kills what is left.
    if matches!(ended, Ok(Ok(_))) {
        group.has_ended();
    }
    Ok(Run {
        ended: ended.ok(),
        first_line: first_line(&said),
    })
}

/// Starts the program in a process group of its own, with what it says in one pipe.
fn start(mut command: Command) -> io::Result<(Child, Receiver, Group)> {
    let (read, write) = io::pipe()?;
    let output = Receiver::from_owned_fd(read.into())?;
    command
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
    Ok((child, output, group))
}

/// A process group that is killed unless its program ended by itself, also when the run is
/// given up because nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails only if all of the group has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Gives the program its input and reads its output until it ends.
async fn end(
    child: &mut Child,
    input: &[u8],
    mut output: Receiver,
    said: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let writing = async {
        if let Some(mut stdin) = stdin {
            // A program need not read it.
            let _ = stdin.write_all(input).await;
        }
    };
    let reading = async {
        let mut buffer = [0; 512];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            let room = OUTPUT - said.len();
            said.extend_from_slice(&buffer[..count.min(room)]);
        }
    };
    let talking = async { tokio::join!(writing, reading) };
    tokio::pin!(talking);
    let status = tokio::select! {
        biased;
        _ = &mut talking => return child.wait().await,
        status = child.wait() => status?,
    };
    let _ = timeout(LEFTOVERS, talking).await;
    Ok(status)
}

fn first_line(said: &[u8]) -> String {
    let mut lines = said.split(|&byte| byte == b'\n').map(words);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}
