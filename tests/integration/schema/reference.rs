//! The tables of docs/configuration.md, which are made of the schema.
//!
//! `BLESS=1 cargo test --test integration schema` writes them anew.

use std::fmt::Write;
use std::fs;

use toml::{Table, Value};

use super::places::{Part, alternatives};
use super::{FILE, schema, table};

const PAGE: &str = "docs/configuration.md";
const END: &str = "<!-- end of keys -->";

/// More than this is no limit that anybody meets.
const NO_LIMIT: i64 = i32::MAX as i64;

#[test]
fn the_reference_is_made_of_the_schema() {
    let page = fs::read_to_string(PAGE).unwrap();
    let root = schema();
    let (made, named) = made(&page, &root);
    for (name, schema) in table(&root, "definitions").unwrap() {
        let own = table(schema.as_table().unwrap(), "properties");
        if own.is_some_and(|keys| keys.values().any(|key| refers(key).is_none())) {
            let count = named.iter().filter(|there| *there == name).count();
            assert_eq!(
                count, 1,
                "{PAGE} needs the keys of {name}: write `<!-- keys of {name} -->` and `{END}`"
            );
        }
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(PAGE, &made).unwrap();
    } else if let Some((now, wanted)) = page
        .lines()
        .zip(made.lines())
        .find(|(now, wanted)| now != wanted)
    {
        panic!(
            "{PAGE} differs from {FILE}; run: BLESS=1 cargo test --test integration schema\n now: {now}\n new: {wanted}"
        );
    }
}

/// The page with its tables made anew, and whose keys they are.
fn made(page: &str, root: &Table) -> (String, Vec<String>) {
    let (mut made, mut named) = (String::new(), Vec::new());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- keys of ") {
        let (name, after) = after.split_once(" -->").unwrap();
        let (_, after) = after
            .split_once(END)
            .unwrap_or_else(|| panic!("{PAGE}: no end of the keys of {name}"));
        let _ = write!(
            made,
            "{before}<!-- keys of {name} -->\n{}{END}",
            keys(name, root)
        );
        named.push(name.to_owned());
        rest = after;
    }
    (made + rest, named)
}

/// One line of a table.
struct Row {
    keys: String,
    types: String,
    value: String,
    default: String,
    haproxy: String,
}

/// Its title, and what stands in it.
type Column = (String, fn(&Row) -> &str);

/// The keys of one table of the configuration, as a table in Markdown.
fn keys(name: &str, root: &Table) -> String {
    let schema = match name {
        "file" => root,
        _ => table(root, "definitions")
            .and_then(|all| table(all, name))
            .unwrap_or_else(|| panic!("{FILE}: no {name}")),
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut elsewhere: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, value) in table(schema, "properties").unwrap() {
        match refers(value) {
            None => rows.push(row(root, schema, key, value.as_table().unwrap())),
            Some(other) => match elsewhere.iter_mut().find(|(name, _)| *name == other) {
                Some((_, keys)) => keys.push(format!("`{key}`")),
                None => elsewhere.push((other, vec![format!("`{key}`")])),
            },
        }
    }
    let called =
        text(schema, "x-called").map_or_else(|| "Key".to_owned(), |name| format!("Key of {name}"));
    let mut columns: Vec<Column> = vec![(called, |row| &row.keys)];
    if rows.iter().any(|row| !row.types.is_empty()) {
        columns.push(("For type".to_owned(), |row| &row.types));
    }
    columns.push(("Value".to_owned(), |row| &row.value));
    if rows.iter().any(|row| row.default != "none") {
        columns.push(("Default".to_owned(), |row| &row.default));
    }
    if rows.iter().any(|row| row.haproxy != "none") {
        columns.push(("HAProxy".to_owned(), |row| &row.haproxy));
    }
    for (other, keys) in elsewhere {
        let definition = table(root, "definitions")
            .and_then(|all| table(all, other))
            .unwrap();
        let see =
            text(definition, "x-see").unwrap_or_else(|| panic!("{FILE}: {other} needs \"x-see\""));
        let (keys, value) = (keys.join(", "), format!("see {see}"));
        rows.push(Row {
            keys,
            value,
            types: String::new(),
            default: String::new(),
            haproxy: String::new(),
        });
    }
    let mut made = String::new();
    let mut line = |cells: Vec<&str>| {
        for cell in cells {
            let _ = write!(
                made,
                "|{}{}",
                if cell.is_empty() { "" } else { " " },
                cell.replace('|', "\\|")
            );
            made += " ";
        }
        made += "|\n";
    };
    line(columns.iter().map(|(title, _)| title.as_str()).collect());
    line(vec!["---"; columns.len()]);
    for row in &rows {
        line(columns.iter().map(|(_, cell)| cell(row)).collect());
    }
    made.replace("| --- ", "|---")
}

