//! `show info`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getpid, getrlimit};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Api;
use super::command::{Answer, Client};
use crate::admin::health::Point;

/// A field: its position in HAProxy's list, its name, its tags and its value.
struct Field {
    position: u32,
    name: &'static str,
    tags: Tags,
    value: Value,
}

/// Origin and nature; the scope is always the process or the service.
type Tags = (&'static str, &'static str, &'static str);

const PRODUCT: Tags = ("Product", "Output", "Service");
const KEY: Tags = ("Key", "Gauge", "Process");
const STATUS: Tags = ("Status", "Gauge", "Process");
const SETTING: Tags = ("Config", "Gauge", "Service");
const LIMIT: Tags = ("Config", "Limit", "Process");
const AGE: Tags = ("Metric", "Duration", "Process");
const GAUGE: Tags = ("Metric", "Gauge", "Process");
const COUNTER: Tags = ("Metric", "Counter", "Process");
const RATE: Tags = ("Metric", "Rate", "Process");
const MAXIMUM: Tags = ("Metric", "Max", "Process");

enum Value {
    Text(String),
    Number(u64),
}

/// `show info [json|typed]`: those of HAProxy's fields that say something here
/// (management.txt, "show info"), with its names and positions.
pub fn show(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let fields = fields(api);
    if words.contains(&"json") {
        let fields: Vec<_> = fields.iter().map(Json::of).collect();
        return Answer::line(serde_json::to_string(&fields).unwrap_or_default());
    }
    let typed = words.contains(&"typed");
    let mut text = String::new();
    for field in &fields {
        let _ = match (typed, &field.value) {
            (false, Value::Text(value)) => writeln!(text, "{}: {value}", field.name),
            (false, Value::Number(value)) => writeln!(text, "{}: {value}", field.name),
            (true, Value::Text(value)) => writeln!(text, "{}str:{value}", field.head()),
            (true, Value::Number(value)) => writeln!(text, "{}u32:{value}", field.head()),
        };
    }
    Answer::Text(text)
}

fn fields(api: &Api) -> Vec<Field> {
    let running = &api.running;
    let reloads = running.reloads.counts();
    let uptime = running.topology.started.elapsed();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let admission = &running.topology.admission;
    let open = u64::from(admission.open());
    let sessions = running.sum(|counters| counters.total(|s| &s.sessions));
    let rate = running.sum(|counters| counters.rate().into());
    let highest = running.sum(|counters| counters.highest_rate().into());
    let stopping = u64::from(running.readiness.point() == Point::Stopping);
    let binds = running
        .topology
        .frontends
        .iter()
        .map(|f| f.config.bind.len());
    let bytes_out = running.sum(|counters| counters.total(|s| &s.bytes_out));
    let text = |position, name, tags, value: &str| Field {
        position,
        name,
        tags,
        value: Value::Text(value.to_owned()),
    };
    let number = |position, name, tags, value| Field {
        position,
        name,
        tags,
        value: Value::Number(value),
    };
    vec![
        // Clients ask no further if it is another name.
        text(0, "Name", PRODUCT, "HAProxy"),
        text(1, "Version", PRODUCT, env!("CARGO_PKG_VERSION")),
        text(2, "Release_date", PRODUCT, &built()),
        number(3, "Nbthread", SETTING, running.workers() as u64),
        number(4, "Nbproc", SETTING, 1),
        number(5, "Process_num", KEY, 1),
        number(6, "Pid", STATUS, getpid().as_raw_nonzero().get() as u64),
        text(7, "Uptime", AGE, &days(uptime)),
        number(8, "Uptime_sec", AGE, uptime.as_secs()),
        number(13, "Ulimit-n", LIMIT, descriptors),
        number(14, "Maxsock", LIMIT, descriptors),
        number(15, "Maxconn", LIMIT, admission.maxconn().into()),
        number(16, "Hard_maxconn", LIMIT, admission.hard_maxconn().into()),
        number(17, "CurrConns", GAUGE, open),
        number(18, "CumConns", COUNTER, sessions),
        number(19, "CumReq", COUNTER, sessions),
        number(23, "Maxpipes", LIMIT, 0),
        number(24, "PipesUsed", GAUGE, 0),
        number(25, "PipesFree", GAUGE, 0),
        number(26, "ConnRate", RATE, rate),
        number(27, "ConnRateLimit", LIMIT, 0),
        number(28, "MaxConnRate", MAXIMUM, highest),
        number(29, "SessRate", RATE, rate),
        number(30, "SessRateLimit", LIMIT, 0),
        number(31, "MaxSessRate", MAXIMUM, highest),
        number(47, "Tasks", GAUGE, open),
        number(48, "Run_queue", GAUGE, 0),
        text(50, "node", ("Config", "Output", "Service"), &node()),
        text(
            51,
            "description",
            ("Config", "Output", "Service"),
            "Backstop",
        ),
        number(52, "Stopping", GAUGE, stopping),
        number(53, "Jobs", GAUGE, open),
        number(55, "Listeners", GAUGE, binds.sum::<usize>() as u64),
        number(61, "TotalBytesOut", GAUGE, bytes_out),
        number(70, "Start_time_sec", AGE, running.began()),
        number(1_000, "Reloads", COUNTER, reloads.done),
        number(1_001, "Reloads_failed", COUNTER, reloads.failed),
        text(
            1_002,
            "Reload_error",
            STATUS,
            reloads.error.as_deref().unwrap_or(""),
        ),
    ]
}

/// The day on which the program was built or installed, as its file tells it.
fn built() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let made = file.and_then(|file| file.modified());
    let made = OffsetDateTime::from(made.unwrap_or(SystemTime::UNIX_EPOCH));
    made.format(format_description!("[year]/[month]/[day]"))
        .unwrap_or_default()
}

fn node() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Such as `1d 2h03m04s`.
fn days(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    format!(
        "{days}d {hours}h{:02}m{:02}s",
        seconds / 60 % 60,
        seconds % 60
    )
}

impl Field {
    /// What stands before the value in `show info typed`.
    fn head(&self) -> String {
        let (origin, nature, scope) = self.tags;
        let initials = format!("{}{}{}", &origin[..1], &nature[..1], &scope[..1]);
        format!("{}.{}.1:{initials}:", self.position, self.name)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    field: Position,
    process_num: u32,
    tags: JsonTags,
    value: JsonValue<'a>,
}

#[derive(Serialize)]
struct Position {
    pos: u32,
    name: &'static str,
}

#[derive(Serialize)]
struct JsonTags {
    origin: &'static str,
    nature: &'static str,
    scope: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "value")]
enum JsonValue<'a> {
    #[serde(rename = "str")]
    Text(&'a str),
    #[serde(rename = "u32")]
    Number(u64),
}

impl<'a> Json<'a> {
    fn of(field: &'a Field) -> Self {
        let (origin, nature, scope) = field.tags;
        Self {
            field: Position {
                pos: field.position,
                name: field.name,
            },
            process_num: 1,
            tags: JsonTags {
                origin,
                nature,
                scope,
            },
            value: match &field.value {
                Value::Text(text) => JsonValue::Text(text),
                Value::Number(number) => JsonValue::Number(*number),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_haproxy_does() {
        assert_eq!(days(Duration::from_secs(4)), "0d 0h00m04s");
        assert_eq!(days(Duration::from_secs(93_784)), "1d 2h03m04s");
    }
}
