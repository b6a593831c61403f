//! The commands that documents show are understood, and print what is shown.

use std::path::Path;
use std::process::{Command, Output};

use super::page::{self, Page};

/// What ends a command in a shell, for what is shown here.
const ENDS: [&str; 8] = ["#", "|", ">", "<", ";", "&", "&&", "||"];

#[test]
fn every_command_in_a_document_is_understood() {
    let mut misunderstood = Vec::new();
    let mut count = 0;
    for page in page::all() {
        // What is written there was true of its version.
        if page.path == Path::new("CHANGELOG.md") {
            continue;
        }
        for arguments in commands(&page) {
            count += 1;
            let output = ask_for_help(&arguments);
            if !output.status.success() {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                misunderstood.push(format!("{}: {arguments:?}\n{error}", page.path.display()));
            }
        }
    }
    assert!(misunderstood.is_empty(), "{}", misunderstood.join("\n"));
    assert!(count >= 30, "{count} commands");
}

#[test]
fn what_the_program_prints_in_a_document_is_what_it_prints() {
    let mut count = 0;
    for page in page::all() {
        for block in page
            .blocks
            .iter()
            .filter(|block| block.language == "console")
        {
            for (line, wanted) in shown(&block.text) {
                let Some(arguments) = arguments(line) else {
                    continue;
                };
                // Only these need no running proxy.
                let asks = ["check", "explain"].contains(&&*arguments[0]);
                if asks && !wanted.is_empty() {
                    let printed = String::from_utf8(run(&arguments).stdout).unwrap();
                    assert_eq!(printed.trim_end(), wanted, "{}", page.place(block));
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 2, "{count}");
}

/// The command lines of a page: in blocks that are no configuration, and short ones in text.
fn commands(page: &Page) -> Vec<Vec<String>> {
    let shells = ["", "console", "sh", "ini", "text"];
    let blocks = page.blocks.iter();
    let blocks = blocks.filter(|block| shells.contains(&&*block.language));
    let texts = blocks.map(|block| &block.text).chain(&page.spans);
    let joined: Vec<_> = texts.map(|text| text.replace("\\\n", " ")).collect();
    let lines = joined.iter().flat_map(|text| text.lines());
    lines.filter_map(arguments).collect()
}

/// What follows the program's name in a command line; `None` for other lines.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.strip_prefix("ExecStart=").unwrap_or(line);
    let line = line.strip_prefix("cargo run --release --").or_else(|| {
        let (program, rest) = line.split_once(' ')?;
        (program.rsplit('/').next() == Some("backstop")).then_some(rest)
    })?;
    let words = line.split_whitespace();
    let words = words.take_while(|word| !ENDS.contains(word));
    let words: Vec<_> = words
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
        .collect();
    // `backstop …` stands for any command.
    let is_one = words.first().is_some_and(|word| word != "…");
    is_one.then_some(words)
}

/// Has the program parse `arguments` and do nothing. What follows `ctl` is a command of the
/// runtime API, which the running proxy parses.
fn ask_for_help(arguments: &[String]) -> Output {
    let mut arguments = arguments.to_owned();
    if arguments[0] == "ctl" {
        arguments.truncate(1);
    }
    arguments.push("--help".to_owned());
    run(&arguments)
}

fn run(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(arguments)
        .current_dir(page::root())
        .output()
        .unwrap()
}

/// Each command of a console with what it printed.
fn shown(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("$ ").skip(1);
    let parts = parts.map(|part| part.split_once('\n').unwrap_or((part, "")));
    parts
        .map(|(command, printed)| (command, printed.trim_end()))
        .collect()
}

#[test]
fn commands_are_found_in_what_is_shown() {
    let words = |line: &str| arguments(line).map(|words| words.join(" "));
    assert_eq!(
        words("$ backstop check -f F  # why"),
        Some("check -f F".into())
    );
    assert_eq!(words("/usr/bin/backstop run -f F"), Some("run -f F".into()));
    assert_eq!(words("cargo run --release -- demo"), Some("demo".into()));
    assert_eq!(words("docker build -t backstop ."), None);
    assert!(!ask_for_help(&["explian".to_owned()]).status.success());
    assert!(
        !ask_for_help(&["check".to_owned(), "--prob".to_owned()])
            .status
            .success()
    );
}
