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
