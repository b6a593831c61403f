//! What a measurement was made on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// One line: cores, kernel, proxies.
pub(crate) fn describe() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    format!(
        "{cores} cores ({model}), Linux {}; Backstop {}; {}",
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        haproxy()
    )
}

fn haproxy() -> String {
    let output = Command::new("haproxy").arg("-v").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().take(3).collect();
    if words.is_empty() {
        "no HAProxy".to_owned()
    } else {
        words.join(" ").replace(" version", "")
    }
}

/// Of the last minute: how many processes want a core at once.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
