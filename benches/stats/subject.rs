//! The proxies that can be measured, with pages that answer the same requests.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::process;

/// Servers of the one backend, each checked every second.
const SERVERS: usize = 8;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Subject {
    Backstop,
    /// HAProxy, from the environment's HAPROXY or the path
    Haproxy,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backstop => "Backstop",
            Self::Haproxy => "HAProxy",
        }
    }

    /// The command that runs it by `file`.
    pub(crate) fn command(self, file: &Path) -> io::Result<Vec<String>> {
        let file = file.display().to_string();
        Ok(match self {
            Self::Backstop => vec![process::backstop()?, "-f".into(), file],
            Self::Haproxy => {
                let program = env::var("HAPROXY").unwrap_or_else(|_| "haproxy".into());
                vec![program, "-db".into(), "-f".into(), file]
            }
        })
    }

    /// Its file: one thread that forwards from `entrance` to `server`, and a page.
    pub(crate) fn config(
        self,
        entrance: SocketAddr,
        page: SocketAddr,
        server: SocketAddr,
    ) -> String {
        match self {
            Self::Backstop => backstop(entrance, page, server),
            Self::Haproxy => haproxy(entrance, page, server),
        }
    }
}

fn backstop(entrance: SocketAddr, page: SocketAddr, server: SocketAddr) -> String {
    let servers = (0..SERVERS).map(|n| {
        format!(
            "  {{ name = \"web{n}\", address = \"{server}\", check = {{ interval = \"1s\" }} }},\n"
        )
    });
    format!(
        r#"threads = 1
log = {{ sessions = "off", level = "error" }}

[defaults]
timeout = {{ connect = "5s", client = "600s", server = "600s" }}

[frontends.web]
bind = "{entrance}"
default_backend = "web"

[backends.web]
servers = [
{}]

[stats]
bind = "{page}"
auth = "admin:admin"
"#,
        servers.collect::<String>(),
    )
}

fn haproxy(entrance: SocketAddr, page: SocketAddr, server: SocketAddr) -> String {
    let servers = (0..SERVERS).map(|n| format!("  server web{n} {server} check inter 1s\n"));
    format!(
        "global
  nbthread 1
  maxconn 4000

defaults
  timeout connect 5s
  timeout client 600s
  timeout server 600s

listen web
  mode tcp
  bind {entrance}
{}
frontend stats
  mode http
  bind {page}
  timeout client 60s
  timeout http-request 5s
  http-request use-service prometheus-exporter if {{ path /metrics }}
  stats enable
  stats uri /
  stats auth admin:admin
",
        servers.collect::<String>(),
    )
}
