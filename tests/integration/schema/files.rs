//! Whole files, as an editor looks at them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use super::{FILE, Validator};

/// Wrong files of `tests/fixtures/bad` in which a schema finds nothing: what is wrong is what a name
/// leads to, what a text means, or what is in another file. Those that are not even TOML are not
/// listed.
const BEYOND_A_SCHEMA: &[&str] = &[
    "acl-cycle",
    "acl-misspelt",
    "acl-too-large",
    "acl-too-many-in-a-row",
    "backend-missing",
    "backend-missing-in-rule",
    "bind-overlaps-stats",
    "bind-used-twice",
    "condition-deep",
    "condition-escapes",
    "condition-foreign",
    "condition-names",
    "condition-syntax",
    "condition-values",
    "server-named-twice",
    "stats-admin-role",
    "stats-tls-key",
    "stats-tls-swapped",
    "variables",
];

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(toml_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_shipped_file_fits_the_schema_and_names_it() {
    let validator = Validator::new();
    let mut count = 0;
    for path in ["configs", "docker"]
        .map(Path::new)
        .into_iter()
        .flat_map(toml_files)
    {
        let text = fs::read_to_string(&path).unwrap();
        let named = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("#:schema "));
        let named = named.unwrap_or_else(|| panic!("{}: no #:schema line", path.display()));
        let schema = path.parent().unwrap().join(named).canonicalize();
        let schema = schema.unwrap_or_else(|error| panic!("{}: {named}: {error}", path.display()));
        assert_eq!(schema, Path::new(FILE).canonicalize().unwrap());
        let fits = validator.takes(&text.parse().unwrap());
        fits.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 8, "{count} files");
}

#[test]
fn doubtful_files_fit_the_schema() {
    let validator = Validator::new();
    for path in toml_files(Path::new("tests/fixtures/warn")) {
        let text = fs::read_to_string(&path).unwrap();
        let fits = validator.takes(&text.parse().unwrap());
        fits.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn wrong_files_do_not_fit_the_schema() {
    let validator = Validator::new();
    let mut unseen = BTreeSet::new();
    let mut seen = 0;
    for path in toml_files(Path::new("tests/fixtures/bad")) {
        let text = fs::read(&path).unwrap();
        let table = String::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<Table>().ok());
        match table.map(|table| validator.takes(&table)) {
            Some(Ok(())) => {
                unseen.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
            }
            Some(Err(_)) => seen += 1,
            None => {}
        }
    }
    let listed: BTreeSet<_> = BEYOND_A_SCHEMA
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    assert_eq!(
        unseen, listed,
        "left: the schema finds nothing; right: BEYOND_A_SCHEMA"
    );
    assert!(seen >= 30, "{seen} files");
}

#[test]
fn the_program_prints_the_schema_that_is_shipped() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_backstop"))
        .arg("schema")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, fs::read(FILE).unwrap());
}
