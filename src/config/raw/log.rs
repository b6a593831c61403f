//! `[log]`.

use std::path::PathBuf;

use crate::config::fields::{Fields, Item, Reader, one_or_list};
use crate::config::hints::Kind;
use crate::config::log::{
    FACILITIES, LogConfig, LogFormat, LogLevel, LogSink, LogTarget, SessionLog, SyslogConfig,
    SyslogProtocol, SyslogServer,
};
use crate::config::report::Problem;
use crate::config::session_format::{SessionFormat, parse_format};
use crate::config::value::{self, Fault};

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 3] = [
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("raw", LogFormat::Raw),
];
const SESSIONS: [(&str, SessionLog); 3] = [
    ("all", SessionLog::All),
    ("failed", SessionLog::Failed),
    ("off", SessionLog::Off),
];
const PROTOCOLS: [(&str, SyslogProtocol); 2] = [
    ("rfc3164", SyslogProtocol::Rfc3164),
    ("rfc5424", SyslogProtocol::Rfc5424),
];

/// Where syslog servers listen by UDP (RFC 5426, 3.3).
const SYSLOG_PORT: u16 = 514;

/// HAProxy's `len` unless given, and its least.
const LENGTH: usize = 1_024;
const LEAST_LENGTH: u64 = 80;

pub(super) fn read(r: &mut Reader<'_>, item: Item<'_>) -> Option<LogConfig> {
    let mut fields = r.table(item, Kind::Log)?;
    let standard = LogConfig::default();
    let level = fields.read("level", |item| r.choice(item, &LEVELS)).given();
    let format = fields
        .read("format", |item| r.choice(item, &FORMATS))
        .given();
    let sessions = fields
        .read("sessions", |item| r.choice(item, &SESSIONS))
        .given();
    let rate_limit = fields
        .read("rate_limit", |item| r.number(item, 1..=10_000_000))
        .given();
    let targets = fields.read("targets", |item| targets(r, item)).given();
    fields.finish(r);
    Some(LogConfig {
        level: level.unwrap_or(standard.level),
        format: format.unwrap_or(standard.format),
        sessions: sessions.unwrap_or(standard.sessions),
        rate_limit: rate_limit.map(|limit| limit.value as u32),
        targets: targets.unwrap_or(standard.targets),
    })
}

/// `log_format`.
pub(super) fn session_format(r: &mut Reader<'_>, item: Item<'_>) -> Option<SessionFormat> {
    r.parsed(item, parse_format).map(|format| format.value)
}

