//! The check by a program (`option external-check`).

use tokio::process::Command;
use tokio::sync::Semaphore;

use super::finding::{Finding, describe};
use super::program;
use super::target::Target;
use crate::config::check::ExternalCheck;
use crate::topology::Server;
use crate::topology::status::CheckStatus;

/// Programs that run at once, over all servers. The limit is one of the process, so it lives as
/// long as the process does.
static PLACES: Semaphore = Semaphore::const_new(32);

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
    let deadline = target.deadline();
    let ran = program::run(command(target, check, server), &[], deadline.at).await;
    let run = ran.map_err(|error| {
        let info = format!(
            "{} cannot be run: {}",
            check.command.display(),
            describe(&error)
        );
        Finding::new(CheckStatus::ProcessError, info)
    })?;
    match &run.ended {
        None => {
            let info = deadline.passed("killed: it did not end");
            let info = run.with_first_line(&info);
            Err(Finding::new(CheckStatus::ProcessTimeout, info))
        }
        Some(Err(error)) => Err(Finding::new(CheckStatus::ProcessError, describe(error))),
        Some(Ok(status)) if status.success() => {
            Ok(Finding::new(CheckStatus::ProcessOk, run.first_line).code(0))
        }
        Some(Ok(status)) => {
            let info = run.with_first_line(&program::exit_words(*status));
            let finding = Finding::new(CheckStatus::ProcessError, info);
            Err(match status.code() {
                Some(code) => finding.code(code as u16),
                None => finding,
            })
        }
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
