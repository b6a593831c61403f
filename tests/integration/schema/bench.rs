//! The program, the schema, and documents to put to both.

use std::collections::BTreeSet;

use backstop::config::report::Report;
use backstop::config::{self, Config};
use toml::{Table, Value};

use super::places::{Part, Place, Step, at, base, places, samples, tables};
use super::{Validator, schema, table};

/// A key that nothing has, and that is not near to one.
pub(super) const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

/// Files that examples name, and what is read in their place.
const FILES: [(&str, &str); 5] = [
    ("/etc/backstop/page.pem", "tests/fixtures/tls/page.pem"),
    ("/etc/backstop/page.key", "tests/fixtures/tls/page.key"),
    (
        "/etc/ssl/certs/internal-ca.pem",
        "tests/fixtures/tls/page.pem",
    ),
    (
        "/etc/backstop/networks",
        "tests/fixtures/bad/empty-file.toml",
    ),
    ("/etc/backstop/wall.password", "Cargo.toml"),
];

/// What is the same for every key.
pub(super) struct Bench {
    pub(super) validator: Validator,
    pub(super) root: &'static Table,
    pub(super) places: Vec<Place<'static>>,
}

/// What the program says of a document; `variable` is the value of every `${V}`.
pub(super) fn read(document: &Table, variable: &str) -> Result<Config, Report> {
    let mut text = toml::to_string(document).unwrap();
    for (named, there) in FILES {
        text = text.replace(&format!("{named:?}"), &format!("{there:?}"));
    }
    config::parse(&text, "probe.toml", &|_| Some(variable.to_owned())).map(|loaded| loaded.config)
}

impl Bench {
    pub(super) fn new() -> Self {
        let root: &'static Table = Box::leak(Box::new(schema()));
        Self {
            validator: Validator::new(),
            root,
            places: places(root),
        }
    }

    pub(super) fn both_take(&self, document: &Table) -> bool {
        self.validator.takes(document).is_ok() && read(document, "x").is_ok()
    }

    /// Documents in which the table of `place` stands: with what it and those around it must have,
    /// and with each of its examples.
    pub(super) fn documents(&self, place: &Place<'_>) -> Vec<Table> {
        let mut document = base();
        for around in &self.places {
            if place.path.starts_with(&around.path) && around.path != place.path {
                let mut tables = self.tables(around);
                // An example says more than what is required.
                let table = tables.swap_remove(usize::from(tables.len() > 1));
                add(&mut document, &around.path, table);
            }
        }
        let each = self.tables(place).into_iter().map(|table| {
            let mut document = document.clone();
            add(&mut document, &place.path, table);
            document
        });
        each.collect()
    }

    fn tables(&self, place: &Place<'_>) -> Vec<Table> {
        let first = |key: &str| {
            samples(self.root, &Self::part(place, key))
                .into_iter()
                .next()
        };
        tables(place.schema, first)
    }

    pub(super) fn part<'s>(place: &Place<'s>, key: &str) -> Part<'s> {
        let schema = table(place.schema, "properties").and_then(|all| table(all, key));
        Part {
            schema: schema.unwrap_or_else(|| panic!("{}: no {key}", place.pointer)),
            pointer: format!("{}/properties/{key}", place.pointer),
        }
    }
}

/// Adds what `table` has to that where `path` leads.
fn add(document: &mut Table, path: &[Step], table: Table) {
    let mut whole = Value::Table(std::mem::take(document));
    let value = at(&mut whole, path);
    let mut inside = table;
    inside.extend(value.as_table().cloned().unwrap_or_default());
    *value = Value::Table(inside);
    *document = whole.as_table().unwrap().clone();
}

/// The keys that the program lists when it meets one that it does not know; `None` if it takes no
/// table there.
pub(super) fn known_keys(document: &Table) -> Option<BTreeSet<String>> {
    let report = read(document, "x").unwrap_err();
    let unknown = format!("unknown key `{UNKNOWN}`");
    let mut problems = report.problems().iter();
    problems.find(|problem| problem.title().starts_with(&unknown))?;
    let text = report.to_string();
    let (_, after) = text.split_once(&unknown)?;
    let lists = |line: &&str| line.contains("known here are ") || line.ends_with(" is known here");
    let line = after.lines().find(lists)?;
    Some(quoted(line, '`'))
}

pub(super) fn quoted(line: &str, quote: char) -> BTreeSet<String> {
    let words = line.split(quote).skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

pub(super) fn unknown() -> Value {
    Value::Table(Table::from_iter([(UNKNOWN.to_owned(), 1.into())]))
}
