//! The tables that a configuration may have, by the schema, and documents that have them.

use toml::{Table, Value};

use super::table;

/// One step from the top of a file to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// The first of a list.
    Item,
}

/// A table that a file may have.
#[derive(Debug)]
pub(super) struct Place<'s> {
    pub(super) path: Vec<Step>,
    /// What the schema says of it.
    pub(super) schema: &'s Table,
    /// Where the schema says that, as a JSON pointer.
    pub(super) pointer: String,
}

impl Place<'_> {
    /// As people write it.
    pub(super) fn shown(&self) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Key(key) => key.as_str(),
            Step::Item => "[0]",
        });
        steps.collect::<Vec<_>>().join(".").replace(".[", "[")
    }

    pub(super) fn with(&self, step: Step) -> Vec<Step> {
        let mut path = self.path.clone();
        path.push(step);
        path
    }

    pub(super) fn properties(&self) -> &Table {
        table(self.schema, "properties").unwrap()
    }
}

/// A part of the schema, and where it stands.
#[derive(Clone)]
pub(super) struct Part<'s> {
    pub(super) schema: &'s Table,
    pub(super) pointer: String,
}

/// What a part of the schema refers to, or the part itself.
pub(super) fn followed<'s>(root: &'s Table, part: &Part<'s>) -> Part<'s> {
    let Some(pointer) = part.schema.get("$ref").and_then(Value::as_str) else {
        return part.clone();
    };
    let found = pointer.strip_prefix("#/").and_then(|path| {
        let mut parts = path.split('/');
        parts.try_fold(root, |schema, key| table(schema, key))
    });
    let schema = found.unwrap_or_else(|| panic!("{}: no {pointer}", part.pointer));
    let pointer = pointer.to_owned();
    followed(root, &Part { schema, pointer })
}

/// What a part of the schema comes to, with references followed and alternatives apart.
pub(super) fn alternatives<'s>(root: &'s Table, part: &Part<'s>) -> Vec<Part<'s>> {
    let part = followed(root, part);
    let Some(any) = part.schema.get("anyOf").and_then(Value::as_array) else {
        return vec![part];
    };
    let each = any.iter().enumerate().map(|(number, value)| Part {
        schema: value.as_table().unwrap(),
        pointer: format!("{}/anyOf/{number}", part.pointer),
    });
    each.flat_map(|part| alternatives(root, &part)).collect()
}

/// Every table with keys of its own that a file may have.
pub(super) fn places(root: &Table) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    let pointer = "#".to_owned();
    let whole = Part {
        schema: root,
        pointer,
    };
    visit(root, &whole, &[], &mut places);
    places
}

fn visit<'s>(root: &'s Table, part: &Part<'s>, path: &[Step], places: &mut Vec<Place<'s>>) {
    for Part { schema, pointer } in alternatives(root, part) {
        let mut below = |schema: &'s Table, more: &str, step: Step| {
            let mut path = path.to_vec();
            path.push(step);
            let pointer = format!("{pointer}/{more}");
            visit(root, &Part { schema, pointer }, &path, places);
        };
        if let Some(each) = table(schema, "additionalProperties") {
            let key = match path.last() {
                Some(Step::Key(key)) => name(Some(key)),
                _ => name(None),
            };
            below(each, "additionalProperties", Step::Key(key.to_owned()));
        }
        if let Some(items) = table(schema, "items") {
            below(items, "items", Step::Item);
        }
        if let Some(properties) = table(schema, "properties") {
            for (key, schema) in properties {
                let more = format!("properties/{key}");
                below(schema.as_table().unwrap(), &more, Step::Key(key.clone()));
            }
            places.push(Place {
                path: path.to_vec(),
                schema,
                pointer,
            });
        }
    }
}

/// What stands for a name that the user chooses: those of [`BASE`] where it has one.
fn name(of: Option<&str>) -> &'static str {
    match of {
        Some("frontends") => "f",
        Some("backends") => "b",
        _ => "x",
    }
}

/// What every document has.
const BASE: &str = r#"
[frontends.f]
bind = ":1"
default_backend = "b"

