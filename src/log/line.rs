//! A log line and its forms.

use std::io::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::Level;

use crate::config::log::LogFormat;

/// What session lines are called.
const SESSION: &str = "session";

/// What lines about events are called.
const EVENT: &str = "event";

/// A line that was said.
#[derive(Debug)]
pub struct Line {
    /// When.
    pub at: SystemTime,
    /// How much it matters.
    pub level: Level,
    /// What it is about, such as `session`.
    pub target: &'static str,
    /// The words.
    pub text: String,
    /// The same in parts, for JSON; empty if nobody wants them.
    pub fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// Whether it is about a session, of which there may be very many.
    pub fn is_of_session(&self) -> bool {
        self.target == SESSION
    }

    /// Its severity among syslog's, 0 to 7. Events have those that HAProxy gives to the same.
    pub fn severity(&self) -> u8 {
        match (self.target, self.level) {
            (EVENT, Level::ERROR) => 0,
            (EVENT, Level::WARN) => 1,
            (_, Level::ERROR) => 3,
            (_, Level::WARN) => 4,
            (EVENT, Level::INFO) => 5,
            (_, Level::INFO) => 6,
            (_, _) => 7,
        }
    }

    /// Appends the line in a form, with its end.
    pub fn write(&self, format: LogFormat, out: &mut Vec<u8>) {
        match format {
            LogFormat::Text => {
                write_time(self.at, out);
                let _ = write!(out, " {:>5} {}: ", self.level, self.target);
                self.write_text(out);
            }
            LogFormat::Json => self.write_json(out),
            LogFormat::Raw => self.write_text(out),
        }
        out.push(b'\n');
    }

    /// Appends the words on one line: they may hold what a server has sent.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.text.as_bytes());
        for byte in &mut out[start..] {
            if byte.is_ascii_control() {
                *byte = b' ';
            }
        }
    }

    /// Appends it as a JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        write_time(self.at, out);
        let _ = write!(out, "\",\"level\":\"{}\",\"message\":", self.level);
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, &self.text);
        for (name, value) in &self.fields {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            let _ = serde_json::to_writer(&mut *out, value);
        }
        let _ = write!(out, ",\"target\":\"{}\"}}", self.target);
    }
}

/// Appends a time in UTC and microseconds (RFC 3339).
pub(super) fn write_time(at: SystemTime, out: &mut Vec<u8>) {
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let _ = OffsetDateTime::from(at).format_into(out, form);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line() -> Line {
        Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_123),
            level: Level::WARN,
            target: "event",
            text: "a \"b\"\nc".into(),
            fields: vec![("retries", Value::from(3))],
        }
    }

    fn written(format: LogFormat) -> String {
        let mut out = Vec::new();
        line().write(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms() {
        let text = "2023-11-14T22:13:20.000123Z  WARN event: a \"b\" c\n";
        assert_eq!(written(LogFormat::Text), text);
        assert_eq!(written(LogFormat::Raw), "a \"b\" c\n");
        let json = r#"{"timestamp":"2023-11-14T22:13:20.000123Z","level":"WARN","#.to_owned()
            + r#""message":"a \"b\"\nc","retries":3,"target":"event"}"#;
        assert_eq!(written(LogFormat::Json), json + "\n");
    }

    #[test]
    fn severities_are_haproxys() {
        let of = |target, level| {
            Line {
                level,
                target,
                ..line()
            }
            .severity()
        };
        assert_eq!(
            [Level::ERROR, Level::WARN, Level::INFO].map(|l| of("event", l)),
            [0, 1, 5]
        );
        assert_eq!(
            [Level::ERROR, Level::WARN, Level::INFO].map(|l| of("session", l)),
            [3, 4, 6]
        );
        assert_eq!(of("x", Level::DEBUG), 7);
    }
}
