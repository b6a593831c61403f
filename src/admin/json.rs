//! The statistics as JSON, and the events.
//!
//! The statistics are in HAProxy's form (management.txt, "show stat", `json`): a list of rows,
//! each a list of fields with their position and tags, on one line. The tags were read off what
//! HAProxy 2.6 prints.

use serde::Serialize;

use super::fields::{FIELDS, Value};
use super::row::{Kind, Row};
use super::rows::Selection;
use crate::events::Journal;

/// The statistics, a row at a time.
pub fn pieces(selection: Selection) -> impl Iterator<Item = String> + Send + 'static {
    let mut first = true;
    let rows = selection.rows(move |row| {
        let before = if std::mem::take(&mut first) { "[" } else { "," };
        let fields: Vec<_> = fields(row).collect();
        before.to_owned() + &serde_json::to_string(&fields).unwrap_or_default()
    });
    rows.chain(std::iter::once("]\n".to_owned()))
}

/// The statistics in the form of `show stat typed`, a row at a time (management.txt, "typed
/// output format").
pub fn typed(selection: Selection) -> impl Iterator<Item = String> + Send + 'static {
    selection.rows(|row| fields(row).map(|field| field.typed()).collect())
}

/// The events after a number, one a line, as many as there are.
pub fn events(journal: &Journal, after: u64) -> impl Iterator<Item = String> + Send + 'static {
    let records = journal.after(after, usize::MAX).into_iter();
    let mut first = true;
    let records = records.map(move |record| {
        let before = if std::mem::take(&mut first) {
            "\n"
        } else {
            ",\n"
        };
        before.to_owned() + &record.json()
    });
    std::iter::once("[".to_owned())
        .chain(records)
        .chain(std::iter::once("\n]\n".to_owned()))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    obj_type: &'static str,
    proxy_id: u32,
    id: u32,
    field: Position,
    process_num: u32,
    tags: Tags,
    value: Typed<'a>,
}

#[derive(Debug, Serialize)]
struct Position {
    pos: usize,
    name: &'static str,
}

#[derive(Debug, Serialize)]
struct Tags {
    origin: &'static str,
    nature: &'static str,
    scope: &'static str,
}

#[derive(Debug, Serialize)]
struct Typed<'a> {
    r#type: &'static str,
    value: Scalar<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Scalar<'a> {
    Number(i64),
    Text(&'a str),
}

/// The fields of a row that apply.
fn fields<'a>(row: &'a Row<'_>) -> impl Iterator<Item = Entry<'a>> {
    FIELDS
        .iter()
        .enumerate()
        .filter_map(|(pos, (name, value))| {
            let value = match value(row) {
                Value::Empty => return None,
                Value::Number(number) => Typed {
                    r#type: number_type(name),
                    value: Scalar::Number(number as i64),
                },
                Value::Never => Typed {
                    r#type: number_type(name),
                    value: Scalar::Number(-1),
                },
                Value::Text(text) => Typed {
                    r#type: "str",
                    value: Scalar::Text(text),
                },
            };
            Some(Entry {
                obj_type: kind_name(row.kind),
                proxy_id: row.proxy_number,
                id: row.server_number,
                field: Position { pos, name },
                process_num: 1,
                tags: tags(name, row.kind),
                value,
            })
        })
}

impl Entry<'_> {
    /// One line, such as `S.3.1.5.smax.1:MMP:u32:0`. Each word is given by its first letter
    /// (`src/stats.c`, `stats_emit_field_tags`), an average by a small one, because of ages.
    fn typed(&self) -> String {
        let initial = |word: &'static str| match word {
            "Avg" => "a",
            _ => &word[..1],
        };
        let value = match &self.value.value {
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => (*text).to_owned(),
        };
        format!(
            "{}.{}.{}.{}.{}.1:{}{}{}:{}:{value}\n",
            initial(self.obj_type),
            self.proxy_id,
            self.id,
            self.field.pos,
            self.field.name,
            initial(self.tags.origin),
            initial(self.tags.nature),
            initial(self.tags.scope),
            self.value.r#type,
        )
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Frontend => "Frontend",
        Kind::Backend => "Backend",
        Kind::Server => "Server",
    }
}

