//! Backstop and HAProxy with the same settings.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::process::{self, Process};

/// Sessions that a proxy may have: as many as 20,000 descriptors are enough for.
const MAXCONN: u32 = 9_800;

/// A running proxy.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) places: Places,
}

/// Where a proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// For plain clients.
    pub(crate) plain: SocketAddr,
    /// For those that begin with a PROXY header, which may take 5 seconds.
    pub(crate) told: SocketAddr,
    /// The stats page.
    pub(crate) stats: SocketAddr,
}

impl Places {
    fn of(host: u8) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::new(127, 0, 77, host), port));
        Self {
            plain: at(20_081),
            told: at(20_082),
            stats: at(20_711),
        }
    }
}

/// Starts both on `core`, each with one thread for sessions.
pub(crate) fn start(
    server: SocketAddr,
    core: usize,
    directory: &Path,
) -> Result<Vec<Subject>, Box<dyn Error>> {
    let contestants = [
        (
            "Backstop",
            vec![process::backstop()?, "-f".into()],
            backstop_config(Places::of(1), server),
        ),
        (
            "HAProxy",
            vec!["haproxy".into(), "-db".into(), "-f".into()],
            haproxy(Places::of(2), server),
        ),
    ];
    let mut subjects = Vec::new();
    for ((name, mut command, config), host) in contestants.into_iter().zip(1..) {
        let (file, complaints) = (directory.join(name), directory.join(format!("{name}.err")));
        fs::write(&file, config)?;
        command.push(file.display().to_string());
        let places = Places::of(host);
        let process = Process::start(name, &command, &[core], places.plain, &complaints)?;
        subjects.push(Subject {
            name,
            process,
            places,
        });
    }
    Ok(subjects)
}

fn backstop_config(places: Places, server: SocketAddr) -> String {
    let Places { plain, told, stats } = places;
    format!(
        r#"
threads = 1
maxconn = {MAXCONN}
log.sessions = "off"
[defaults]
timeout = {{ connect = "5s", client = "60s", server = "60s" }}
[frontends.plain]
bind = "{plain}"
default_backend = "bk"
[frontends.told]
bind = "{told}"
accept_proxy = {{ from = "127.0.0.0/8", timeout = "5s" }}
default_backend = "bk"
[backends.bk]
servers = [{{ name = "s1", address = "{server}" }}]
[stats]
bind = "{stats}"
auth = "admin:admin"
"#
    )
}

fn haproxy(places: Places, server: SocketAddr) -> String {
    let Places { plain, told, stats } = places;
    format!(
        "global
    nbthread 1
    maxconn {MAXCONN}
defaults
    mode tcp
    maxconn {MAXCONN}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend plain
    bind {plain}
    default_backend bk
frontend told
    bind {told} accept-proxy
    timeout client 5s
    default_backend bk
backend bk
    server s1 {server}
listen stats
    mode http
    bind {stats}
    maxconn 1024
    timeout client 60s
    timeout http-request 5s
    stats enable
    stats uri /
    stats auth admin:admin
"
    )
}
