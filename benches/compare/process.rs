//! Child processes on chosen cores, and what they use.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(10);

/// A child process, killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` on `cores`, and waits until it accepts connections to `ready`.
    pub(crate) fn start(
        name: &'static str,
        command: &[String],
        cores: &[usize],
        ready: SocketAddr,
        complaints: &Path,
    ) -> io::Result<Self> {
        let log = fs::File::create(complaints)?;
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        // The signal ends it with this process, however that ends.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", &cores.join(",")])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut process = Self { name, child };
        process.wait_for(ready).inspect_err(|_| {
            eprintln!("{}", fs::read_to_string(complaints).unwrap_or_default());
        })?;
        Ok(process)
    }

    fn wait_for(&mut self, ready: SocketAddr) -> io::Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(ready).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let message = format!("{} ended with {status} at once", self.name);
                return Err(io::Error::other(message));
            }
            if Instant::now() > deadline {
                let message = format!("{} does not listen on {ready}", self.name);
                return Err(io::Error::other(message));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// CPU time so far, user and system, of the process and its children, all threads.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        self.pids().into_iter().map(cpu).sum()
    }

    /// Resident bytes of the process and its children.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        self.pids().into_iter().map(resident).sum()
    }

    /// CPU time of each thread so far, in seconds.
    pub(crate) fn threads(&self) -> io::Result<HashMap<String, f64>> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let entry = entry?;
            // The first number is the time on a core, in nanoseconds.
            let stat = fs::read_to_string(entry.path().join("schedstat"))?;
            let time = stat
                .split(' ')
                .next()
                .and_then(|time| time.parse::<f64>().ok());
            let name = entry.file_name().to_string_lossy().into_owned();
            threads.insert(name, time.unwrap_or(0.0) / 1e9);
        }
        Ok(threads)
    }

    fn pids(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        [pid].into_iter().chain(children).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, since a killed nginx master leaves its worker behind.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Backstop's program: what the environment's BACKSTOP names, or the build that users have. The one
/// that cargo makes for a benchmark comes with what only tests need: tokio takes a lock whenever it
/// reads the time then.
pub(crate) fn backstop() -> io::Result<String> {
    if let Ok(program) = env::var("BACKSTOP") {
        return Ok(program);
    }
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target/users");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--bin", "backstop"])
        .args(["--target-dir", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if built.success() {
        Ok(format!("{target}/release/backstop"))
    } else {
        Err(io::Error::other("Backstop could not be built"))
    }
}

/// The cores that this process may run on.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat has no CPU time"))?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// utime and stime, the 14th and 15th field (proc(5)).
fn ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1024)
}
