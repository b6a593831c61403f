//! `backstop top` without a terminal, and `show routes`, which it reads.

use serde_json::Value;

use crate::harness::backstop::{self, Ended};
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_for;

/// A farm of two servers whose runtime API has this level; the second server is a backup.
fn with_farm(level: &str, test: impl FnOnce(&str, &mut Server, &Farm)) {
    let directory = TempDir::new();
    let socket = directory.path().join("api.sock").display().to_string();
    let farm = Farm::new();
    let mut first = Server::named(farm.next(), "one");
    let spare = Server::named(farm.next(), "two");
    let check = "check = { interval = \"100ms\", fall = 1, rise = 1 }";
    let farm = farm
        .top(&format!(
            "[api]\nsocket = \"{socket}\"\nlevel = \"{level}\""
        ))
        .server("s1", first.address(), check)
        .server("s2", spare.address(), &format!("backup = true, {check}"));
    let _backstop = farm.start();
    test(&socket, &mut first, &farm);
}

fn run(socket: &str, words: &[&str]) -> Ended {
    backstop::run(&[words, &["-s", socket]].concat())
}

#[test]
fn without_a_terminal_it_says_so() {
    let ended = run("/nowhere", &["top"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("draws on a terminal"),
        "{}",
        ended.stderr
    );
    let ended = run("/nowhere", &["top", "--once"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot be asked"), "{}", ended.stderr);
}

#[test]
fn one_frame_is_printed_as_plain_text() {
    with_farm("operator", |socket, first, farm| {
        first.stop();
        farm.stats().wait_for_down("s1");
        let ended = run(socket, &["top", "--once"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let text = ended.stdout;
        for part in [
            "1 of 2 servers is not available",
            "the primary is not usable, backup s2 takes all",
            "because it is the default and no rule holds, since ",
            "s2 (backup)",
            "is DOWN, reason: Layer4 connection problem",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let row = text
            .lines()
            .find(|line| line.trim_start().starts_with("s1"));
        let words: Vec<_> = row.unwrap().split_whitespace().collect();
        assert_eq!(words[..2], ["s1", "DOWN"], "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    });
}

#[test]
fn whoever_may_not_see_events_is_told_so() {
    with_farm("user", |socket, _, _| {
        let text = run(socket, &["top", "--once"]).stdout;
        assert!(text.contains("show events: Permission denied"), "{text}");
        assert!(text.contains("1 of 1 primary"), "{text}");
    });
}

#[test]
fn routes_are_told_with_their_reason() {
    with_farm("user", |socket, first, farm| {
        let routes = |form: &str| backstop::run(&["ctl", "-s", socket, "show", "routes", form]);
        let told = routes("").stdout;
        assert!(
            told.contains(": 1 of 1 primary, because it is the default and no rule holds, since 2"),
            "{told}"
        );
        first.stop();
        farm.stats().wait_for_down("s1");
        let line = wait_for("another tier", || {
            let told: Value = serde_json::from_str(&routes("json").stdout).expect("JSON");
            (told[0]["usual"] == "warn").then(|| told[0].clone())
        });
        assert_eq!(
            line["otherwise"]["servers"],
            "the primary is not usable, backup s2 takes all"
        );
    });
}
