//! Checks in the log (configuration.txt, "option log-health-checks").

use super::Supervisor;
use crate::events::Reason;
use crate::health::judge::CheckHealth;
use crate::topology::Server;
use crate::topology::status::CheckStatus;

/// What a check may change and what it found, before it was judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) health: Option<CheckHealth>,
    pub(super) status: Option<CheckStatus>,
}

impl Supervisor {
    /// Logs a check that found something else than the one before, or that changed how near the
    /// server is to going down or coming up.
    pub(super) fn log_check(&self, server: &Server, before: Before) {
        let wanted = self
            .backend(server)
            .is_some_and(|backend| backend.config.log_health_checks);
        let status = server.status();
        let (Some(health), Some(report)) = (status.check, status.last_check) else {
            return;
        };
        let same = before.status == Some(report.status);
        if !wanted || same && before.health.map(|health| health.health) == Some(health.health) {
            return;
        }
        let backup = if server.config.backup { "backup " } else { "" };
        let how = if report.status.passed() {
            "succeeded"
        } else {
            "failed"
        };
        let position = position(health);
        tracing::info!(
            target: "check",
            "Health check for {backup}server {} {how}, reason: {}, status: {position}.",
            server.path,
            Reason::Check(report)
        );
    }
}

/// Such as `3/3 UP` or `1/2 DOWN`: how far it is from the other state.
fn position(health: CheckHealth) -> String {
    let CheckHealth { health, rise, fall } = health;
    if health >= rise {
        format!("{}/{fall} UP", health - rise + 1)
    } else {
        format!("{health}/{rise} DOWN")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_haproxys() {
        let of = |health| {
            position(CheckHealth {
                health,
                rise: 2,
                fall: 3,
            })
        };
        assert_eq!(
            [0, 1, 2, 4].map(of),
            ["0/2 DOWN", "1/2 DOWN", "1/3 UP", "3/3 UP"]
        );
    }
}
