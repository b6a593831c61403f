//! One key: what the schema says of its values, and what the program does with them.

use std::collections::BTreeSet;
use std::fmt::Write;

use toml::{Table, Value};

use super::bench::{Bench, UNKNOWN, known_keys, quoted, read, unknown};
use super::places::{Part, Step, alternatives, put, remove, samples};
use super::table;

/// What is tried for every key, whatever its type: each of the two may take it or not.
const TRIED: &str = r#"
values = [
  true, false, 0, 100, -1, 9000000000, 1.5, [], {}, [{}], [true], [1], [0], "", " ", "x", "X-y_z.1:2", "a b", "é",
  "2", "0s", "2s", "00s", "007ms", "1.5s", "-1s", "2 s", "1m30s", ":81", "*:81", "[::1]:81", "localhost:81", "::1:81",
  "::1", "[::1]", "10.0.0.1", "10.0.0.1:80", "db.example.org.:1", "10.0.0.0/8", "/a/b", "a:b", "b/s", "HTTPS://x/",
  "0660", "GET", "get", "200-399,404", "50494e47", "$$", "a${V}", "auto", "off", "true", ["x"], [":81"], { x = "x" },
]
"#;

/// What the program says, and the schema has to say too. What else a text may be or not, and what
/// is there, only the program knows.
const SAID_BY_BOTH: [&str; 9] = [
    ", not ",
    "must be between",
    "is not a value of",
    "not a duration",
    "a duration ",
    "not a unit of time",
    "may not be zero",
    "is empty",
    "an empty list",
];

fn tried() -> Vec<Value> {
    let table: Table = TRIED.parse().unwrap();
    table["values"].as_array().unwrap().clone()
}

fn is_table(value: &Value) -> bool {
    let mut items = value.as_array().into_iter().flatten();
    value.is_table() || items.any(Value::is_table)
}

/// One key, compared.
pub(super) struct Trial<'b> {
    pub(super) bench: &'b Bench,
    pub(super) shown: String,
    pub(super) part: Part<'b>,
    pub(super) path: Vec<Step>,
    pub(super) documents: Vec<Table>,
    pub(super) wrong: &'b mut String,
}

