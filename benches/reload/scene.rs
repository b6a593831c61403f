//! Backstop, its servers and its configurations.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use crate::harness::backstop::Backstop;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;

/// Servers for short requests, of which some are configured at a time.
const WEB: usize = 6;
/// Servers for long sessions.
const LONG: usize = 4;

/// A running Backstop whose configuration changes.
pub(crate) struct Scene {
    pub(crate) backstop: Backstop,
    layout: Layout,
    _servers: Vec<Server>,
}

struct Layout {
    loopback: Loopback,
    directory: TempDir,
    web: Vec<SocketAddr>,
    long: Vec<SocketAddr>,
}

/// What the process says of itself.
pub(crate) struct Info {
    pub(crate) reloads: u64,
    pub(crate) failed: u64,
}

impl Scene {
    pub(crate) fn start() -> Self {
        let loopback = Loopback::lease();
        let addresses = |count| (0..count).map(|_| loopback.next()).collect::<Vec<_>>();
        let (web, long) = (addresses(WEB), addresses(LONG));
        let servers = web.iter().map(|&address| Server::named(address, "web"));
        let servers = servers.chain(long.iter().map(|&address| Server::echo(address)));
        let servers = servers.collect();
        let layout = Layout {
            directory: TempDir::new(),
            loopback,
            web,
            long,
        };
        Self {
            backstop: Backstop::start(&layout.config(0)),
            layout,
            _servers: servers,
        }
    }

    pub(crate) fn web_entrance(&self) -> SocketAddr {
        self.layout.loopback.port(20_080)
    }

    pub(crate) fn long_entrance(&self) -> SocketAddr {
        self.layout.loopback.port(20_081)
    }

    /// Has the next configuration taken.
    pub(crate) fn reload(&self, number: u32) {
        self.backstop.configure(&self.layout.config(number));
        let answer = self.ask("reload");
        assert!(answer.starts_with("Reloaded.\n"), "{answer}");
    }

    pub(crate) fn info(&self) -> Info {
        let answer = self.ask("show info");
        let number = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok())
                .expect("a number")
        };
        Info {
            reloads: number("Reloads:"),
            failed: number("Reloads_failed:"),
        }
    }

    fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.layout.socket()).expect("it listens");
        writeln!(stream, "{command}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Layout {
    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("api.sock")
    }

    /// Each has other servers, weights and listeners than the one before it, and none is quite as
    /// one before it was.
    fn config(&self, number: u32) -> String {
        let at = |port| self.loopback.port(port);
        let n = number as usize;
        let mut text = format!(
            r#"
[log]
sessions = "off"
level = "info"
[api]
socket = "{}"
level = "admin"
[defaults]
timeout = {{ connect = "5s", client = "60s", server = "60s" }}
check = {{ interval = "200ms" }}
[frontends.web]
bind = ["{}", "{}"]
default_backend = "web"
[frontends.long]
bind = "{}"
default_backend = "long"
[frontends.now-{}]
bind = "{}"
default_backend = "web"
"#,
            self.socket().display(),
            at(20_080),
            at(20_100 + (number % 3) as u16),
            at(20_081),
            number % 7,
            at(20_200 + (number % 5) as u16),
        );
        let mut backend = |name: &str, servers: &[SocketAddr], left_out: usize| {
            let _ = writeln!(text, "[backends.{name}]\nservers = [");
            for (index, address) in servers.iter().enumerate() {
                if index != left_out {
                    let weight = 1 + (n + index) % 5;
                    let _ = writeln!(
                        text,
                        "{{ name = \"s{index}\", address = \"{address}\", check = true, \
                         weight = {weight} }},"
                    );
                }
            }
            text += "]\n";
        };
        backend("web", &self.web, n % WEB);
        backend("long", &self.long, n % LONG);
        text
    }
}
