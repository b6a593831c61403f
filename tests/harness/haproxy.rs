//! A real HAProxy, to compare with.

use std::process::Command;

use super::daemon::Daemon;
use super::stats::Stats;
use super::temp::TempDir;
use super::wait::wait_until;

/// A running HAProxy.
#[derive(Debug)]
pub(crate) struct Haproxy {
    daemon: Daemon,
    // Declared after the daemon, so that it goes after the process ended.
    directory: TempDir,
}

impl Haproxy {
    /// Starts with this configuration and waits until its stats page answers.
    pub(crate) fn start(config: &str, stats: Stats) -> Self {
        let directory = TempDir::new();
        let file = directory.write("haproxy.cfg", config);
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        let mut daemon = Daemon::spawn("haproxy", &mut command);
        wait_until("HAProxy should answer or end", || {
            stats.rows().is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "HAProxy ended: {:?}", daemon.stderr());
        Self { daemon, directory }
    }
}
