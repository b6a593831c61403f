//! `[log]`: what is logged, where to, and in which form.

use std::path::PathBuf;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is written, unless a target says otherwise.
    pub level: LogLevel,
    /// How a line is written, unless a target says otherwise.
    pub format: LogFormat,
    /// Which sessions get a line when they end.
    pub sessions: SessionLog,
    /// The most session lines a second; `None` is no limit.
    pub rate_limit: Option<u32>,
    /// Where lines go; never empty.
    pub targets: Vec<LogTarget>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
            sessions: SessionLog::All,
            rate_limit: None,
            targets: vec![LogTarget {
                to: LogSink::Stdout,
                level: None,
                format: None,
            }],
        }
    }
}

/// The severity of a log line, least severe last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something may soon not work.
    Warn,
    /// State changes and sessions.
    Info,
    /// Every check.
    Debug,
    /// Everything.
    Trace,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; sessions in HAProxy's tcplog form.
    Text,
    /// One JSON object a line.
    Json,
    /// What is said alone, without time and severity.
    Raw,
}

/// Which sessions get a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SessionLog {
    /// Each one.
    All,
    /// Those that did not end normally, and those that needed another server.
    Failed,
    /// None.
    Off,
}

/// One of `targets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// Where.
    pub to: LogSink,
    /// In place of the general one.
    pub level: Option<LogLevel>,
    /// In place of the general one. A syslog target writes the time and the severity itself.
    pub format: Option<LogFormat>,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// A file, which is opened anew on SIGUSR1.
    File(PathBuf),
    /// A syslog server.
    Syslog(SyslogConfig),
}

/// A syslog server and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Where it listens.
    pub server: SyslogServer,
    /// The form of messages.
    pub protocol: SyslogProtocol,
    /// 0 to 23 (RFC 5424, 6.2.1).
    pub facility: u8,
    /// The program's name in messages.
    pub tag: String,
    /// This machine's name in messages. Unset: what the machine calls itself with RFC 5424, and
    /// none with RFC 3164 (configuration.txt, "log-send-hostname").
    pub hostname: Option<String>,
    /// The most bytes of one message; what is longer is cut (configuration.txt, "log", `len`).
    pub length: usize,
}

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogServer {
    /// By UDP: a name or an IP address without brackets, and a port.
    Udp(String, u16),
    /// By datagrams of a Unix socket.
    Unix(PathBuf),
}

/// The form of syslog messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogProtocol {
    /// `<134>Nov 21 09:00:00 backstop[17]: …` (RFC 3164, as HAProxy writes it).
    Rfc3164,
    /// `<134>1 2026-11-21T09:00:00.000000Z host backstop 17 session - …` (RFC 5424).
    Rfc5424,
}

/// The facilities by their numbers, as HAProxy names them (configuration.txt, "log").
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
