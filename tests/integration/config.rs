//! Configuration files: those that are shipped load, and every mistake is shown as it was
//! written down in `tests/fixtures`.
//!
//! `BLESS=1 cargo test` writes the expected texts anew; read the difference before committing.

use std::fs;
use std::path::{Path, PathBuf};

use backstop::cli::check::check;
use backstop::config::{self, Loaded, report::Report};
use proptest::prelude::*;

fn no_environment(_: &str) -> Option<String> {
    None
}

fn parse(text: &str) -> Result<Loaded, Report> {
    config::parse(text, "test.toml", &no_environment)
}

/// The files of a directory of the repository that end in `.toml`, by name.
fn toml_files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

/// Compares with the text file beside `path`, or writes it if `BLESS` is set.
fn compare(path: &Path, found: &str) {
    let expected = path.with_extension("txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, found).unwrap();
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(found, wanted, "{} differs", expected.display());
}

/// Tests run in the package's directory, so these names are the same on every machine.
fn each_fixture(directory: &str, least: usize, examine: fn(&Path)) {
    let files = toml_files(directory);
    assert!(files.len() >= least, "{} files in {directory}", files.len());
    files.iter().for_each(|path| examine(path));
}

#[test]
fn every_mistake_is_shown_as_written_down() {
    each_fixture("tests/fixtures/bad", 35, |path| {
        let checked = check(path, false);
        assert!(!checked.valid, "{} is valid", path.display());
        assert_eq!(checked.stdout, "");
        compare(path, &checked.stderr);
    });
}

#[test]
fn every_warning_is_shown_as_written_down() {
    each_fixture("tests/fixtures/warn", 8, |path| {
        let checked = check(path, false);
        assert!(checked.valid, "{}", checked.stderr);
        assert_ne!(checked.stderr, "", "{} has no warning", path.display());
        compare(path, &checked.stderr);
    });
}
