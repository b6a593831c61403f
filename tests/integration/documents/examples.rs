//! The configurations that documents show can be used.

use std::collections::BTreeSet;
use std::fmt::Write;

use backstop::config::{self, report::Problem};

use super::page::{self, Block};

const DEFAULTS: &str =
    "[defaults]\ntimeout = { connect = \"1s\", client = \"1m\", server = \"1m\" }\n";
const BACKEND: &str =
    "[backends.app]\nservers = [{ name = \"web1\", address = \"10.0.0.1:80\" }]\n";

#[test]
fn every_configuration_in_a_document_can_be_used_without_a_warning() {
    // What may be anything; the zone of an example has a default that fits.
    let env = |name: &str| (name != "ZONE").then(|| "secret".to_owned());
    let mut wrong = String::new();
    let (mut whole, mut parts) = (0, 0);
    for page in page::all() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let text = completed(block);
            let count = if text == block.text {
                &mut whole
            } else {
                &mut parts
            };
            *count += 1;
            let place = page.place(block);
            match config::parse(&text, &place, &env) {
                Ok(loaded) => wrong += &loaded.warnings.to_string(),
                // Files that are named are not there.
                Err(report) if report.problems().iter().all(is_absent_file) => {}
                Err(report) => wrong += &report.to_string(),
            }
        }
    }
    assert_eq!(wrong, "", "\n{wrong}");
    assert!(whole >= 5 && parts >= 20, "{whole} whole, {parts} parts");
}

fn is_absent_file(problem: &Problem) -> bool {
    problem
        .title()
        .starts_with("this file cannot be read: No such file")
}

/// The block with what it lacks to be a whole file. It is added at the end, where it takes no key
/// of the block's own.
fn completed(block: &Block) -> String {
    let mut text = block.text.clone();
    if !has(&text, "defaults") {
        text += DEFAULTS;
    }
    if !has(&text, "backends") {
        text += BACKEND;
    }
    if !has(&text, "frontends") {
        for (number, backend) in backends(&text).iter().enumerate() {
            let port = 9000 + number;
            let _ = writeln!(text, "[frontends.stand-in-{number}]");
            let _ = writeln!(text, "bind = \"0.0.0.0:{port}\"");
            let _ = writeln!(text, "default_backend = \"{backend}\"");
        }
    }
    text
}

fn has(text: &str, table: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix('[')
            .and_then(|line| line.strip_prefix(table))
            .is_some_and(|rest| rest.starts_with(['.', ']']))
    })
}

/// The backends of a configuration.
fn backends(text: &str) -> BTreeSet<String> {
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("[backends."));
    let first = |name: &str| name.split([']', '.']).next().unwrap().to_owned();
    names.map(first).collect()
}

#[test]
fn a_part_is_completed_and_a_whole_left_alone() {
    let block = |text: &str| Block {
        language: "toml".to_owned(),
        text: text.to_owned(),
        line: 1,
    };
    let part = completed(&block(
        "threads = 2\n[backends.db.timeout]\nserver = \"1h\"\n",
    ));
    assert!(part.contains("default_backend = \"db\""), "{part}");
    let text = "[defaults]\n[frontends.a]\n[backends.b]\n";
    assert_eq!(completed(&block(text)), text);
}
