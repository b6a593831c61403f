//! Configuration files: those that are shipped load, and every mistake is shown as it was
//! written down in `tests/fixtures`.
//!
//! `BLESS=1 cargo test` writes the expected texts anew; read the difference before committing.

mod checks;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    for path in &files {
        examine(path);
    }
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

#[test]
fn every_file_in_configs_loads_without_a_warning() {
    let files = toml_files("configs");
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let checked = check(&path, false);
        assert!(checked.valid, "{}", checked.stderr);
        assert_eq!(checked.stderr, "");
    }
}

#[test]
fn the_summary_says_what_a_configuration_does() {
    let checked = check(
        Path::new("configs/farm-failover-backup-servers.toml"),
        false,
    );
    assert_eq!(
        checked.stdout,
        "configs/farm-failover-backup-servers.toml is valid.

frontend ft-app on 0.0.0.0:81
  if MAIN_not_enough_capacity: bk-app-backup
  else: bk-app-main
backend bk-app-main: 4 primaries; all checked every 2s
backend bk-app-backup: 2 primaries, 2 backups used all together; all checked every 2s
stats page on 0.0.0.0:8711, path /, asks for a password
"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_error() {
    let checked = check(Path::new("tests/fixtures/does-not-exist.toml"), false);
    assert!(!checked.valid);
    assert_eq!(
        checked.stderr,
        "error: this file cannot be read: No such file or directory (os error 2)
--> tests/fixtures/does-not-exist.toml

1 error in tests/fixtures/does-not-exist.toml; nothing was started.
"
    );
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let path = Path::new("tests/fixtures/bad/several-mistakes.toml");
    let (plain, coloured) = (check(path, false).stderr, check(path, true).stderr);
    assert!(coloured.contains('\u{1b}') && !plain.contains('\u{1b}'));
    let stripped: String = coloured
        .split('\u{1b}')
        .enumerate()
        .map(|(index, part)| match (index, part.split_once('m')) {
            (1.., Some((_, text))) => text,
            _ => part,
        })
        .collect();
    assert_eq!(stripped, plain);
}

/// A file of so many backends with so many servers each, and a condition for each backend.
fn farms(backends: usize, servers: usize) -> String {
    let rule =
        |b| format!("  {{ backend = 'b{b}', if = 'nbsrv(b{b}) ge 5 and srv_is_up(b{b}/s9)' }},");
    let rules = (0..backends).map(rule).collect::<Vec<_>>().join("\n");
    let mut text = format!(
        "[defaults]
timeout = {{ connect = '1s', client = '1s', server = '1s' }}
[frontends.www]
bind = ':81'
use_backend = [
{rules}]
"
    );
    for b in 0..backends {
        let server = |s| format!("  {{ name = 's{s}', address = 'h{b}-{s}:80', check = true }},");
        let servers = (0..servers).map(server).collect::<Vec<_>>().join("\n");
        text += &[
            "[backends.b",
            &b.to_string(),
            "]\nservers = [\n",
            &servers,
            "\n]\n",
        ]
        .concat();
    }
    text
}

/// The bound is generous, for builds without optimization on busy machines; a search through all
/// names for each name would still break it.
#[test]
fn ten_thousand_servers_load_in_a_moment() {
    for (backends, servers) in [(1, 10_000), (1000, 10)] {
        let text = farms(backends, servers);
        let start = Instant::now();
        let loaded = parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let took = start.elapsed();
        println!("{backends} backends of {servers} servers: {took:?}");
        let count: usize = loaded.config.backends.iter().map(|b| b.servers.len()).sum();
        assert_eq!(
            (count, loaded.warnings.to_string().as_str()),
            (backends * servers, "")
        );
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn ten_thousand_mistakes_are_all_shown() {
    let text = farms(1, 10_000).replace("name = 's", "nane = 's");
    let report = parse(&text).unwrap_err();
    // One more: the rule asks about a server that is not there.
    assert_eq!(report.errors(), 10_001);
    assert_eq!(
        report.render(false).matches("did you mean `name`?").count(),
        10_000
    );
}

/// Valid files to be damaged.
fn samples() -> Vec<String> {
    let mut samples = vec![values::FARMS.to_owned()];
    for directory in ["configs", "tests/fixtures/warn", "tests/fixtures/bad"] {
        let files = toml_files(directory).into_iter();
        samples.extend(files.filter_map(|path| fs::read_to_string(path).ok()));
    }
    samples
}

/// Whatever the text is, there is a configuration or at least one error that can be shown.
fn examine(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(loaded) => {
            prop_assert!(loaded.warnings.errors() == 0);
            let _ = loaded.warnings.render(true);
        }
        Err(report) => {
            prop_assert!(report.errors() > 0, "an empty report for {text:?}");
            prop_assert!(!report.render(false).is_empty());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[\\[\\]{}=\"'a-z0-9.\n,# ]{0,60}") {
        examine(&text)?;
    }

    #[test]
    fn any_damaged_file_is_read_or_refused(
        sample in prop::sample::select(samples()),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..12, "[\\[\\]{}=\"'a-z0-9.\n\r,#\\\\$ é]{0,3}"),
            1..6,
        ),
    ) {
        let mut characters: Vec<char> = sample.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(characters.len() + 1);
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, inserted.chars());
        }
        examine(&characters.into_iter().collect::<String>())?;
    }
}
