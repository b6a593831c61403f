//! The program and the schema say the same of every key.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::FILE;
use super::bench::{Bench, known_keys, unknown};
use super::places::{Step, followed, put};
use super::trial::Trial;

/// What to do about a key that the schema lacks.
const MISSING: &str = r##"
The program reads `KEY` in `TABLE`, and the schema lacks it. Add to PLACE, where the reference is to
list it:

    "KEY": {
      "description": "`true`: what it does, in the words for docs/configuration.md",
      "type": "boolean",
      "default": false,
      "x-haproxy": "`option …`"
    }

  - Other types stand beside it there: {"type": "integer", "minimum": 1, "maximum": 10}, durations
    "anyOf": [{"$ref": "#/definitions/duration"}], words "anyOf": [{"enum": ["a"]}, {"$ref":
    "#/definitions/variable"}], tables "anyOf": [{"$ref": "#/definitions/NAME"}] with a definition.
  - Strings and numbers need "examples": [...] of which one is not the default.
  - A default that depends on something is "x-default": "in words"; what is required stands in "required".
  - A key that several tables read is described once: the others have {"$ref": "#/definitions/policy/properties/KEY"}.
"##;

#[test]
fn every_key_that_is_read_is_in_the_schema_and_no_other() {
    let bench = Bench::new();
    let mut wrong = String::new();
    for place in &bench.places {
        let mut document = bench.documents(place).remove(0);
        put(&mut document, &place.path, unknown());
        let shown = place.shown();
        let in_schema: BTreeSet<_> = place.properties().keys().cloned().collect();
        assert!(
            bench.validator.takes(&document).is_err(),
            "{}: the schema takes unknown keys; write \"additionalProperties\": false",
            place.pointer
        );
        let read = known_keys(&document).unwrap_or_else(|| panic!("`{shown}` is not a table"));
        for key in read.difference(&in_schema) {
            wrong += &MISSING
                .replace("KEY", key)
                .replace("TABLE", &shown)
                .replace("PLACE", &format!("{FILE}{}/properties", place.pointer));
        }
        for key in in_schema.difference(&read) {
            let _ = writeln!(
                wrong,
                "{FILE} has `{key}` in {}, which the program does not read there.",
                place.pointer
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_value_that_is_read_is_in_the_schema_and_every_one_there_is_read() {
    let bench = Bench::new();
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for place in &bench.places {
        for key in place.properties().keys() {
            let part = followed(bench.root, &Bench::part(place, key));
            let path = place.with(Step::Key(key.to_owned()));
            let first = seen.insert(part.pointer.clone());
            let mut trial = Trial {
                shown: format!("`{key}` in `{}` ({FILE}{})", place.shown(), part.pointer),
                documents: bench.documents(place),
                bench: &bench,
                part,
                path,
                wrong: &mut wrong,
            };
            trial.all(first);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