impl Trial<'_> {
    fn say(&mut self, what: &str) {
        let _ = writeln!(self.wrong, "{}: {what}", self.shown);
    }

    fn with(&self, document: &Table, value: &Value) -> Table {
        let mut document = document.clone();
        put(&mut document, &self.path, value.clone());
        document
    }

    /// What was compared where the same part of the schema stands need not be tried again at length.
    pub(super) fn all(&mut self, at_length: bool) {
        let samples = samples(self.bench.root, &self.part);
        let mut usual = None;
        for sample in &samples {
            if usual.is_some() && !at_length {
                break;
            }
            let all = self
                .documents
                .iter()
                .map(|document| self.with(document, sample));
            let fitting = all
                .into_iter()
                .position(|document| self.bench.both_take(&document));
            match fitting {
                // Tables are put together of what is required, which may not be all.
                None if is_table(sample) => {}
                None => self.refused(sample),
                Some(number) => {
                    usual.get_or_insert((number, sample));
                    self.variable(number, sample);
                }
            }
        }
        let Some((number, sample)) = usual else {
            return self.say("give \"examples\" that can be used");
        };
        let document = self.documents[number].clone();
        self.default(&samples);
        self.bounds(&document);
        if at_length {
            self.beside_others(sample);
            self.words();
            for value in tried() {
                self.verdicts(&document, &value);
            }
            self.tables(&document);
        }
    }

    fn refused(&mut self, sample: &Value) {
        let mut reasons = String::new();
        for document in &self.documents {
            let document = self.with(document, sample);
            for reason in [
                self.bench.validator.takes(&document).err(),
                read(&document, "x").err().map(|r| r.to_string()),
            ] {
                let _ = write!(reasons, "\n{}", reason.unwrap_or_default());
            }
        }
        self.say(&format!(
            "{sample} is in the schema, but cannot be used: {reasons}"
        ));
    }

    fn variable(&mut self, number: usize, sample: &Value) {
        let Value::String(text) = sample else {
            return;
        };
        let document = self.with(&self.documents[number], &"${V}".into());
        if read(&document, text).is_ok()
            && let Err(error) = self.bench.validator.takes(&document)
        {
            self.say(&format!(
                "the schema takes no variable for {text:?}: {error}"
            ));
        }
    }

    /// Both must agree on whether the key may stand beside the keys of each example of its table.
    fn beside_others(&mut self, sample: &Value) {
        for document in self.documents.clone() {
            self.agree(&document, sample, |_| true);
        }
    }

    fn verdicts(&mut self, document: &Table, value: &Value) {
        let unclear = value.as_str().is_some_and(|text| text.contains('$'));
        self.agree(document, value, |title| {
            !unclear && SAID_BY_BOTH.iter().any(|said| title.contains(said))
        });
    }

    fn agree(&mut self, document: &Table, value: &Value, clear: impl Fn(&str) -> bool) {
        let document = self.with(document, value);
        match (self.bench.validator.takes(&document), read(&document, "x")) {
            (Err(error), Ok(_)) => {
                self.say(&format!(
                    "{value} can be used, but the schema says: {error}"
                ));
            }
            (Ok(()), Err(report)) if report.problems().iter().any(|p| clear(p.title())) => {
                self.say(&format!(
                    "the schema takes {value}, but the program says: {report}"
                ));
            }
            _ => {}
        }
    }

    /// The default is what the program takes without the key, and another value makes a difference.
    fn default(&mut self, samples: &[Value]) {
        let Some(default) = self.part.schema.get("default") else {
            return;
        };
        let varies = self.part.schema.contains_key("x-default");
        let (mut same, mut other, mut matters) = (0, 0, false);
        for document in &self.documents {
            let mut document = document.clone();
            remove(&mut document, &self.path);
            let with = |value| read(&self.with(&document, value), "x");
            let (Ok(without), Ok(usual)) = (read(&document, "x"), with(default)) else {
                continue;
            };
            if usual == without {
                same += 1;
            } else {
                other += 1;
            }
            let differs = |value| with(value).is_ok_and(|with| with != without);
            let mut others = samples
                .iter()
                .filter(|sample| *sample != default)
                .peekable();
            matters |= others.peek().is_none() || others.any(differs);
        }
        if same == 0 || (other > 0 && !varies) {
            self.say(&format!(
                "{default} is not what the program takes if it is left out"
            ));
        }
        if !matters {
            self.say("no value in the schema makes a difference, so the default cannot be tested; add to the \"examples\" of the key, or of its table if it needs others beside it");
        }
    }

    fn bounds(&mut self, document: &Table) {
        for Part { schema, .. } in alternatives(self.bench.root, &self.part) {
            for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                let Some(bound) = schema.get(bound).and_then(Value::as_integer) else {
                    continue;
                };
                let beyond = bound + step;
                if read(&self.with(document, &beyond.into()), "x").is_ok() {
                    self.say(&format!("it may be {beyond} too"));
                }
            }
        }
    }

    /// The words that may stand there, if it is one of a few: they may depend on what is beside it.
    fn words(&mut self) {
        let each = self.documents.iter().filter_map(|document| {
            let report = read(&self.with(document, &UNKNOWN.into()), "x").err()?;
            let not_one = format!("{UNKNOWN:?} is not a value of");
            let mut problems = report.problems().iter();
            problems.find(|problem| problem.title().starts_with(&not_one))?;
            let text = report.to_string();
            let line = text.lines().find(|line| line.contains("help: write "))?;
            // What else may stand there follows after the words.
            let line = line.split(" or ").next().unwrap_or(line);
            Some(quoted(line, '"'))
        });
        let read: BTreeSet<_> = each.flatten().collect();
        if read.is_empty() {
            return;
        }
        let alternatives = alternatives(self.bench.root, &self.part);
        let enums = alternatives
            .iter()
            .filter_map(|part| part.schema.get("enum")?.as_array());
        let words = enums
            .flatten()
            .filter_map(|word| Some(word.as_str()?.to_owned()));
        let in_schema: BTreeSet<_> = words.collect();
        if read != in_schema {
            self.say(&format!(
                "the program takes {read:?}, and the \"enum\" of the schema is {in_schema:?}"
            ));
        }
    }

    /// Whether there are tables there, or lists of them.
    fn tables(&mut self, document: &Table) {
        let root = self.bench.root;
        let alone = alternatives(root, &self.part);
        let items = alone.iter().filter_map(|part| {
            let schema = table(part.schema, "items")?;
            let pointer = part.pointer.clone();
            Some(alternatives(root, &Part { schema, pointer }))
        });
        let listed: Vec<_> = items.flatten().collect();
        for (value, parts) in [(unknown(), alone), (Value::Array(vec![unknown()]), listed)] {
            let in_schema = parts
                .iter()
                .any(|part| part.schema.contains_key("properties"));
            let document = self.with(document, &value);
            if !in_schema && read(&document, "x").is_err() && known_keys(&document).is_some() {
                self.say(&format!(
                    "the program reads a table with keys in {value}; add it to \"definitions\""
                ));
            }
        }
    }
}