/// The definition that describes a key, if it is another one than that which has it.
fn refers(key: &Value) -> Option<&str> {
    let pointer = key.get("$ref")?.as_str()?.strip_prefix("#/definitions/")?;
    Some(pointer.split_once("/properties/")?.0)
}

fn text<'s>(schema: &'s Table, key: &str) -> Option<&'s str> {
    schema.get(key).and_then(Value::as_str)
}

fn row(root: &Table, schema: &Table, key: &str, value: &Table) -> Row {
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(key)));
    let default = match (text(value, "x-default"), value.get("default")) {
        _ if required => "required".to_owned(),
        (Some(words), _) => words.to_owned(),
        (None, Some(default)) => format!("`{default}`"),
        (None, None) => "none".to_owned(),
    };
    let types = table(schema, "dependencies")
        .and_then(|all| table(all, key))
        .map(types);
    Row {
        keys: format!("`{key}`"),
        types: types.unwrap_or_default(),
        value: description(root, key, value),
        default,
        haproxy: text(value, "x-haproxy").unwrap_or("none").to_owned(),
    }
}

/// The values of `type` beside which a key may stand.
fn types(dependency: &Table) -> String {
    let either = dependency.get("anyOf").and_then(Value::as_array);
    if let Some(either) = either {
        let each = either.iter().filter_map(Value::as_table).map(types);
        return each.collect::<Vec<_>>().join(", ");
    }
    let types = table(dependency, "properties").and_then(|all| table(all, "type"));
    let words = types.and_then(|types| types.get("anyOf")?.get(0)?.get("enum")?.as_array());
    let words = words.into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(", ")
}

/// What a key is, with the words and bounds that the schema has and its description does not say.
fn description(root: &Table, key: &str, schema: &Table) -> String {
    let described = text(schema, "description").unwrap_or_else(|| panic!("{FILE}: describe {key}"));
    let pointer = key.to_owned();
    let parts = alternatives(root, &Part { schema, pointer });
    let mut said = described.to_owned();
    let enums = parts
        .iter()
        .filter_map(|part| part.schema.get("enum")?.as_array());
    let words: Vec<_> = enums
        .flatten()
        .filter_map(Value::as_str)
        .map(|word| format!("`{word:?}`"))
        .collect();
    let (told, untold): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| described.contains(word));
    assert!(
        told.is_empty() || untold.is_empty(),
        "{FILE}: the description of `{key}` leaves out {}",
        untold.join(", ")
    );
    if !untold.is_empty() {
        let _ = write!(said, ": {}", untold.join(", "));
    }
    for part in parts {
        let bound = |key| part.schema.get(key).and_then(Value::as_integer);
        if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum"))
            && most < NO_LIMIT
        {
            let _ = write!(said, "; {} to {}", grouped(least), grouped(most));
        }
    }
    if let Some(see) = text(schema, "x-see") {
        let _ = write!(said, ", see {see}");
    }
    said
}

/// A number with commas.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digits.len() > 4 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
