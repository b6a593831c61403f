//! The check by a program (`option external-check`).

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::{Duration, timeout};

use super::finding::{Finding, describe, words};
use super::target::Target;
use crate::config::check::ExternalCheck;
use crate::topology::Server;
use crate::topology::status::CheckStatus;

/// Programs that run at once, over all servers. The limit is one of the process, so it lives as
/// long as the process does.
static PLACES: Semaphore = Semaphore::const_new(32);

/// The most that is kept of a program's output; the rest is read and dropped.
const OUTPUT: usize = 4096;

/// How long the end of the output may be awaited after the program has ended, in case a process
/// that it left behind holds the output open.
const LEFTOVERS: Duration = Duration::from_millis(50);

/// What HAProxy writes for an address that a backend does not have.
const NOT_USED: &str = "NOT_USED";

/// Waits for one of the places in which programs run; a check's time begins after that.
pub(super) async fn place() -> Option<tokio::sync::SemaphorePermit<'static>> {
    // Never closed, so always acquired.
    PLACES.acquire().await.ok()
}

pub(super) async fn check(
    target: &Target<'_>,
    check: &ExternalCheck,
    server: &Server,
) -> Result<Finding, Finding> {
    let (mut child, output, group) = start(command(target, check, server)).map_err(|error| {
        let info = format!(
            "{} cannot be run: {}",
            check.command.display(),
            describe(&error)
        );
        Finding::new(CheckStatus::ProcessError, info)
    })?;
    let mut said = Vec::new();
    let deadline = target.deadline();
    let ended = deadline.wait(end(&mut child, output, &mut said)).await;
    let first_line = first_line(&said);
    match ended {
        // Dropping `group` kills what is left.
        None => {
            let info = deadline.passed("killed: it did not end");
            Err(Finding::new(
                CheckStatus::ProcessTimeout,
                with(info, &first_line),
            ))
        }
        Some(Err(error)) => Err(Finding::new(CheckStatus::ProcessError, describe(&error))),
        Some(Ok(status)) => {
            group.has_ended();
            judge(status, first_line)
        }
    }
}

fn judge(status: ExitStatus, first_line: String) -> Result<Finding, Finding> {
    match status.code() {
        Some(0) => Ok(Finding::new(CheckStatus::ProcessOk, first_line).code(0)),
        Some(code) => {
            let info = with(format!("exit code {code}"), &first_line);
            Err(Finding::new(CheckStatus::ProcessError, info).code(code as u16))
        }
        None => {
            let signal = status.signal().unwrap_or_default();
            let info = with(format!("killed by signal {signal}"), &first_line);
            Err(Finding::new(CheckStatus::ProcessError, info))
        }
    }
}

fn with(info: String, first_line: &str) -> String {
    match first_line {
        "" => info,
        line => format!("{info}: {line}"),
    }
}

/// The program with the arguments and the environment that HAProxy gives it
/// (configuration.txt, "external-check command"). Nothing else of this process's environment is
/// passed on, because passwords may stand in it.
fn command(target: &Target<'_>, check: &ExternalCheck, server: &Server) -> Command {
    let (backend, name) = server.path.split_once('/').unwrap_or_default();
    let address = target.address.ip().to_string();
    let port = target.address.port().to_string();
    let mut command = Command::new(&check.command);
    command
        .args([NOT_USED, NOT_USED, &address, &port])
        .args(&check.arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HAPROXY_PROXY_NAME", backend)
        .env(
            "HAPROXY_PROXY_ID",
            (server.id.backend.index() + 1).to_string(),
        )
        .env("HAPROXY_PROXY_ADDR", "")
        .env("HAPROXY_PROXY_PORT", "")
        .env("HAPROXY_SERVER_NAME", name)
        .env("HAPROXY_SERVER_ID", (server.id.index() + 1).to_string())
        .env("HAPROXY_SERVER_ADDR", address)
        .env("HAPROXY_SERVER_PORT", port)
        .env("HAPROXY_SERVER_MAXCONN", "0")
        .env("HAPROXY_SERVER_CURCONN", server.counters.open().to_string());
    command
}

/// Starts the program in a process group of its own, with what it says in one pipe.
fn start(mut command: Command) -> io::Result<(Child, Receiver, Group)> {
    let (read, write) = io::pipe()?;
    let output = Receiver::from_owned_fd(read.into())?;
    command
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
    Ok((child, output, group))
}

/// A process group that is killed unless its program ended by itself, also when the check is
/// given up because its server is gone.
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

/// Reads the output until the program ends.
async fn end(
    child: &mut Child,
    mut output: Receiver,
    said: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let reading = async {
        let mut buffer = [0; 512];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            let room = OUTPUT - said.len();
            said.extend_from_slice(&buffer[..count.min(room)]);
        }
    };
    tokio::pin!(reading);
    let status = tokio::select! {
        biased;
        () = &mut reading => return child.wait().await,
        status = child.wait() => status?,
    };
    let _ = timeout(LEFTOVERS, reading).await;
    Ok(status)
}

fn first_line(said: &[u8]) -> String {
    let mut lines = said.split(|&byte| byte == b'\n').map(words);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}
