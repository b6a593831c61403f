//! The table.

use std::time::Duration;

use crate::config::Layout;
use crate::harness::machine;

/// What one proxy needed.
pub(crate) struct Report {
    /// From the start of the process until its last frontend accepted.
    pub(crate) ready: Duration,
    pub(crate) resident_kib: u64,
    /// The most seen open at once.
    pub(crate) descriptors: usize,
    /// Processor time of all threads.
    pub(crate) cpu: Duration,
    /// Processor time of the thread that the process began with.
    pub(crate) control: Duration,
    pub(crate) window: Duration,
    pub(crate) checks: usize,
    /// Sorted.
    pub(crate) lateness: Vec<Duration>,
}

pub(crate) fn print_head(layout: &Layout, window: Duration, descriptors: Option<u64>) {
    println!("{}\n", machine::describe());
    println!(
        "{} servers in {} backends, each checked every {:?}, over {window:?}; at most {} descriptors; load average {}\n",
        layout.servers,
        layout.backends,
        layout.interval,
        descriptors.map_or("unlimited".to_owned(), |limit| limit.to_string()),
        machine::load_average(),
    );
    println!(
        "{:<9} {:>8} {:>9} {:>11} {:>8} {:>12} {:>9} {:>9} {:>9} {:>9}",
        "proxy",
        "ready",
        "memory",
        "descriptors",
        "CPU",
        "main thread",
        "checks/s",
        "late p50",
        "late p99",
        "late max"
    );
}

impl Report {
    pub(crate) fn print(&self, proxy: &str) {
        let late = |part: usize| {
            let last = self.lateness.len().saturating_sub(1);
            let time = self.lateness.get(last * part / 1000);
            time.map_or(String::new(), |t| {
                format!("{:.1} ms", t.as_secs_f64() * 1000.0)
            })
        };
        println!(
            "{proxy:<9} {:>5.0} ms {:>5.1} MiB {:>11} {:>6.1} % {:>10.1} % {:>9.0} {:>9} {:>9} {:>9}",
            self.ready.as_secs_f64() * 1000.0,
            self.resident_kib as f64 / 1024.0,
            self.descriptors,
            self.of_window(self.cpu),
            self.of_window(self.control),
            self.checks as f64 / self.window.as_secs_f64(),
            late(500),
            late(990),
            late(1000),
        );
    }

    /// In percent of one core.
    fn of_window(&self, time: Duration) -> f64 {
        100.0 * time.as_secs_f64() / self.window.as_secs_f64()
    }
}
