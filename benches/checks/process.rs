//! A proxy as the kernel sees it.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::config::Layout;
use crate::harness::backstop;
use crate::harness::daemon::Daemon;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// What `/proc` counts processor time in: `USER_HZ`, 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    daemon: Daemon,
    _directory: TempDir,
    _loopback: Loopback,
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// By all threads.
    pub(crate) total: Duration,
    /// By the one that the process began with, which is Backstop's control thread.
    pub(crate) main_thread: Duration,
}

impl Proxy {
    /// Starts Backstop and waits until its last frontend accepts.
    pub(crate) fn backstop(layout: &Layout) -> Self {
        let command = backstop::command();
        Self::start(command, layout, Layout::for_backstop)
    }

    /// Starts HAProxy and waits until its last frontend accepts.
    pub(crate) fn haproxy(layout: &Layout) -> Self {
        let mut command = Command::new("haproxy");
        command.arg("-db");
        Self::start(command, layout, Layout::for_haproxy)
    }

    fn start(
        mut command: Command,
        layout: &Layout,
        config: fn(&Layout, &Loopback) -> String,
    ) -> Self {
        let loopback = Loopback::lease();
        let directory = TempDir::new();
        let file = directory.write("proxy.conf", &config(layout, &loopback));
        let mut daemon = Daemon::spawn("proxy", command.arg("-f").arg(file));
        let entrance = layout.last_entrance(&loopback);
        wait_until("the proxy should accept or end", || {
            TcpStream::connect(entrance).is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "it ended: {:?}", daemon.stderr());
        Self {
            daemon,
            _directory: directory,
            _loopback: loopback,
        }
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let main = self.proc("stat");
        let threads = fs::read_dir(self.proc("task")).expect("a running process");
        let times =
            threads.map(|thread| cpu_time(thread.expect("a running process").path().join("stat")));
        let pid = self.daemon.pid().as_raw_nonzero();
        Cpu {
            total: times.sum(),
            main_thread: cpu_time(main.with_file_name(format!("task/{pid}/stat"))),
        }
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let value = line.and_then(|line| line.split_whitespace().next());
        value.expect("VmRSS").parse().expect("a number of KiB")
    }

    pub(crate) fn descriptors(&self) -> usize {
        let open = fs::read_dir(self.proc("fd")).expect("a running process");
        open.count()
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.daemon.pid().as_raw_nonzero()).into()
    }
}

/// The user and system time of a `stat` file, the 14th and 15th field (proc(5)).
fn cpu_time(stat: PathBuf) -> Duration {
    let text = fs::read_to_string(stat).expect("a running thread");
    // The name before may hold spaces.
    let (_, fields) = text.rsplit_once(") ").expect("a name in parentheses");
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u32 = ticks.map(|t| t.parse::<u32>().expect("ticks")).sum();
    TICK * ticks
}
