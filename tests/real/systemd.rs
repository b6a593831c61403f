//! The unit for systemd, judged by systemd.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::installed::find;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

const UNIT: &str = include_str!("../../packaging/systemd/backstop.service");

/// What `systemd-analyze security` may find, of 10: below it calls a service OK or safe.
const MOST_EXPOSED: f64 = 2.0;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Program("systemd-analyze")];
    let tests: [(&str, fn()); 2] = [
        ("systemd_finds_nothing_wrong_with_the_unit", valid),
        ("systemd_finds_the_unit_well_confined", confined),
    ];
    let trials = tests.map(|(name, test)| trial(name, &needs, test));
    trials.into()
}

/// The unit with the built program in place of the installed one.
fn unit(directory: &TempDir) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_backstop"));
    let text = UNIT.replace("/usr/bin/backstop", program.to_str().expect("UTF-8"));
    let path = directory.write("backstop.service", &text);
    path.to_str().expect("UTF-8").to_owned()
}

/// Runs `systemd-analyze` and returns all that it says.
fn analyze(arguments: &[&str]) -> (bool, String) {
    let program = find("systemd-analyze").expect("systemd-analyze");
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("systemd-analyze runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

fn valid() {
    let directory = TempDir::new();
    let (passed, said) = analyze(&["verify", &unit(&directory)]);
    // It tells of keys that it does not know without failing.
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("backstop.service"))
        .collect();
    assert!(passed && ours.is_empty(), "{said}");
}

fn confined() {
    let directory = TempDir::new();
    let (_, said) = analyze(&["security", "--offline=true", &unit(&directory)]);
    let level = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level = level.unwrap_or_else(|| panic!("{said}"));
    let number = level.split_whitespace().find_map(|word| word.parse().ok());
    let number: f64 = number.unwrap_or_else(|| panic!("{level}"));
    assert!(number < MOST_EXPOSED, "{said}");
}
