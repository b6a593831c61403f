//! Backstop, its servers and its configurations.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::harness::backstop::Backstop;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::stats::{Row, Stats};
use crate::harness::temp::TempDir;
use crate::server::Server;

/// The two farms, and how many servers each has that are always configured.
pub(crate) const FARMS: [&str; 2] = ["a", "b"];
pub(crate) const SERVERS: usize = 3;

/// A further server of the second farm, which reloads add and remove.
pub(crate) const SPARE: &str = "b/spare";

/// A running Backstop and its servers.
pub(crate) struct Scene {
    pub(crate) backstop: Backstop,
    /// All but the spare one.
    pub(crate) servers: Vec<Mutex<Server>>,
    _spare: Server,
    loopback: Loopback,
    directory: TempDir,
}

/// What the process takes up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) resident_kib: u64,
    /// Without pipes.
    pub(crate) descriptors: usize,
    pub(crate) pipes: usize,
    pub(crate) threads: usize,
}

impl Scene {
    pub(crate) fn start() -> io::Result<Self> {
        let (loopback, directory) = (Loopback::lease(), TempDir::new());
        let ledger = directory.path().join("ledger");
        fs::write(&ledger, "")?;
        let mut servers = Vec::new();
        for (farm, name) in FARMS.iter().enumerate() {
            for number in 0..SERVERS {
                let path = format!("{name}/s{number}");
                let server = Server::start(&path, address(&loopback, farm, number), &ledger)?;
                servers.push(Mutex::new(server));
            }
        }
        let spare = Server::start(SPARE, address(&loopback, 1, SERVERS), &ledger)?;
        let config = config(&loopback, &directory, 0);
        Ok(Self {
            backstop: Backstop::start(&config),
            servers,
            _spare: spare,
            loopback,
            directory,
        })
    }

    /// Where sessions for each farm come in.
    pub(crate) fn entrances(&self) -> Vec<SocketAddr> {
        (0..FARMS.len())
            .map(|farm| entrance(&self.loopback, farm))
            .collect()
    }

    /// Has the configuration of this number taken. Returns what went wrong.
    pub(crate) fn reload(&self, number: u64) -> Result<(), String> {
        self.backstop
            .configure(&config(&self.loopback, &self.directory, number));
        let answer = self.ask("reload").map_err(|error| error.to_string())?;
        if answer.starts_with("Reloaded") {
            return Ok(());
        }
        Err(answer)
    }

    /// What the runtime API answers.
    pub(crate) fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(socket(&self.directory))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn rows(&self) -> io::Result<Vec<Row>> {
        stats(&self.loopback).rows()
    }

    /// How many sessions of a frontend ended with each code.
    pub(crate) fn endings(&self, frontend: &str) -> io::Result<HashMap<String, u64>> {
        let stats = stats(&self.loopback);
        let text = http::get(stats.address, "/metrics", &stats.authorization())?.body;
        let head = format!("backstop_sessions_ended_total{{proxy=\"{frontend}\",termination=\"");
        let endings = text.lines().filter_map(|line| {
            let (code, count) = line.strip_prefix(&head)?.split_once("\"} ")?;
            Some((code.to_owned(), count.parse().ok()?))
        });
        Ok(endings.collect())
    }

    /// What servers say of the sessions that went well: bytes received and sent, by number.
    pub(crate) fn ledger(&self) -> io::Result<HashMap<u32, (u64, u64)>> {
        let text = fs::read_to_string(self.directory.path().join("ledger"))?;
        let lines = text.lines().filter_map(|line| {
            let mut numbers = line.split(' ').map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some((next()? as u32, (next()?, next()?)))
        });
        Ok(lines.collect())
    }

    pub(crate) fn size(&self) -> Size {
        let process = PathBuf::from(format!("/proc/{}", self.backstop.pid().as_raw_nonzero()));
        let entries = |name| {
            fs::read_dir(process.join(name))
                .into_iter()
                .flatten()
                .flatten()
        };
        let (mut descriptors, mut pipes) = (0, 0);
        for entry in entries("fd") {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if target.to_string_lossy().starts_with("pipe:") {
                pipes += 1;
            } else {
                descriptors += 1;
            }
        }
        Size {
            resident_kib: self.backstop.resident_kib(),
            descriptors,
            pipes,
            threads: entries("task").count(),
        }
    }
}

fn address(loopback: &Loopback, farm: usize, number: usize) -> SocketAddr {
    loopback.port(20_100 + (farm * 10 + number) as u16)
}

fn entrance(loopback: &Loopback, farm: usize) -> SocketAddr {
    loopback.port(20_081 + farm as u16)
}

fn stats(loopback: &Loopback) -> Stats {
    Stats::at(loopback.port(20_711))
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("api")
}

/// Servers' weights, check intervals, a listener and the spare server change with `number`.
fn config(loopback: &Loopback, directory: &TempDir, number: u64) -> String {
    let mut text = format!(
        r#"
grace = "5s"
[log]
sessions = "all"
[api]
socket = "{}"
level = "admin"
[stats]
bind = "{}"
auth = "{}"
[defaults]
timeout = {{ connect = "2s", queue = "60s", client = "15s", server = "20s" }}
log_format = "soak %ci %ft %b/%s %ts %U %B %Tc"
check = {{ interval = "{}ms", fall = 2, rise = 1 }}
[frontends.ft-a]
bind = ["{}", "{}"]
use_backend = [{{ backend = "b", if = "nbsrv(a) lt 2" }}]
default_backend = "a"
[frontends.ft-b]
bind = "{}"
default_backend = "b"
"#,
        socket(directory).display(),
        stats(loopback).address,
        stats(loopback).auth,
        200 + number % 5 * 100,
        entrance(loopback, 0),
        loopback.port(20_300 + (number % 3) as u16),
        entrance(loopback, 1),
    );
    for (farm, name) in FARMS.iter().enumerate() {
        let _ = writeln!(text, "[backends.{name}]");
        if farm == 1 {
            text += "on_marked_down = \"shutdown-sessions\"\n";
        }
        text += "servers = [\n";
        for server in 0..SERVERS + usize::from(farm == 1 && number % 2 == 1) {
            let called = if server == SERVERS {
                "spare".to_owned()
            } else {
                format!("s{server}")
            };
            let address = address(loopback, farm, server);
            let weight = 1 + (number + server as u64) % 4;
            let _ = writeln!(
                text,
                "{{ name = \"{called}\", address = \"{address}\", check = true, weight = {weight} }},"
            );
        }
        text += "]\n";
    }
    text
}
