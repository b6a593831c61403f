//! `[log]`.

use crate::config::fields::{Item, Reader};
use crate::config::hints::Kind;
use crate::config::{LogConfig, LogFormat, LogLevel, SessionLog};

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const SESSIONS: [(&str, SessionLog); 3] = [
    ("all", SessionLog::All),
    ("failed", SessionLog::Failed),
    ("off", SessionLog::Off),
];

/// What is logged unless the file says otherwise.
pub(super) const DEFAULT: LogConfig = LogConfig {
    level: LogLevel::Info,
    format: LogFormat::Text,
    sessions: SessionLog::All,
};

pub(super) fn read(r: &mut Reader<'_>, item: Item<'_>) -> Option<LogConfig> {
    let mut fields = r.table(item, Kind::Log)?;
    let level = fields.read("level", |item| r.choice(item, &LEVELS)).given();
    let format = fields
        .read("format", |item| r.choice(item, &FORMATS))
        .given();
    let sessions = fields
        .read("sessions", |item| r.choice(item, &SESSIONS))
        .given();
    fields.finish(r);
    Some(LogConfig {
        level: level.unwrap_or(DEFAULT.level),
        format: format.unwrap_or(DEFAULT.format),
        sessions: sessions.unwrap_or(DEFAULT.sessions),
    })
}
