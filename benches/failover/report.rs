//! The table.

use std::time::{Duration, Instant};

use crate::Fault;
use crate::load::{Connection, Load};

/// Slower than what anybody should notice of a failover.
const SLOW: Duration = Duration::from_millis(50);

/// What became of a load.
pub(crate) struct Report {
    pub(crate) connections: Vec<Connection>,
    /// When the primaries had failed.
    pub(crate) failed: Instant,
    /// From the fault until both primaries were marked DOWN.
    pub(crate) noticed: Option<Duration>,
}

pub(crate) fn print_head(load: &Load, fault: Fault) {
    let (rate, seconds) = (load.rate, load.duration.as_secs());
    println!(
        "Both primaries fail ({fault:?}) after {} of {seconds} s at {rate} connections/s: {} connections.\n",
        load.duration.as_secs_f32() / 2.0,
        load.connections()
    );
    println!(
        "{:<10} {:>8} {:>5} {:>11} {:>11} {:>11} {:>12}",
        "proxy", "failed", "cut", "slowest", "p99", "over 50 ms", "marked DOWN"
    );
}

impl Report {
    pub(crate) fn print(&self, proxy: &str) {
        let lost = self.connections.iter().filter(|c| !c.answered);
        let (cut, failed): (Vec<_>, Vec<_>) = lost.partition(|c| c.began < self.failed);
        let (cut, failed) = (cut.len(), failed.len());
        let mut times: Vec<_> = self.connections.iter().map(|c| c.took).collect();
        times.sort();
        let slow = times.iter().filter(|&&time| time > SLOW).count();
        let noticed = self
            .noticed
            .map_or("never".to_owned(), |n| format!("{:.2} s", n.as_secs_f32()));
        println!(
            "{proxy:<10} {failed:>8} {cut:>5} {:>11} {:>11} {slow:>11} {noticed:>12}",
            milliseconds(times.last()),
            milliseconds(times.get(times.len() * 99 / 100)),
        );
    }
}

fn milliseconds(time: Option<&Duration>) -> String {
    time.map_or(String::new(), |time| {
        format!("{:.1} ms", time.as_secs_f32() * 1000.0)
    })
}
