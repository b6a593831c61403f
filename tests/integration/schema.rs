//! The schema of the configuration says what the program reads, no more and no less; the tables of
//! docs/configuration.md are made of it.

mod agreement;
mod bench;
mod files;
mod places;
mod reference;
mod trial;

use boon::{Compiler, SchemaIndex, Schemas};
use toml::{Table, Value};

/// Where the schema is, for messages.
const FILE: &str = "configs/backstop.schema.json";

/// The schema with its keys in the order of the file.
fn schema() -> Table {
    serde_json::from_str(backstop::config::SCHEMA).unwrap()
}

/// Says what the schema takes.
struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let mut compiler = Compiler::new();
        let schema = serde_json::from_str(backstop::config::SCHEMA).unwrap();
        compiler.add_resource(FILE, schema).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile(FILE, &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    fn takes(&self, document: &Table) -> Result<(), String> {
        let json = serde_json::to_value(document).unwrap();
        let result = self.schemas.validate(&json, self.index);
        result.map_err(|error| format!("{error:#}"))
    }
}

/// What a part of the schema says under `key`, if that is a table.
fn table<'s>(schema: &'s Table, key: &str) -> Option<&'s Table> {
    schema.get(key).and_then(Value::as_table)
}
