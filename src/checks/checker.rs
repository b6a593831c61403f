//! The loop that checks one server.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, sleep_until};

use super::probe::Probe;
use crate::config::{CheckConfig, ServerTimeouts};
use crate::supervisor::Supervisor;
use crate::topology::Server;

/// Checks in flight before the first sessions; each holds a descriptor.
pub const AT_ONCE: usize = 512;

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
                places: Arc::new(Semaphore::new(AT_ONCE)),
                _pending: pending,
            },
            all_known,
        )
    }
}

/// Checks `server` for ever; the intervals vary by `spread` percent.
pub async fn run(
    server: Arc<Server>,
    timeouts: ServerTimeouts,
    first: First,
    spread: u8,
    supervisor: Rc<Supervisor>,
) {
    let Some(check) = server.config.check.clone() else {
        return;
    };
    let probe = Probe::new(&check, &timeouts);
    match first {
        First::After(delay) => sleep(delay).await,
        First::AtOnce(known, delay) => {
            let place = known.places.acquire().await;
            if !server.is_unattended() {
                let report = probe.run(&server).await;
                supervisor.check_finished(&server, report);
            }
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
    let mut hurried = false;
    loop {
        while server.is_unattended() {
            server.check_asked_for().await;
        }
        let (began, checked) = (Instant::now(), server.address());
        let report = if hurried {
            probe.run_hurried(&server).await
        } else {
            probe.run(&server).await
        };
        if server.address() != checked {
            // It says nothing of the machine that is meant now.
            continue;
        }
        hurried &= !report.status.passed();
        let mut interval = varied(supervisor.check_finished(&server, report), spread, random());
        if hurried && server.is_up() {
            // Traffic fails and so does the check: clients should not wait for the verdict.
            interval = interval.min(spacing(&check));
        }
        hurried |= wait(&server, began, interval, &supervisor).await;
    }
}

/// Waits until `interval` after `began`, or until traffic asks for a check. Returns whether it
/// did.
async fn wait(
    server: &Arc<Server>,
    began: Instant,
    interval: Duration,
    supervisor: &Rc<Supervisor>,
) -> bool {
    let mut asked = false;
    let mut due = began + interval;
    loop {
        tokio::select! {
            () = sleep_until(due.into()) => return asked,
            () = server.check_asked_for() => asked = true,
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

/// The interval, longer or shorter by up to `spread` percent (configuration.txt,
/// "spread-checks"); `random` is any number.
fn varied(interval: Duration, spread: u8, random: u32) -> Duration {
    let part = f64::from(random) / f64::from(u32::MAX) * 2.0 - 1.0;
    interval.mul_f64(1.0 + part * f64::from(spread) / 100.0)
}

/// Good enough to keep checks out of step.
fn random() -> u32 {
    RandomState::new().hash_one(()) as u32
}

/// The least time between two checks, however loudly traffic asks.
fn spacing(check: &CheckConfig) -> Duration {
    (check.interval / 40).clamp(Duration::from_millis(10), Duration::from_millis(50))
}

/// How long after its first check a server is checked again, if `delay` is its part of the
/// shortest interval.
pub fn after_first(server: &Server, delay: Duration) -> Duration {
    let check = server.config.check.as_ref();
    check.map_or(delay, |check| delay.max(spacing(check)))
}

/// When each of `count` servers gets its first check: spread over the smallest interval, so
/// that not all of them are checked at the same moment for ever after.
pub fn first_delay(index: usize, count: usize, smallest_interval: Duration) -> Duration {
    smallest_interval.mul_f64(index as f64 / count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn intervals_vary_by_so_many_percent() {
        assert_eq!(varied(MS(2000), 0, 12345), MS(2000));
        assert_eq!(varied(MS(2000), 50, 0), MS(1000));
        assert_eq!(varied(MS(2000), 50, u32::MAX), MS(3000));
    }

    #[test]
    fn first_checks_are_spread_over_the_smallest_interval() {
        let delays: Vec<_> = (0..4).map(|i| first_delay(i, 4, MS(2000))).collect();
        assert_eq!(delays, [MS(0), MS(500), MS(1000), MS(1500)]);
    }
}
