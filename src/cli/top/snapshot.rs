//! The answers of the runtime API as data.

use std::io;

use serde::Deserialize;

use crate::admin::row::Standing;

/// All that one look asks for. The only answer that may contain an empty line, which ends
/// answers, is the last.
pub(super) const QUESTIONS: &str = "show cli level; show info json; show routes json; show stat";

/// What one look has found.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// What the socket lets its clients do.
    pub(super) level: String,
    pub(super) process: Process,
    pub(super) routes: Vec<RouteLine>,
    /// The frontends, then each backend before its servers.
    pub(super) rows: Vec<Row>,
}

/// The process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) version: String,
    pub(super) node: String,
    pub(super) pid: u64,
    /// Seconds.
    pub(super) uptime: u64,
    pub(super) sessions: u64,
    /// Per second.
    pub(super) rate: u64,
    pub(super) stopping: bool,
    /// Why the last reload failed; empty if it did not.
    pub(super) reload_error: String,
}

/// A line of `show routes json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RouteLine {
    pub(super) frontend: String,
    /// `ok`, `warn` or `bad`.
    pub(super) usual: String,
    pub(super) for_some: Vec<Way>,
    pub(super) otherwise: Option<Way>,
    pub(super) because: String,
    pub(super) since: Option<String>,
    pub(super) age: Option<u64>,
}

/// Where sessions of a frontend go.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Way {
    pub(super) backend: String,
    pub(super) servers: String,
    pub(super) because: String,
}

/// A line of `show events json`; what is not shown is left out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Happened {
    /// In UTC (RFC 3339).
    pub(super) time: String,
    pub(super) severity: String,
    pub(super) text: String,
}

/// What a row is about, in the numbers of the field `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub(super) enum Kind {
    Frontend,
    Backend,
    Server,
}

impl TryFrom<u8> for Kind {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Frontend),
            1 => Ok(Self::Backend),
            2 => Ok(Self::Server),
            other => Err(format!("no row is of type {other}")),
        }
    }
}

/// A line of `show stat`; what is not shown is left out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(rename = "# pxname")]
    pub(super) proxy: String,
    #[serde(rename = "svname")]
    pub(super) name: String,
    pub(super) status: String,
    #[serde(rename = "scur")]
    pub(super) sessions: u64,
    #[serde(rename = "qcur")]
    pub(super) waiting: Option<u64>,
    pub(super) rate: u64,
    #[serde(rename = "bin")]
    pub(super) bytes_in: u64,
    #[serde(rename = "bout")]
    pub(super) bytes_out: u64,
    pub(super) weight: Option<u64>,
    #[serde(rename = "bck")]
    backups: Option<u64>,
    #[serde(rename = "lastchg")]
    pub(super) changed: Option<u64>,
    check_health: Option<u64>,
    check_rise: Option<u64>,
    check_fall: Option<u64>,
    #[serde(rename = "check_status")]
    pub(super) check: Option<String>,
    pub(super) check_desc: Option<String>,
    pub(super) check_duration: Option<u64>,
    #[serde(rename = "last_chk")]
    pub(super) check_info: Option<String>,
    #[serde(rename = "addr")]
    pub(super) address: Option<String>,
    /// Bytes per second since the look before, towards the server and from it.
    #[serde(skip)]
    pub(super) flow: Option<(u64, u64)>,
}

impl Snapshot {
    /// The answer to [`QUESTIONS`].
    pub(super) fn of(answer: &str) -> io::Result<Self> {
        let mut answers = answer.splitn(4, "\n\n");
        let mut next = || answers.next().unwrap_or_default();
        Ok(Self {
            level: next().trim().to_owned(),
            process: Process::of(next())?,
            routes: json("show routes", next())?,
            rows: rows(next())?,
        })
    }
}

/// An answer that is no JSON is a refusal, in words.
fn json<'a, T: Deserialize<'a>>(question: &str, answer: &'a str) -> io::Result<T> {
    serde_json::from_str(answer).map_err(|_| {
        let said = answer.lines().next().unwrap_or("no answer");
        io::Error::other(format!("`{question}` is answered with: {said}"))
    })
}

fn rows(answer: &str) -> io::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(answer.as_bytes());
    let rows = reader.deserialize().collect::<Result<_, _>>();
    rows.map_err(|error| io::Error::other(format!("`show stat` is answered with: {error}")))
}

