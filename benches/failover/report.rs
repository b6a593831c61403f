//! The table.

use std::time::{Duration, Instant};

use crate::faults::Fault;
use crate::harness::machine;
use crate::load::{Connection, Load};

/// Slower than what anybody should notice of a failover.
const SLOW: Duration = Duration::from_millis(50);

/// What became of a load.
pub(crate) struct Report {
    pub(crate) connections: Vec<Connection>,
    /// When the servers had failed.
    pub(crate) failed: Instant,
    /// From the fault until all that failed were marked DOWN.
    pub(crate) noticed: Option<Duration>,
}

pub(crate) fn print_machine() {
    println!("{}", machine::describe());
}

pub(crate) fn print_head(load: &Load, fault: Fault, victims: usize) {
    let (rate, seconds) = (load.rate, load.duration.as_secs());
    println!(
        "\n{victims} of 2 primaries {} after {} of {seconds} s at {rate} connections/s; load average {}\n",
        fault.describe(),
        load.duration.as_secs_f32() / 2.0,
        machine::load_average(),
    );
    println!(
        "{:<26} {:>11} {:>7} {:>4} {:>10} {:>10} {:>10} {:>10} {:>11}",
        "proxy",
        "connections",
        "failed",
        "cut",
        "before",
        "slowest",
        "p99",
        "over 50 ms",
        "marked DOWN"
    );
}

impl Report {
    pub(crate) fn print(&self, proxy: &str) {
        let count = self.connections.len();
        let lost = self.connections.iter().filter(|c| !c.answered);
        let (cut, failed): (Vec<_>, Vec<_>) = lost.partition(|c| c.began < self.failed);
        let (cut, failed) = (cut.len(), failed.len());
        // How long one that was cut took to end says nothing about the others.
        let others = self.connections.iter();
        let others = others.filter(|c| c.answered || c.began >= self.failed);
        let mut times: Vec<_> = others.map(|c| c.took).collect();
        times.sort();
        // What the machine does to connections while nothing has failed.
        let ended = self.connections.iter();
        let ended = ended.filter(|c| c.answered && c.began + c.took < self.failed);
        let before = ended.map(|c| c.took);
        let slow = times.iter().filter(|&&time| time > SLOW).count();
        let noticed = self
            .noticed
            .map_or("never".to_owned(), |n| format!("{:.2} s", n.as_secs_f32()));
        println!(
            "{proxy:<26} {count:>11} {failed:>7} {cut:>4} {:>10} {:>10} {:>10} {slow:>10} {noticed:>11}",
            milliseconds(before.max().as_ref()),
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
