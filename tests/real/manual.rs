//! Man pages as `mandoc` and `man` read them, and completions as bash does.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::backstop;
use crate::harness::temp::TempDir;
use crate::programs::{Need, find, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "manual::mandoc_finds_no_error",
            &[Need::Program("mandoc")],
            mandoc,
        ),
        trial(
            "manual::man_shows_every_command",
            &[Need::Program("man")],
            man,
        ),
        trial(
            "manual::bash_completes_commands",
            &[Need::Program("bash")],
            bash,
        ),
    ]
}

/// The commands that `backstop --help` lists, but for `help`.
fn commands() -> Vec<String> {
    let help = backstop::run(&["--help"]).stdout;
    let list = help.split("Commands:\n").nth(1).expect("a list");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let words = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<_> = words
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .map(str::to_owned)
        .collect();
    assert!(commands.len() > 10, "{help}");
    commands
}

fn pages() -> TempDir {
    let directory = TempDir::new();
    let place = directory.path().join("man1");
    let ended = backstop::run(&["man", place.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    directory
}

/// What a program prints, which must succeed.
fn printed(program: &str, arguments: &[&str]) -> String {
    let program = find(program).expect("it is there");
    let output = Command::new(program)
        .args(arguments)
        .env("MANWIDTH", "100")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn path(page: &Path) -> &str {
    page.to_str().expect("UTF-8")
}

fn mandoc() {
    let directory = pages();
    let pages = fs::read_dir(directory.path().join("man1")).expect("a directory");
    let mut count = 0;
    for page in pages {
        let page = page.expect("a page").path();
        printed("mandoc", &["-Tlint", "-Werror", path(&page)]);
        count += 1;
    }
    // One for each command, and one for the program.
    assert_eq!(count, commands().len() + 1);
}

fn man() {
    let directory = pages();
    let place = directory.path().join("man1");
    let shown = printed("man", &["-P", "cat", "-l", path(&place.join("backstop.1"))]);
    for command in commands() {
        assert!(
            shown.contains(&format!("backstop-{command}(1)")),
            "no {command} in\n{shown}"
        );
    }
    let top = printed(
        "man",
        &["-P", "cat", "-l", path(&place.join("backstop-top.1"))],
    );
    assert!(top.contains("--once"), "{top}");
}

fn bash() {
    let script = backstop::run(&["completions", "bash"]).stdout;
    let directory = TempDir::new();
    let file = directory.write("backstop", &script);
    let complete = |words: &str| {
        let last = words.split(' ').count() - 1;
        let line = format!(
            "set -u; source {}; complete -p backstop >/dev/null; COMP_WORDS=({words} \"\"); COMP_CWORD={last}; \
             COMP_WORDS=({words}); _backstop backstop \"${{COMP_WORDS[-1]}}\" x; echo \"${{COMPREPLY[@]}}\"",
            path(&file)
        );
        printed("bash", &["--norc", "-c", &line])
    };
    assert_eq!(complete("backstop to").trim(), "top");
    assert_eq!(complete("backstop top --on").trim(), "--once");
    let shells = complete("backstop completions z");
    assert_eq!(shells.trim(), "zsh");
}
