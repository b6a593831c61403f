//! What the service manager is told (`sd_notify(3)`), and that the workers live.
//!
//! Nothing happens where nobody asked, which `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{interval, timeout};

use crate::proxy::Sessions;

/// Says that sessions are accepted, with a line for `systemctl status`.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that another process has taken over.
pub fn succeeded_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Says that it stops: no new sessions.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("Open sessions come to their end."),
    ]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(target: "process", "The service manager cannot be told: {error}.");
    }
}

/// Says again and again that every worker answers, if the service manager wants to hear it
/// (`WatchdogSec`). A worker that is stuck ends that, and the service manager ends the process.
pub async fn watchdog(sessions: Sessions) {
    if let Some(patience) = sd_notify::watchdog_enabled() {
        // As sd_watchdog_enabled(3) recommends.
        pulse(sessions, patience / 2).await;
    }
}

async fn pulse(sessions: Sessions, every: Duration) {
    let mut pulses = interval(every);
    loop {
        pulses.tick().await;
        match timeout(every, all_answer(&sessions)).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => tracing::error!(target: "process", "A worker is gone."),
            Err(_) => tracing::error!(
                target: "process",
                "A worker has not answered for {every:?}; the service manager is not told that \
                 all is well."
            ),
        }
    }
}

/// Whether every worker answers a question that costs it nothing.
async fn all_answer(sessions: &Sessions) -> bool {
    for worker in 0..sessions.workers() {
        if sessions.list(worker, usize::MAX).await.is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_or_is_gone_is_noticed() {
        let (sessions, queues) = Sessions::channel(2);
        let silent = timeout(Duration::from_secs(60), all_answer(&sessions)).await;
        assert!(silent.is_err());
        drop(queues);
        assert!(!all_answer(&sessions).await);
    }
}
