//! `backstop check --probe`: what one check of every server finds now.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout_at;

use crate::checks::probe::Probe;
use crate::config::{self, CheckConfig, Config, ServerTimeouts};
use crate::resolver;
use crate::sys::limits;
use crate::topology::status::CheckReport;
use crate::topology::{Server, Topology};

/// Servers checked at once; each check holds a descriptor.
const AT_ONCE: usize = 256;

/// How long all checks may take together.
const LIMIT: Duration = Duration::from_secs(30);

/// How long one check may take where nothing is configured.
const ONE_CHECK: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Whether every server passed.
    pub passed: bool,
    /// A line for each server and one for all.
    pub stdout: String,
}

/// What became of one server's check.
enum Finding {
    /// It was made.
    Checked(CheckReport),
    /// The server's name has no address.
    NoAddress,
    /// The server's name has no address left for it.
    Vacant,
    /// The time for all checks was over before.
    TimeIsUp,
}

/// Checks every server of the file at `path` once; `None` if the file cannot be used.
pub fn probe(path: &Path) -> Option<Probed> {
    let config = config::load(path).ok()?.config;
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Some(match runtime {
        Ok(runtime) => {
            let end = Instant::now() + LIMIT;
            LocalSet::new().block_on(&runtime, probe_all(&config, end))
        }
        Err(error) => Probed {
            passed: false,
            stdout: format!("no server can be probed: {error}\n"),
        },
    })
}

async fn probe_all(config: &Config, end: Instant) -> Probed {
    let topology = Topology::build(config, 1, Instant::now());
    let _ = timeout_at(end.into(), resolver::introduce(&topology, |_| true)).await;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut probes = JoinSet::new();
    for (index, server) in topology.servers().enumerate() {
        let timeouts = topology.backend(server.id.backend).config.timeout;
        let (server, places) = (Arc::clone(server), Arc::clone(&places));
        probes.spawn_local(async move {
            let probing = async {
                // Never closed, so always acquired.
                let _place = places.acquire().await;
                probe_one(&server, &timeouts).await
            };
            let finding = timeout_at(end.into(), probing).await;
            (index, finding.unwrap_or(Finding::TimeIsUp))
        });
    }
    let mut findings = probes.join_all().await;
    findings.sort_by_key(|(index, _)| *index);
    let findings = findings.into_iter().map(|(_, finding)| finding);
    let findings: Vec<_> = topology.servers().zip(findings).collect();
    report(&findings)
}

async fn probe_one(server: &Server, timeouts: &ServerTimeouts) -> Finding {
    let own_host = server
        .config
        .check
        .as_ref()
        .and_then(|check| check.host.as_ref());
    if server.address().is_none() && own_host.is_none() {
        return match server.config.slot {
            // The first of a template has an address if its name has one.
            Some(ref slot) if slot.number > 1 => Finding::Vacant,
            _ => Finding::NoAddress,
        };
    }
    let unchecked = || CheckConfig {
        timeout: timeouts.connect.or(Some(ONE_CHECK)),
        ..CheckConfig::default()
    };
    let check = server.config.check.clone().unwrap_or_else(unchecked);
    Finding::Checked(Probe::new(&check, timeouts).run(server).await)
}

fn report(findings: &[(&Arc<Server>, Finding)]) -> Probed {
    let width = findings
        .iter()
        .map(|(server, _)| server.path.len())
        .max()
        .unwrap_or(0);
    let passed = findings
        .iter()
        .filter(|(_, finding)| finding.passed())
        .count();
    let mut text = String::from("\n");
    for (server, finding) in findings {
        let (path, told) = (&server.path, finding.told(server));
        let _ = writeln!(text, "server {path:width$}  {told}");
    }
    let all = findings.len();
    let _ = match all - passed {
        0 => writeln!(text, "\nAll servers passed: {all}."),
        failed => writeln!(text, "\nServers that failed: {failed} of {all}."),
    };
    Probed {
        passed: passed == all,
        stdout: text,
    }
}

impl Finding {
    fn passed(&self) -> bool {
        match self {
            Self::Checked(report) => report.status.passed(),
            Self::Vacant => true,
            Self::NoAddress | Self::TimeIsUp => false,
        }
    }

    fn told(&self, server: &Server) -> String {
        let report = match self {
            Self::Checked(report) => report,
            Self::NoAddress => {
                return format!(
                    "FAILED  the name {} does not resolve",
                    server.config.address.host
                );
            }
            Self::Vacant => {
                let host = &server.config.address.host;
                return format!("spare   {host} has no address for it");
            }
            Self::TimeIsUp => {
                return format!(
                    "FAILED  not checked: {} s for all were over",
                    LIMIT.as_secs()
                );
            }
        };
        let word = if report.status.passed() {
            "OK    "
        } else {
            "FAILED"
        };
        let address = server.address().map_or(String::new(), |a| format!("{a}, "));
        let info = match report.info.as_str() {
            "" => String::new(),
            info => format!(", {info}"),
        };
        let took = report.duration.as_secs_f64() * 1000.0;
        let what = report.status.description();
        let unchecked = match server.config.check {
            Some(_) => "",
            None => "; it has no check when the proxy runs",
        };
        format!("{word}  {address}{what}{info}, in {took:.1} ms{unchecked}")
    }
}
