//! What the service manager is told (`sd_notify(3)`); nothing where `NOTIFY_SOCKET` is not set.

use sd_notify::NotifyState;

/// Says that sessions are accepted, with a line for `systemctl status`.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that it reloads, until it is [`ready`] again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(target: "process", "The time cannot be told: {error}."),
    }
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

/// Says that all is well, for `WatchdogSec`.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}