[backends.b]
servers = [
  { name = "s", address = "s:80", zone = "a" },
  { name = "other", address = "other:80", check = true },
]
"#;

pub(super) fn base() -> Table {
    BASE.parse().unwrap()
}

/// Puts `value` where `path` leads, in place of what is there.
pub(super) fn put(document: &mut Table, path: &[Step], value: Value) {
    let mut whole = Value::Table(std::mem::take(document));
    *at(&mut whole, path) = value;
    if let Value::Table(table) = whole {
        *document = table;
    }
}

/// Removes what stands where `path` leads.
pub(super) fn remove(document: &mut Table, path: &[Step]) {
    let mut whole = Value::Table(std::mem::take(document));
    if let Some((Step::Key(key), around)) = path.split_last()
        && let Value::Table(table) = at(&mut whole, around)
    {
        table.remove(key);
    }
    if let Value::Table(table) = whole {
        *document = table;
    }
}

/// What stands where `path` leads, which is made if it is not there.
pub(super) fn at<'v>(value: &'v mut Value, path: &[Step]) -> &'v mut Value {
    let Some((step, rest)) = path.split_first() else {
        return value;
    };
    match step {
        Step::Key(key) => {
            if !value.is_table() {
                *value = Value::Table(Table::new());
            }
            let Value::Table(table) = value else {
                unreachable!()
            };
            at(table.entry(key.as_str()).or_insert(false.into()), rest)
        }
        Step::Item => {
            if value.as_array().is_none_or(Vec::is_empty) {
                *value = Value::Array(vec![false.into()]);
            }
            let Value::Array(array) = value else {
                unreachable!()
            };
            at(&mut array[0], rest)
        }
    }
}

/// Values that the schema gives for `part`: examples, its default, words, bounds, and tables of
/// what is required.
pub(super) fn samples(root: &Table, part: &Part<'_>) -> Vec<Value> {
    let mut samples = given(followed(root, part).schema);
    for Part { schema, pointer } in alternatives(root, part) {
        let below = |schema, key: &str| {
            let pointer = format!("{pointer}/{key}");
            self::samples(root, &Part { schema, pointer })
        };
        if let Some(properties) = table(schema, "properties") {
            let first = |key: &str| below(table(properties, key)?, key).into_iter().next();
            samples.extend(tables(schema, first).into_iter().map(Value::Table));
        } else {
            samples.extend(given(schema));
        }
        if let Some(items) = table(schema, "items") {
            let each = below(items, "items").into_iter();
            samples.extend(each.map(|value| Value::Array(vec![value])));
        }
        if let Some(each) = table(schema, "additionalProperties") {
            let name = name(part.pointer.rsplit('/').next());
            let each = below(each, "additionalProperties").into_iter();
            samples.extend(each.map(|value| {
                [(name.to_owned(), value)]
                    .into_iter()
                    .collect::<Table>()
                    .into()
            }));
        }
    }
    samples
}

/// Tables of what `schema` requires, as `first` gives it, alone and with each of its examples.
pub(super) fn tables(schema: &Table, first: impl Fn(&str) -> Option<Value>) -> Vec<Table> {
    let list = |key| {
        schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let required = list("required").filter_map(Value::as_str);
    let required: Table = required
        .filter_map(|key| Some((key.to_owned(), first(key)?)))
        .collect();
    let examples = list("examples").filter_map(Value::as_table).map(|example| {
        let mut table = required.clone();
        table.extend(example.clone());
        table
    });
    std::iter::once(required.clone()).chain(examples).collect()
}

fn given(schema: &Table) -> Vec<Value> {
    let list = |key| schema.get(key).and_then(Value::as_array).cloned();
    let one = |key| schema.get(key).cloned();
    let boolean = schema.get("type").and_then(Value::as_str) == Some("boolean");
    let booleans = boolean.then(|| vec![true.into(), false.into()]);
    let lists = [list("examples"), list("enum"), booleans];
    let ones = [one("default"), one("const"), one("minimum"), one("maximum")];
    let lists = lists.into_iter().flatten().flatten();
    lists.chain(ones.into_iter().flatten()).collect()
}
