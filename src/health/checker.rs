//! The loop that checks one server.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, sleep_until};

use super::tcp;
use crate::config::{CheckConfig, ServerTimeouts};
use crate::supervisor::Supervisor;
use crate::topology::Server;
use crate::topology::status::{CheckReport, CheckStatus};

/// Checks in flight before the first sessions; each holds a descriptor.
const FIRST_AT_ONCE: usize = 512;

/// When a server is checked for the first time.
#[derive(Debug)]
pub enum First {
    /// Before the first session; the second check comes after this long.
    AtOnce(Known, Duration),
    /// After this long.
    After(Duration),
}

/// A check's part in keeping the start waiting: until every clone is dropped.
#[derive(Debug, Clone)]
pub struct Known {
    places: Arc<Semaphore>,
    _pending: mpsc::Sender<()>,
}

impl Known {
    /// One to clone for each check, and the receiver that ends when all clones are gone.
    pub fn channel() -> (Self, mpsc::Receiver<()>) {
        let (pending, all_known) = mpsc::channel(1);
        (
            Self {
                places: Arc::new(Semaphore::new(FIRST_AT_ONCE)),
                _pending: pending,
            },
            all_known,
        )
    }
}

/// Checks `server` for ever.
pub async fn run(
    server: Arc<Server>,
    timeouts: ServerTimeouts,
    first: First,
    supervisor: Rc<Supervisor>,
) {
    let Some(check) = server.config.check.clone() else {
        return;
    };
    let limit = time_limit(&check, &timeouts);
    match first {
        First::After(delay) => sleep(delay).await,
        First::AtOnce(known, delay) => {
            let place = known.places.acquire().await;
            let report = check_once(&server, &check, limit).await;
            supervisor.check_finished(&server, report);
            drop(place);
            drop(known);
            wait(
                &server,
                Instant::now(),
                delay.max(spacing(&check)),
                &supervisor,
            )
            .await;
        }
    }
    loop {
        while server.in_maintenance() {
            server.check_asked_for().await;
        }
        let began = Instant::now();
        let report = check_once(&server, &check, limit).await;
        let interval = supervisor.check_finished(&server, report);
        wait(&server, began, interval, &supervisor).await;
    }
}

/// Waits until `interval` after `began`, or until traffic asks for a check.
async fn wait(
    server: &Arc<Server>,
    began: Instant,
    interval: Duration,
    supervisor: &Rc<Supervisor>,
) {
    let mut due = began + interval;
    loop {
        tokio::select! {
            () = sleep_until(due.into()) => return,
            () = server.check_asked_for() => {}
        }
        let check = server.config.check.as_ref();
        let soonest = check.map_or(interval, spacing);
        match server
            .take_observed()
            .and_then(|seen| supervisor.observed(server, seen))
        {
            Some(interval) => due = due.min(Instant::now() + interval),
            None => due = due.min(began + soonest),
        }
    }
}

/// The least time between two checks, however loudly traffic asks.
fn spacing(check: &CheckConfig) -> Duration {
    (check.interval / 40).clamp(Duration::from_millis(10), Duration::from_millis(50))
}

/// When each of `count` servers gets its first check: spread over the smallest interval, so
/// that not all of them are checked at the same moment for ever after.
pub fn first_delay(index: usize, count: usize, smallest_interval: Duration) -> Duration {
    smallest_interval.mul_f64(index as f64 / count.max(1) as f64)
}

/// `timeout check` set: connecting may take the smaller of the connect timeout and the
/// interval; unset: the interval (configuration.txt, "timeout check").
fn time_limit(check: &CheckConfig, timeouts: &ServerTimeouts) -> Duration {
    let connect = timeouts.check.and(timeouts.connect);
    check
        .timeout
        .unwrap_or_else(|| connect.map_or(check.interval, |c| c.min(check.interval)))
}

async fn check_once(server: &Server, check: &CheckConfig, limit: Duration) -> CheckReport {
    let began = Instant::now();
    match address(server, check).await {
        Ok(address) => tcp::check(address, limit).await,
        Err(host) => CheckReport {
            status: CheckStatus::SocketError,
            info: format!("the name \"{host}\" does not resolve"),
            duration: began.elapsed(),
        },
    }
}

/// Where to check: the server itself unless the check has a host or port of its own.
async fn address(server: &Server, check: &CheckConfig) -> Result<SocketAddr, String> {
    let port = check.port.unwrap_or(server.config.address.port);
    let own = match &check.host {
        Some(host) => crate::resolver::look_up(host).await,
        None => server.address().map(|address| address.ip()),
    };
    let host = check.host.as_ref().unwrap_or(&server.config.address.host);
    own.map(|ip| SocketAddr::new(ip, port))
        .ok_or_else(|| host.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn first_checks_are_spread_over_the_smallest_interval() {
        let delays: Vec<_> = (0..4).map(|i| first_delay(i, 4, MS(2000))).collect();
        assert_eq!(delays, [MS(0), MS(500), MS(1000), MS(1500)]);
    }

    #[test]
    fn time_limits() {
        let check = CheckConfig::default();
        let timeouts = ServerTimeouts {
            connect: Some(MS(200)),
            ..Default::default()
        };
        assert_eq!(time_limit(&check, &timeouts), check.interval);
        let with_check = ServerTimeouts {
            check: Some(MS(300)),
            ..timeouts
        };
        assert_eq!(time_limit(&check, &with_check), MS(200));
        let own = CheckConfig {
            timeout: Some(MS(50)),
            ..check
        };
        assert_eq!(time_limit(&own, &with_check), MS(50));
    }
}