#[derive(Deserialize)]
struct Field {
    field: Name,
    value: Value,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Value {
    value: serde_json::Value,
}

impl Process {
    fn of(answer: &str) -> io::Result<Self> {
        let fields: Vec<Field> = json("show info", answer)?;
        let value = |name: &str| {
            let field = fields.iter().find(|field| field.field.name == name);
            field.map(|field| &field.value.value)
        };
        let number = |name| value(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let text = |name| {
            let text = value(name).and_then(serde_json::Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Ok(Self {
            version: text("Version"),
            node: text("node"),
            pid: number("Pid"),
            uptime: number("Uptime_sec"),
            sessions: number("CurrConns"),
            rate: number("SessRate"),
            stopping: number("Stopping") > 0,
            reload_error: text("Reload_error"),
        })
    }
}

impl Row {
    /// `backend/server`, or the name of a frontend or backend.
    pub(super) fn path(&self) -> String {
        match self.kind {
            Kind::Server => format!("{}/{}", self.proxy, self.name),
            Kind::Frontend | Kind::Backend => self.proxy.clone(),
        }
    }

    /// Whether it is a backup server.
    pub(super) fn is_backup(&self) -> bool {
        self.kind == Kind::Server && self.backups.is_some_and(|backups| backups > 0)
    }

    /// What its colour says, by the rule of the stats page ([`Standing::of`]), from what
    /// `show stat` tells of it.
    pub(super) fn standing(&self) -> Standing {
        let word = self.status.split(' ').next().unwrap_or_default();
        let health = self.check_health.unwrap_or(0);
        let full = self.check_rise.zip(self.check_fall);
        let is_full = full.is_none_or(|(rise, fall)| health + 1 >= rise + fall);
        match word {
            "MAINT" | "PAUSED" => Standing::Maintenance,
            "DRAIN" | "NOLB" => Standing::Drain,
            "DOWN" if self.kind == Kind::Server && health > 0 => Standing::GoingUp,
            "DOWN" => Standing::Down,
            "no" => Standing::Unchecked,
            _ if self.kind != Kind::Server => Standing::Up,
            _ if !is_full => Standing::GoingDown,
            _ if self.weight == Some(0) => Standing::Drain,
            _ => Standing::Up,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Answers of a running Backstop, shortened.
    pub(in crate::cli::top) const ANSWER: &str = include_str!("sample.txt");

    #[test]
    fn answers_become_data() {
        let snapshot = Snapshot::of(ANSWER).unwrap();
        assert_eq!(snapshot.level, "admin");
        assert_eq!(snapshot.process.pid, 4711);
        assert_eq!(snapshot.routes.len(), 2);
        let paths: Vec<_> = snapshot.rows.iter().map(Row::path).collect();
        assert_eq!(
            paths,
            [
                "api",
                "app",
                "main/web1",
                "main/web2",
                "main/spare",
                "main",
                "other/o1",
                "other"
            ]
        );
        let told = |path: &str| {
            let row = snapshot.rows.iter().find(|row| row.path() == path).unwrap();
            (row.standing(), row.is_backup(), row.status.as_str())
        };
        assert_eq!(told("main/web1"), (Standing::Down, false, "DOWN"));
        assert_eq!(told("main/web2"), (Standing::GoingDown, false, "UP 2/3"));
        assert_eq!(told("main/spare"), (Standing::Up, true, "UP"));
        assert_eq!(told("main"), (Standing::Up, false, "UP"));
        assert_eq!(told("other/o1"), (Standing::Maintenance, false, "MAINT"));
        assert_eq!(told("other"), (Standing::Down, false, "DOWN"));
        let web1 = &snapshot.rows[2];
        assert_eq!(
            web1.check_info.as_deref(),
            Some("Connection refused, \"x\"")
        );
    }

    #[test]
    fn a_refusal_is_told_in_its_words() {
        let old = "admin\n\n[]\n\nUnknown command, but maybe\n\n";
        let error = Snapshot::of(old).unwrap_err().to_string();
        assert_eq!(
            error,
            "`show routes` is answered with: Unknown command, but maybe"
        );
        assert!(Snapshot::of("").is_err());
    }

    #[test]
    fn an_infinity_of_wrong_answers_is_survived() {
        for end in (0..ANSWER.len()).step_by(41) {
            if let Some(part) = ANSWER.get(..end) {
                let _ = Snapshot::of(part);
            }
        }
    }
}