fn number_type(name: &str) -> &'static str {
    match name {
        "lastsess" => "s32",
        "stot" | "bin" | "bout" | "dreq" | "dresp" | "ereq" | "econ" | "eresp" | "wretr"
        | "wredis" | "chkfail" | "chkdown" | "lbtot" | "check_duration" | "req_tot"
        | "cli_abrt" | "srv_abrt" | "comp_in" | "comp_out" | "comp_byp" | "comp_rsp"
        | "conn_tot" | "dcon" | "dses" => "u64",
        _ => "u32",
    }
}

fn tags(name: &str, kind: Kind) -> Tags {
    let (origin, nature) = match name {
        "pxname" | "svname" => ("Key", "Name"),
        "pid" | "iid" | "sid" => ("Key", "Gauge"),
        "status" => ("Status", "Gauge"),
        "act" | "bck" if kind == Kind::Server => ("Status", "Gauge"),
        "type" | "mode" | "addr" | "algo" | "check_rise" | "check_fall" | "check_health" => {
            ("Config", "Gauge")
        }
        "rate_lim" => ("Config", "Limit"),
        "rate" | "rate_max" if kind == Kind::Backend => ("Metric", "Gauge"),
        "rate" | "req_rate" | "conn_rate" => ("Metric", "Rate"),
        "smax" | "qmax" | "rate_max" | "req_rate_max" | "conn_rate_max" => ("Metric", "Max"),
        "scur" | "qcur" | "act" | "bck" => ("Metric", "Gauge"),
        "weight" => ("Metric", "Avg"),
        "lastchg" | "lastsess" => ("Metric", "Age"),
        "check_duration" => ("Metric", "Duration"),
        "check_status" | "last_chk" | "check_desc" => ("Metric", "Output"),
        _ => ("Metric", "Counter"),
    };
    let scope = match name {
        "pid" => "Process",
        _ if origin == "Key" || nature == "Gauge" && origin == "Config" => "Service",
        _ => "Process",
    };
    Tags {
        origin,
        nature,
        scope,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::Value as Json;

    use super::*;
    use crate::events::Event;
    use crate::topology::sample::{pass_check, single_farm, take_down};

    fn selection() -> Selection {
        let topology = single_farm(false);
        pass_check(&topology, 0, 0, 4);
        take_down(&topology, 0, 1);
        Selection::all(topology, Instant::now())
    }

    #[test]
    fn each_row_is_a_list_of_fields_in_haproxys_form() {
        let text: String = pieces(selection()).collect();
        assert_eq!(text.lines().count(), 1);
        let rows: Vec<Vec<Json>> = serde_json::from_str(&text).unwrap();
        assert_eq!(rows.len(), 1 + 4 + 1);
        // As HAProxy 2.6 prints it.
        let first = r#"{"objType":"Server","proxyId":3,"id":1,"field":{"pos":0,"name":"pxname"},"#
            .to_owned()
            + r#""processNum":1,"tags":{"origin":"Key","nature":"Name","scope":"Service"},"#
            + r#""value":{"type":"str","value":"bk"}}"#;
        assert!(text.contains(&first), "{text}");
        assert_eq!(rows[1][0], serde_json::from_str::<Json>(&first).unwrap());
    }

    #[test]
    fn types_and_tags_are_haproxys() {
        let text: String = typed(selection()).collect();
        for line in [
            "F.2.0.33.rate.1:MRP:u32:0",
            "S.3.1.4.scur.1:MGP:u32:0",
            "S.3.1.18.weight.1:MaP:u32:1",
            "S.3.1.19.act.1:SGP:u32:1",
            "S.3.1.55.lastsess.1:MAP:s32:-1",
            "S.3.2.17.status.1:SGP:str:DOWN",
            "S.3.2.36.check_status.1:MOP:str:L4CON",
            "S.3.2.38.check_duration.1:MDP:u64:2",
            "B.3.0.19.act.1:MGP:u32:1",
            "B.3.0.33.rate.1:MGP:u32:0",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn events_are_a_list() {
        let journal = Journal::new(5, None);
        let list = |after| {
            let text: String = events(&journal, after).collect();
            serde_json::from_str::<Vec<Json>>(&text).unwrap()
        };
        assert_eq!(list(0), Vec::<Json>::new());
        for backend in ["a", "b", "c"] {
            let backend = backend.to_owned();
            journal.record(Event::BackendDown { backend });
        }
        assert_eq!(list(0).len(), 3);
        assert_eq!(list(2)[0]["backend"], "c");
        assert_eq!(list(2).len(), 1);
    }
}
