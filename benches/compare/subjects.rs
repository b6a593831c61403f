//! The servers and the proxies that are compared, and their configurations.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::process::{self, Process};

/// nginx as server listens on this many ports, which makes the local ports of the connections
/// to it last longer.
pub(crate) const SERVERS: u16 = 4;

/// The length of `/bulk`.
const BULK_BYTES: usize = 256 << 20;

/// Ports from here on are used.
const FIRST_PORT: u16 = 21_000;

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Subject {
    /// No proxy at all.
    Direct,
    /// A minimal epoll relay.
    Floor,
    /// This project.
    Backstop,
    /// HAProxy, from the environment's HAPROXY or the path.
    Haproxy,
    /// nginx's stream module, from the environment's NGINX or the path.
    Nginx,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] = [
        Self::Direct,
        Self::Floor,
        Self::Backstop,
        Self::Haproxy,
        Self::Nginx,
    ];

    /// As shown to people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Backstop => "Backstop",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx stream",
        }
    }

    /// Where it listens for what goes to nginx.
    pub(crate) fn web(self) -> SocketAddr {
        match self {
            Self::Direct => server(0),
            _ => local(FIRST_PORT + 100 + 10 * self as u16),
        }
    }

    /// Where it listens for what goes to iperf3.
    pub(crate) fn iperf(self) -> SocketAddr {
        match self {
            Self::Direct => iperf_server(),
            _ => local(FIRST_PORT + 101 + 10 * self as u16),
        }
    }

    /// Starts it with `threads` threads on `cores`. `None` for no proxy.
    pub(crate) fn start(
        self,
        threads: usize,
        cores: &[usize],
        directory: &Path,
    ) -> io::Result<Option<Process>> {
        let file = directory.join(format!("{}-{threads}.conf", self.name().replace(' ', "-")));
        let path = file.display().to_string();
        let text = |text: &str| vec![text.to_owned()];
        let (config, command) = match self {
            Self::Direct => return Ok(None),
            Self::Floor => (String::new(), self.floor()?),
            Self::Backstop => {
                let program = process::backstop()?;
                (self.backstop(threads), [program, "-f".into(), path].into())
            }
            Self::Haproxy => {
                let program = program("HAPROXY", "haproxy");
                (
                    self.haproxy(threads),
                    [program, "-db".into(), "-f".into(), path].into(),
                )
            }
            Self::Nginx => {
                let config = self.nginx(threads, directory);
                (config, [nginx_program(), "-c".into(), path].into())
            }
        };
        fs::write(&file, config)?;
        let command = if command.is_empty() {
            text("true")
        } else {
            command
        };
        let complaints = file.with_extension("log");
        Process::start(self.name(), &command, cores, self.web(), &complaints).map(Some)
    }

    fn floor(self) -> io::Result<Vec<String>> {
        let program = env::current_exe()?.display().to_string();
        // iperf3 wants all its connections on one server, and the floor has no configuration.
        let servers = (0..SERVERS).map(|index| server(index).to_string());
        Ok([program, "floor".into(), self.web().to_string()]
            .into_iter()
            .chain(servers)
            .collect())
    }

    fn backstop(self, threads: usize) -> String {
        let servers = each_server(|index| {
            let address = server(index);
            format!("  {{ name = \"s{index}\", address = \"{address}\" }},\n")
        });
        format!(
            r#"threads = {threads}
grace = "1s"

[log]
sessions = "off"
level = "warn"

[defaults]
timeout = {{ connect = "5s", client = "600s", server = "600s" }}

[frontends.web]
bind = "{}"
default_backend = "web"

[frontends.iperf]
bind = "{}"
default_backend = "iperf"

[backends.web]
servers = [
{servers}]

[backends.iperf]
servers = [{{ name = "s", address = "{}" }}]
"#,
            self.web(),
            self.iperf(),
            iperf_server()
        )
    }

    fn haproxy(self, threads: usize) -> String {
        let servers = each_server(|index| format!("    server s{index} {}\n", server(index)));
        format!(
            "global
    maxconn 9100
    maxpipes 500
    nbthread {threads}

defaults
    mode tcp
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    option splice-request
    option splice-response

frontend web
    bind {}
    default_backend web

frontend iperf
    bind {}
    default_backend iperf

backend web
    balance roundrobin
{servers}
backend iperf
    server s {}
",
            self.web(),
            self.iperf(),
            iperf_server()
        )
    }

    fn nginx(self, threads: usize, directory: &Path) -> String {
        let servers = each_server(|index| format!("        server {};\n", server(index)));
        format!(
            "{}
stream {{
    access_log off;
    proxy_timeout 600s;
    upstream web {{
{servers}    }}
    server {{ listen {} {reuse}; proxy_pass web; }}
    server {{ listen {} {reuse}; proxy_pass {}; }}
}}
",
            nginx_head(threads, "proxy", directory, true),
            self.web(),
            self.iperf(),
            iperf_server(),
            reuse = if threads > 1 { "reuseport" } else { "" },
        )
    }
}

/// nginx and iperf3 as servers, on `cores`.
pub(crate) fn start_servers(cores: &[usize], directory: &Path) -> io::Result<Vec<Process>> {
    // Not sparse: a hole would be one page that stays in the cache for ever.
    fs::write(directory.join("bulk"), vec![b'a'; BULK_BYTES])?;
    let listen = each_server(|index| format!("        listen {} backlog=4096;\n", server(index)));
    let config = format!(
        "{}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    server {{
{listen}        location = /small {{ return 200 \"{}\"; }}
        location = /bulk {{ root {}; }}
    }}
}}
",
        nginx_head(1, "server", directory, false),
        "a".repeat(128),
        directory.display()
    );
    let file = directory.join("server.conf");
    fs::write(&file, config)?;
    let nginx = [nginx_program(), "-c".into(), file.display().to_string()];
    let iperf = ["iperf3", "-s", "-p", &iperf_server().port().to_string()].map(String::from);
    Ok(vec![
        Process::start(
            "nginx",
            &nginx,
            cores,
            server(0),
            &directory.join("nginx.log"),
        )?,
        Process::start(
            "iperf3",
            &iperf,
            cores,
            iperf_server(),
            &directory.join("iperf3.log"),
        )?,
    ])
}

fn nginx_head(workers: usize, name: &str, directory: &Path, stream: bool) -> String {
    // Debian has the module in a file of its own; other builds have it inside.
    let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    let module = if stream && module.exists() && nginx_program() == "nginx" {
        format!("load_module {};\n", module.display())
    } else {
        String::new()
    };
    format!(
        "{module}worker_processes {workers};
worker_rlimit_nofile 65536;
daemon off;
pid {directory}/{name}.pid;
error_log {directory}/{name}.log crit;
events {{ worker_connections 30000; }}",
        directory = directory.display()
    )
}

/// Where the files of a run are.
pub(crate) fn directory() -> io::Result<PathBuf> {
    let directory = env::temp_dir().join(format!("backstop-compare-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn program(variable: &str, standard: &str) -> String {
    env::var(variable).unwrap_or_else(|_| standard.to_owned())
}

fn nginx_program() -> String {
    program("NGINX", "nginx")
}

fn server(index: u16) -> SocketAddr {
    local(FIRST_PORT + index)
}

fn iperf_server() -> SocketAddr {
    local(FIRST_PORT + 50)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A line for each server.
fn each_server(line: impl Fn(u16) -> String) -> String {
    (0..SERVERS).map(line).collect()
}
