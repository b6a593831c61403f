//! `backstop check`: whether a configuration can be used, and what it would do.

use std::fmt::Write;
use std::path::Path;

use crate::acl::show::Names;
use crate::config::report::Report;
use crate::config::stats::Role;
use crate::config::value::shown;
use crate::config::{
    self, BackendConfig, Balance, Config, FrontendConfig, ServerConfig, StatsConfig,
};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether the configuration can be used.
    pub valid: bool,
    /// For the standard output: what the configuration does, if it can be used.
    pub stdout: String,
    /// For the standard error: warnings, or every error.
    pub stderr: String,
}

/// Checks the file at `path`; `colour` allows ANSI colours in what is shown.
pub fn check(path: &Path, colour: bool) -> Checked {
    match config::load(path) {
        Ok(loaded) => Checked {
            valid: true,
            stdout: summary(path, &loaded.config, loaded.warnings.problems().len()),
            stderr: loaded.warnings.render(colour),
        },
        Err(report) => Checked {
            valid: false,
            stdout: String::new(),
            stderr: failure(&report, colour),
        },
    }
}

/// Every error, and that they kept everything from starting.
pub(super) fn failure(report: &Report, colour: bool) -> String {
    format!("{}; nothing was started.\n", told(report, colour))
}

/// Every error, and how many there are.
pub(super) fn mistakes(report: &Report, colour: bool) -> String {
    format!("{}.\n", told(report, colour))
}

fn told(report: &Report, colour: bool) -> String {
    format!(
        "{}{} in {}",
        report.render(colour),
        counted(report.errors(), "error", "errors"),
        report.file(),
    )
}

fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

fn summary(path: &Path, config: &Config, warnings: usize) -> String {
    let warnings = match warnings {
        0 => String::new(),
        count => format!(", with {}", counted(count, "warning", "warnings")),
    };
    let mut text = format!("{} is valid{warnings}.\n\n", path.display());
    config
        .frontends
        .iter()
        .for_each(|f| text += &frontend(config, f));
    config.backends.iter().for_each(|b| text += &backend(b));
    text += &config.stats.as_ref().map(stats).unwrap_or_default();
    text
}

fn addresses(bind: &[std::net::SocketAddr]) -> String {
    let bind: Vec<_> = bind.iter().map(ToString::to_string).collect();
    bind.join(", ")
}

fn frontend(config: &Config, frontend: &FrontendConfig) -> String {
    let mut text = format!(
        "frontend {} on {}\n",
        frontend.name,
        addresses(&frontend.bind)
    );
    for rule in &frontend.rules {
        let when = match rule.text.as_str() {
            "" => "always".to_owned(),
            text => format!("if {text}"),
        };
        let _ = writeln!(text, "  {when}: {}", config.backend(rule.backend));
    }
    match frontend.default_backend {
        Some(id) if frontend.rules.is_empty() => {
            let _ = writeln!(text, "  always: {}", config.backend(id));
        }
        Some(id) => {
            let _ = writeln!(text, "  else: {}", config.backend(id));
        }
        None => text += "  else: closed\n",
    }
    text
}

fn backend(backend: &BackendConfig) -> String {
    let backups = backend
        .servers
        .iter()
        .filter(|server| server.backup)
        .count();
    let primaries = backend.servers.len() - backups;
    let backups = match (backups, backend.allbackups) {
        (0, _) => String::new(),
        (1, _) => ", 1 backup".to_owned(),
        (count, true) => format!(", {count} backups used all together"),
        (count, false) => format!(", {count} backups used one at a time"),
    };
    let balance = if backend.balance == Balance::default() {
        String::new()
    } else {
        format!("; balance {}", backend.balance)
    };
    format!(
        "backend {}: {}{backups}{balance}; {}\n",
        backend.name,
        counted(primaries, "primary", "primaries"),
        checks(&backend.servers),
    )
}

fn checks(servers: &[ServerConfig]) -> String {
    let mut intervals: Vec<_> = servers
        .iter()
        .filter_map(|server| server.check.as_ref().map(|check| check.interval))
        .collect();
    let checked = intervals.len();
    intervals.sort_unstable();
    let every = match (intervals.first(), intervals.last()) {
        (Some(least), Some(most)) if least == most => format!("every {}", shown(*least)),
        (Some(least), Some(most)) => format!("every {} to {}", shown(*least), shown(*most)),
        _ => return "no checks".to_owned(),
    };
    if checked == servers.len() {
        format!("all checked {every}")
    } else {
        format!("{checked} of {} checked {every}", servers.len())
    }
}

fn stats(stats: &StatsConfig) -> String {
    let who = if stats.users.is_empty() {
        "open to anyone"
    } else {
        "asks for a password"
    };
    let tls = if stats.tls.is_some() { " by TLS" } else { "" };
    let admins = stats.users.iter().filter(|user| user.role == Role::Admin);
    let admins: Vec<_> = admins.map(|user| user.name.as_str()).collect();
    let admin = if stats.admin {
        format!(", servers may be changed by {}", admins.join(", "))
    } else {
        String::new()
    };
    format!(
        "stats page on {}{tls}, path {}, {who}{admin}\n",
        addresses(&stats.bind),
        stats.uri
    )
}
