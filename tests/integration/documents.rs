//! The documents say what is true of the program.

mod commands;
mod examples;
mod links;
mod page;

use std::process::Command;

use backstop::config;

const README: &str = include_str!("../../README.md");
const CHECKS: &str = include_str!("../../docs/checks.md");
const HOOKS: &str = include_str!("../../docs/hooks.md");
const LOGS: &str = include_str!("../../docs/logs.md");
const FAILOVER: &str = include_str!("../../docs/failover.md");
const REFERENCE: &str = include_str!("../../docs/configuration.md");

/// Where an unknown key is put, what part of the reference should list the known ones, and a key
/// that is known there: a probe in the wrong place finds others.
const TABLES: &[(&str, &str, &str)] = &[
    ("KEY", "## The top of the file", "threads"),
    ("log = { KEY }", "### `[log]`", "sessions"),
    ("log.targets = [{ KEY }]", "### `[log]`", "facility"),
    ("defaults = { KEY }", "## `[defaults]`", "retries"),
    ("defaults.timeout = { KEY }", "# Configuration", "tunnel"),
    (
        "frontends.f = { KEY }",
        "## `[frontends.NAME]`",
        "use_backend",
    ),
    (
        "frontends.f.timeout = { KEY }",
        "## `[frontends.NAME]`",
        "client_fin",
    ),
    (
        "frontends.f.accept_proxy = { KEY }",
        "## `[frontends.NAME]`",
        "timeout",
    ),
    (
        "frontends.f.source_rate_limit = { KEY }",
        "## `[frontends.NAME]`",
        "per",
    ),
    ("frontends.f.use_backend = [{ KEY }]", "### Rules", "unless"),
    ("backends.b = { KEY }", "## `[backends.NAME]`", "servers"),
    (
        "backends.b.timeout = { KEY }",
        "## `[backends.NAME]`",
        "tunnel",
    ),
    (
        "backends.b.servers = [{ KEY }]",
        "## `[backends.NAME]`",
        "backup",
    ),
    ("defaults.check = { KEY }", "### `check`", "fall"),
    ("defaults.resolve = { KEY }", "### Names", "hold_nx"),
    (
        "defaults.failback = { KEY }",
        "## Failover and recovery",
        "delay",
    ),
    (
        "defaults.flap_damping = { KEY }",
        "## Failover and recovery",
        "half_life",
    ),
    (
        "backends.b.prefer_zone = { KEY }",
        "## Failover and recovery",
        "zone",
    ),
    (
        "defaults.on_marked_down = { KEY }",
        "## Failover and recovery",
        "rate",
    ),
    (
        "defaults.silence = { KEY }",
        "## Failover and recovery",
        "sessions",
    ),
    ("frontends.f.socket = { KEY }", "## Sockets", "backlog"),
    ("backends.b.socket = { KEY }", "## Sockets", "source"),
    ("stats = { KEY }", "## `[stats]`", "realm"),
    ("stats.users = [{ KEY }]", "## `[stats]`", "password_file"),
    ("stats.tls = { KEY }", "## `[stats]`", "cert"),
    ("events = { KEY }", "## `[events]`", "size"),
    ("hooks.h = { KEY }", "## `[hooks.NAME]`", "debounce"),
    ("api = { KEY }", "## `[api]`", "level"),
    ("backends.b.check = { KEY }", "### `check`", "rise"),
    (
        "backends.b.check.steps = [{ KEY }]",
        "### `check`",
        "expect",
    ),
];

/// Every example of a document, with a frontend before it if it has none.
fn examples(document: &str) -> impl Iterator<Item = String> {
    let blocks = document.split("```toml\n").skip(1);
    blocks.map(|block| {
        let (text, _) = block.split_once("```").unwrap();
        format!("[frontends.www]\nbind = \":81\"\ndefault_backend = \"app\"\n{text}")
    })
}

#[test]
fn the_examples_of_checks_can_be_used() {
    let env = |_: &str| Some("secret".to_owned());
    let mut count = 0;
    for text in examples(CHECKS) {
        if let Err(report) = config::parse(&text, "docs/checks.md", &env) {
            panic!("{report}");
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_examples_of_hooks_and_logs_can_be_used() {
    let mut count = 0;
    for text in examples(HOOKS).chain(examples(LOGS)) {
        let text =
            format!("{text}\n[backends.app]\nservers = [{{ name = \"s\", address = \"s:1\" }}]");
        if let Err(report) = config::parse(&text, "docs/hooks.md", &|_| Some("x".to_owned())) {
            panic!("{report}");
        }
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn every_key_is_in_the_reference() {
    for &(table, heading, certain) in TABLES {
        let keys = known_keys(table);
        assert!(keys.iter().any(|key| key == certain), "{table}: {keys:?}");
        let section = section(heading);
        for key in keys {
            assert!(
                section.contains(&format!("`{key}")) || section.contains(&format!(" {key} = ")),
                "docs/configuration.md, \"{heading}\", does not say what `{key}` is"
            );
        }
    }
}

#[test]
fn the_configuration_in_the_readme_has_nothing_to_warn_of() {
    let blocks: Vec<_> = README.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let (text, _) = block.split_once("```").unwrap();
        let loaded = config::parse(text, "README.md", &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(loaded.warnings.to_string(), "");
    }
}

/// The examples show a part of a file only; the rest is added where it is missing.
#[test]
fn the_examples_of_failover_have_nothing_to_warn_of() {
    let blocks: Vec<_> = blocks(FAILOVER, "toml").collect();
    assert!(blocks.len() >= 9, "{} examples", blocks.len());
    for block in blocks {
        let mut text = String::from("[defaults]\ntimeout.connect = \"1s\"\n");
        text += "timeout.client = \"1m\"\ntimeout.server = \"1m\"\n";
        if !block.contains("[frontends.") {
            text += "[frontends.in]\nbind = \"0.0.0.0:81\"\ndefault_backend = \"app\"\n";
        }
        let loaded = config::parse(&(text + block), "failover.md", &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(loaded.warnings.to_string(), "");
    }
}

#[test]
fn what_the_program_prints_in_the_failover_document_is_what_it_prints() {
    let blocks: Vec<_> = blocks(FAILOVER, "console").collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let (command, wanted) = block.split_once('\n').unwrap();
        let arguments = command.strip_prefix("$ backstop ").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim_end(), wanted.trim_end());
    }
}

/// The blocks of a document that are in `language`.
fn blocks(document: &'static str, language: &str) -> impl Iterator<Item = &'static str> {
    let opening = format!("```{language}\n");
    let parts: Vec<_> = document.split(&opening).skip(1).collect();
    parts
        .into_iter()
        .map(|part| part.split_once("```").unwrap().0)
}

/// The keys that the program lists when it meets one that it does not know.
fn known_keys(table: &str) -> Vec<String> {
    let text = table.replace("KEY", "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq = 1");
    let report = config::parse(&text, "probe.toml", &|_| None).unwrap_err();
    let report = report.to_string();
    let lists = |line: &&str| line.contains("known here are ") || line.ends_with(" is known here");
    let line = report.lines().find(lists);
    let line = line.unwrap_or_else(|| panic!("{table}: {report}"));
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// A part of the reference, up to the next heading of its level or above.
fn section(heading: &str) -> String {
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let mut lines = REFERENCE.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "there is no heading {heading}");
    let ends = |line: &str| {
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=level).contains(&hashes) && line[hashes..].starts_with(' ')
    };
    let lines: Vec<_> = lines.take_while(|line| !ends(line)).collect();
    lines.join("\n")
}
