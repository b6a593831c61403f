//! What is known of servers outlives a restart.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// A farm of `s1` and `s2` whose state is saved.
struct Kept {
    farm: Farm,
    servers: [Server; 2],
    directory: TempDir,
}

impl Kept {
    fn new(check: &str, top: &str) -> Self {
        let directory = TempDir::new();
        let farm = Farm::new();
        let servers = ["s1", "s2"].map(|name| Server::named(farm.next(), name));
        let path = |name: &str| directory.path().join(name).display().to_string();
        let farm = farm
            .top(&format!(
                "threads = 1\nstate_file = \"{}\"",
                path("state.json")
            ))
            .top(top)
            .top(&format!(
                "[api]\nsocket = \"{}\"\nlevel = \"admin\"",
                path("api")
            ))
            .server("s1", servers[0].address(), check)
            .server("s2", servers[1].address(), check);
        Self {
            farm,
            servers,
            directory,
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("state.json")
    }

    fn saved(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.file()).ok()?).ok()
    }

    fn wait_until_saved(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        wait_until(what, || self.saved().is_some_and(|saved| holds(&saved)));
    }

    fn command(&self, words: &str) {
        let socket = self.directory.path().join("api");
        let mut arguments = vec!["ctl", "-s", socket.to_str().expect("UTF-8")];
        arguments.extend(words.split(' '));
        assert_eq!(backstop::run(&arguments).code, Some(0), "{words}");
    }

    /// The servers that answer the next sessions.
    fn answers(&self) -> Vec<String> {
        let ask = |_| http::curl(self.farm.entrance()).expect("an answer");
        (0..4).map(ask).collect()
    }

    fn status(&self, server: &str) -> String {
        self.farm.stats().row(server)["status"].clone()
    }
}

/// Ends it without a chance to write anything.
fn kill(backstop: &mut Backstop) {
    backstop.signal(Signal::KILL);
    backstop.wait();
}

#[test]
fn a_server_known_to_be_dead_gets_no_session_after_a_restart() {
    // A server that nothing is known of is up after one check.
    let check = "check = { interval = \"100ms\", fall = 1, rise = 1000 }";
    let mut kept = Kept::new(check, "");
    let mut backstop = kept.farm.start();
    kept.farm.stats().wait_for_up("s1");
    kept.servers[0].stop();
    kept.wait_until_saved("s1 should be saved as down", |saved| {
        saved["servers"]["bk/s1"]["state"] == "down"
    });
    kill(&mut backstop);
    kept.servers[0].restart();
    let backstop = kept.farm.start();
    let passed = |status: &str| status.starts_with("DOWN ") && status.ends_with("/1000");
    kept.farm.stats().wait_for_status("s1", passed);
    assert_eq!(kept.answers(), ["s2\n"; 4]);
    backstop.wait_for_log("The state of 2 servers was taken from ");
}

#[test]
fn what_the_operator_wants_outlives_a_crash() {
    let kept = Kept::new("", "");
    let mut backstop = kept.farm.start();
    kept.command("set server bk/s1 state maint");
    kept.command("set server bk/s2 weight 17");
    kept.command("disable frontend ft");
    kept.wait_until_saved("all of it should be saved", |saved| {
        let servers = &saved["servers"];
        servers["bk/s1"]["admin"] == "maintenance"
            && servers["bk/s2"]["weight"] == 17
            && saved["frontends"]["ft"]["enabled"] == false
    });
    kill(&mut backstop);
    let _backstop = kept.farm.start();
    assert_eq!(kept.status("s1"), "MAINT");
    assert_eq!(kept.farm.stats().row("s2")["weight"], "17");
    wait_until("the frontend should refuse", || {
        http::curl(kept.farm.entrance()).is_err()
    });
    kept.command("enable frontend ft");
    wait_until("the frontend should accept again", || {
        http::curl(kept.farm.entrance()).is_ok()
    });
    assert_eq!(kept.answers(), ["s2\n"; 4]);
}

#[test]
fn the_last_state_is_saved_when_it_stops() {
    let kept = Kept::new("", "");
    let mut backstop = kept.farm.start();
    kept.command("set server bk/s1 state drain");
    assert_eq!(backstop.stop(), Some(0));
    let saved = kept.saved().expect("a state");
    assert_eq!(saved["servers"]["bk/s1"]["admin"], "drain");
}

#[test]
fn a_corrupt_state_is_told_and_ignored() {
    let kept = Kept::new("", "");
    fs::write(kept.file(), "{\"version\": 1, \"wri").expect("a file");
    let mut backstop = kept.farm.start();
    let line = backstop.wait_for_log("is ignored: it cannot be read: ");
    assert!(line.contains(&kept.file().display().to_string()), "{line}");
    kept.answers();
    // It is replaced by one that can be read.
    kept.wait_until_saved("a state", |saved| {
        saved["servers"]["bk/s2"]["admin"] == "ready"
    });
    assert_eq!(backstop.stop(), Some(0));
}

#[test]
fn an_old_state_is_ignored() {
    let kept = Kept::new("", "state_max_age = \"1h\"");
    let mut backstop = kept.farm.start();
    kept.command("set server bk/s1 state maint");
    assert_eq!(backstop.stop(), Some(0));
    let mut saved = kept.saved().expect("a state");
    let written = saved["written"].as_u64().expect("a time");
    saved["written"] = (written - 7_300_000).into();
    fs::write(kept.file(), saved.to_string()).expect("a file");
    let backstop = kept.farm.start();
    backstop.wait_for_log("is ignored: it is 2h old, and `state_max_age` is 1h.");
    assert_eq!(kept.status("s1"), "no check");
}

#[test]
fn a_server_that_is_gone_is_told() {
    let kept = Kept::new("", "");
    let mut backstop = kept.farm.start();
    assert_eq!(backstop.stop(), Some(0));
    let mut saved = kept.saved().expect("a state");
    saved["servers"]["bk/old"] = saved["servers"]["bk/s1"].clone();
    saved["servers"]["bk/s2"]["address"] = "127.0.0.1:1".into();
    fs::write(kept.file(), saved.to_string()).expect("a file");
    let backstop = kept.farm.start();
    backstop.wait_for_log("ignored of server bk/old: there is none any more.");
    backstop.wait_for_log("ignored of server bk/s2: it was at 127.0.0.1:1 then.");
}

#[test]
fn a_full_disk_is_told_once_and_over_when_there_is_room_again() {
    let kept = Kept::new("", "");
    // What is written first is written beside the file: to the device that is always full.
    let beside = kept.directory.path().join("state.json.new");
    std::os::unix::fs::symlink("/dev/full", &beside).expect("a link");
    let mut backstop = kept.farm.start();
    backstop.wait_for_log("No space left on device");
    assert_eq!(kept.answers().len(), 4);
    // The failed attempt has removed the link, which makes room.
    backstop.wait_for_log("The state is saved to ");
    kept.wait_until_saved("a state", |saved| saved["version"] == 1);
    assert_eq!(backstop.stop(), Some(0));
    let errors = backstop.log().into_iter();
    let errors: Vec<_> = errors
        .filter(|line| line.contains("cannot be saved"))
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
}
