//! wrk and iperf3, and what they report.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Printed by wrk after its own report, for machines.
const REPORT: &str = "\
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(\"RESULT %d %d %d %d\\n\", summary.requests, summary.bytes,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
";

/// What one run of a load generator did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Complete answers.
    pub(crate) requests: f64,
    /// Received by the client, or sent if that is the way they went.
    pub(crate) bytes: f64,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Connections and answers that failed.
    pub(crate) errors: f64,
}

/// What wrk asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrk {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// One request a connection.
    pub(crate) close: bool,
    pub(crate) seconds: u64,
}

impl Wrk {
    /// Runs wrk against `target` on `cores`.
    pub(crate) fn run(
        self,
        target: SocketAddr,
        cores: &[usize],
        directory: &Path,
    ) -> io::Result<Done> {
        let script = directory.join("report.lua");
        std::fs::write(&script, REPORT)?;
        let mut command = on_cores("wrk", cores);
        let threads = cores.len().min(self.connections);
        command
            .args([format!("-t{threads}"), format!("-c{}", self.connections)])
            .arg(format!("-d{}s", self.seconds))
            .args(["--timeout", "60s", "-s"])
            .arg(script);
        if self.close {
            command.args(["-H", "Connection: close"]);
        }
        let text = output(command.arg(format!("http://{target}{}", self.path)))?;
        let numbers = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let numbers: Vec<f64> = numbers
            .unwrap_or_default()
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect();
        let [requests, bytes, microseconds, errors] = numbers[..] else {
            return Err(io::Error::other(format!("wrk said: {text}")));
        };
        Ok(Done {
            requests,
            bytes,
            seconds: microseconds / 1e6,
            errors,
        })
    }
}

/// Runs iperf3 with one stream against `target`, from the server to the client if `reverse`.
pub(crate) fn iperf(
    target: SocketAddr,
    reverse: bool,
    seconds: u64,
    cores: &[usize],
) -> io::Result<Done> {
    let mut command = on_cores("iperf3", cores);
    command.args(["-J", "-c", &target.ip().to_string()]).args([
        "-p",
        &target.port().to_string(),
        "-t",
        &seconds.to_string(),
    ]);
    if reverse {
        command.arg("-R");
    }
    let text = output(&mut command)?;
    let report: serde_json::Value = serde_json::from_str(&text)?;
    let sum = &report["end"]["sum_received"];
    let number = |name: &str| {
        sum[name]
            .as_f64()
            .ok_or_else(|| io::Error::other(format!("iperf3 said: {text}")))
    };
    Ok(Done {
        requests: 1.0,
        bytes: number("bytes")?,
        seconds: number("seconds")?,
        errors: 0.0,
    })
}

fn on_cores(program: &str, cores: &[usize]) -> Command {
    let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
    let mut command = Command::new("taskset");
    command.args(["-c", &cores.join(","), program]);
    command
}

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {text}{complaint}")))
}
