//! When a connection ends that makes no progress.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The end of a connection's time, which an answer without an end may put off. Clones share it.
#[derive(Debug, Clone)]
pub struct Deadline {
    lifetime: Duration,
    end: Arc<Mutex<Instant>>,
}

impl Deadline {
    /// A deadline after `lifetime` from now.
    pub fn after(lifetime: Duration) -> Self {
        Self {
            lifetime,
            end: Arc::new(Mutex::new(Instant::now() + lifetime)),
        }
    }

    /// Has the lifetime begin anew.
    pub fn put_off(&self) {
        let end = Instant::now() + self.lifetime;
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// Ends when a lifetime has passed since it last began.
    pub async fn passed(&self) {
        loop {
            let end = self.end();
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    fn end(&self) -> Instant {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_passes_when_nobody_puts_it_off() {
        let deadline = Deadline::after(Duration::from_secs(60));
        let (begun, other) = (Instant::now(), deadline.clone());
        let putting_off = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            other.put_off();
        };
        tokio::join!(deadline.passed(), putting_off);
        assert_eq!(begun.elapsed().as_secs(), 110);
    }
}