fn targets(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<LogTarget>> {
    let items = one_or_list(item);
    if items.is_empty() {
        let problem = Problem::error("`targets` is an empty list").at(item.span);
        r.problems
            .push(problem.help("write \"stdout\", or leave it out for the same"));
        return None;
    }
    let targets: Vec<_> = items.into_iter().map(|item| target(r, item)).collect();
    targets.into_iter().collect()
}

fn target(r: &mut Reader<'_>, item: Item<'_>) -> Option<LogTarget> {
    if let toml::de::DeValue::String(_) = item.value {
        let stdout = r.choice_or(item, &[("stdout", ())], OR);
        return stdout.map(|()| LogTarget {
            to: LogSink::Stdout,
            level: None,
            format: None,
        });
    }
    let mut fields = r.table(item, Kind::LogTarget)?;
    let level = fields.read("level", |item| r.choice(item, &LEVELS)).given();
    let format = fields
        .read("format", |item| r.choice(item, &FORMATS))
        .given();
    let stdout = fields.read("stdout", |item| r.boolean(item)).given();
    let file = fields.read("file", |item| r.text(item)).given();
    let syslog = syslog(r, &mut fields);
    let given = ["stdout", "file", "syslog"].map(|key| fields.place(key));
    fields.finish(r);
    let mut places = given.into_iter().flatten();
    match (places.next(), places.next()) {
        (None, _) => {
            let problem = Problem::error("this log target says nothing of where").at(item.span);
            r.problems.push(problem.help(
                "add `file = \"/var/log/backstop.log\"`, `syslog = \"/dev/log\"` or `stdout = true`",
            ));
            return None;
        }
        (Some(first), Some(second)) => {
            let problem = Problem::error("a log target is one place").at(second);
            let problem = problem.related(first, "the first place");
            r.problems.push(problem.help("write a target for each"));
            return None;
        }
        (Some(_), None) => {}
    }
    let to = match (file, syslog) {
        (Some(file), _) => LogSink::File(PathBuf::from(file.value)),
        (None, Some(syslog)) => LogSink::Syslog(syslog),
        (None, None) if stdout == Some(true) => LogSink::Stdout,
        (None, None) => return nowhere(r, stdout, item),
    };
    Some(LogTarget { to, level, format })
}

/// What else a target can be, for who wrote another string than "stdout".
const OR: &str = ", or a table such as `{ file = \"/var/log/backstop.log\" }` or \
                  `{ syslog = \"/dev/log\" }`";

/// `stdout = false` leaves nothing; whatever else is wrong was recorded.
fn nowhere(r: &mut Reader<'_>, stdout: Option<bool>, item: Item<'_>) -> Option<LogTarget> {
    if stdout == Some(false) {
        let problem = Problem::error("this log target says nothing of where").at(item.span);
        r.problems.push(problem.help("remove it"));
    }
    None
}

/// `syslog` and its settings, which are of no use without it.
fn syslog(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<SyslogConfig> {
    let server = fields.read("syslog", |item| r.parsed(item, syslog_server));
    let protocol = fields
        .read("protocol", |item| r.choice(item, &PROTOCOLS))
        .given();
    let facilities: Vec<_> = FACILITIES.into_iter().zip(0_u8..).collect();
    let facility = fields
        .read("facility", |item| r.choice(item, &facilities))
        .given();
    let tag = fields
        .read("tag", |item| r.parsed(item, syslog_word))
        .given();
    let hostname = fields
        .read("hostname", |item| r.parsed(item, syslog_word))
        .given();
    let length = fields
        .read("length", |item| r.number(item, LEAST_LENGTH..=65_535))
        .given();
    if !fields.has("syslog") {
        for key in ["protocol", "facility", "tag", "hostname", "length"] {
            if let Some(span) = fields.place(key) {
                let title = format!("`{key}` is of no use without `syslog`");
                r.problems
                    .push(Problem::error(title).at(span).help("remove it"));
            }
        }
    }
    Some(SyslogConfig {
        server: server.given()?.value,
        protocol: protocol.unwrap_or(SyslogProtocol::Rfc3164),
        facility: facility.unwrap_or(DAEMON),
        tag: tag.map_or_else(|| "backstop".to_owned(), |tag| tag.value),
        hostname: hostname.map(|hostname| hostname.value),
        length: length.map_or(LENGTH, |length| length.value as usize),
    })
}

/// The facility of system daemons.
const DAEMON: u8 = 3;

/// `/path` of a Unix socket, or `host` and `host:port` by UDP.
fn syslog_server(text: &str) -> Result<SyslogServer, Fault> {
    if text.starts_with('/') {
        return value::socket_path(text).map(SyslogServer::Unix);
    }
    let with_port = if text
        .rsplit(':')
        .next()
        .is_some_and(|port| port.parse::<u16>().is_ok())
        && text.parse::<std::net::Ipv6Addr>().is_err()
    {
        text.to_owned()
    } else {
        format!("{text}:{SYSLOG_PORT}")
    };
    match value::server_address(&with_port) {
        Ok(address) => Ok(SyslogServer::Udp(address.host, address.port)),
        Err(fault) => Err(Fault {
            help: Some(
                "write \"host:514\" for UDP, or the path of a Unix socket such as \"/dev/log\""
                    .to_owned(),
            ),
            range: None,
            ..fault
        }),
    }
}

/// A word of a syslog message's head: printable and without spaces (RFC 5424, 6).
fn syslog_word(text: &str) -> Result<String, Fault> {
    if text.len() <= 48 && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Fault {
        title: format!("{text:?} cannot stand in the head of a syslog message"),
        help: Some("write at most 48 letters, digits and signs, without spaces".to_owned()),
        range: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_servers() {
        let udp = |host: &str, port| SyslogServer::Udp(host.to_owned(), port);
        assert_eq!(
            syslog_server("logs.example").unwrap(),
            udp("logs.example", 514)
        );
        assert_eq!(
            syslog_server("10.0.0.9:5514").unwrap(),
            udp("10.0.0.9", 5514)
        );
        assert_eq!(syslog_server("[::1]:514").unwrap(), udp("::1", 514));
        assert_eq!(
            syslog_server("/dev/log").unwrap(),
            SyslogServer::Unix("/dev/log".into())
        );
        for wrong in ["udp://host:514", "a b", "host:99999", ":514"] {
            assert!(syslog_server(wrong).is_err(), "{wrong}");
        }
    }
}
