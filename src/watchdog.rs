//! Whether the workers live. One that is stuck holds up all of its sessions, so it is said in the
//! log and by `/healthz`, and the service manager, if it wants pulses (`WatchdogSec`), gets none.

use std::time::{Duration, Instant};

use tokio::time::{interval, timeout};

use crate::admin::health::{Point, Readiness};
use crate::notify;
use crate::proxy::Sessions;

/// How long a worker may take to answer, and the pause between two questions.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches every worker until the process ends.
pub fn start(sessions: &Sessions, readiness: &Readiness) {
    // As sd_watchdog_enabled(3) recommends.
    let pulse = sd_notify::watchdog_enabled().map(|patience| patience / 2);
    let every = pulse.map_or(PATIENCE, |pulse| pulse.min(PATIENCE));
    for worker in 0..sessions.workers() {
        let (sessions, readiness) = (sessions.clone(), readiness.clone());
        tokio::task::spawn_local(async move { watch(worker, &sessions, &readiness, every).await });
    }
    if let Some(pulse) = pulse {
        tokio::task::spawn_local(pulses(readiness.clone(), pulse));
    }
}

async fn pulses(readiness: Readiness, every: Duration) {
    let mut pulses = interval(every);
    loop {
        pulses.tick().await;
        if readiness.stuck_workers() == 0 {
            notify::alive();
        }
    }
}

/// Asks `worker` again and again something that costs it nothing.
async fn watch(worker: usize, sessions: &Sessions, readiness: &Readiness, every: Duration) {
    let mut questions = interval(every);
    loop {
        questions.tick().await;
        let asked = Instant::now();
        let mut answer = std::pin::pin!(sessions.list(worker, usize::MAX));
        let answer = if let Ok(answer) = timeout(every, answer.as_mut()).await {
            answer
        } else {
            tracing::error!(
                target: "process",
                "Worker {worker} has not answered for {every:?}: its sessions stand still."
            );
            readiness.worker_is_stuck();
            let answer = answer.await;
            readiness.worker_goes_on();
            let stood = asked.elapsed();
            tracing::error!(target: "process", "Worker {worker} stood still for {stood:.1?}.");
            answer
        };
        if answer.is_none() {
            if readiness.point() != Point::Stopping {
                tracing::error!(target: "process", "Worker {worker} is gone.");
                readiness.worker_is_stuck();
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::registry::Query;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_is_told_of_until_it_does() {
        let (sessions, mut queues) = Sessions::channel(1);
        let readiness = Readiness::default();
        let mut watching = std::pin::pin!(watch(0, &sessions, &readiness, PATIENCE));
        let silent = timeout(Duration::from_secs(60), watching.as_mut()).await;
        assert!(silent.is_err());
        assert_eq!(readiness.stuck_workers(), 1);
        let Some(Query::List(_, reply)) = queues[0].recv().await else {
            panic!("it should be asked for its sessions");
        };
        readiness.reach(Point::Stopping);
        drop(reply);
        watching.await;
        assert_eq!(readiness.stuck_workers(), 0);
    }
}
