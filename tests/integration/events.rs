//! The event journal of the running program.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};

/// One server, an event file, a runtime API and a stats page for anyone.
struct Told {
    farm: Farm,
    backstop: Backstop,
    server: Server,
    directory: TempDir,
}

impl Told {
    fn start() -> Self {
        let directory = TempDir::new();
        let path = directory.path().display();
        let farm = Farm::new();
        let server = Server::named(farm.next(), "one");
        let farm = farm
            .top(&format!(
                "[events]\nsize = 5\nfile = \"{path}/events.json\""
            ))
            .top(&format!(
                "[api]\nsocket = \"{path}/api.sock\"\nlevel = \"admin\""
            ))
            .server(
                "s1",
                server.address(),
                "check = { interval = \"100ms\", fall = 1, rise = 1 }",
            );
        let backstop = farm.start();
        Self {
            farm,
            backstop,
            server,
            directory,
        }
    }

    /// The server goes and comes back.
    fn fail_and_recover(&mut self) {
        self.farm.stats().wait_for_check("s1");
        self.server.stop();
        self.farm.stats().wait_for_down("s1");
        self.server.restart();
        self.farm.stats().wait_for_up("s1");
    }

    /// What `/events.json` has after a number.
    fn events(&self, after: u64) -> Vec<Value> {
        let stats = self.farm.stats();
        let authorization = stats.authorization();
        let path = format!("/events.json?after={after}");
        let response = http::get(stats.address, &path, &authorization).expect("an answer");
        assert_eq!(response.status, 200);
        serde_json::from_str(&response.body).expect("JSON")
    }

    fn socket(&self) -> String {
        self.directory.path().join("api.sock").display().to_string()
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().expect("a kind"))
        .collect()
}

const STORY: [&str; 5] = [
    "server_down",
    "backend_down",
    "route_changed",
    "server_up",
    "backend_up",
];

#[test]
fn a_failure_and_its_end_are_told_with_cause_and_duration() {
    let mut told = Told::start();
    told.fail_and_recover();
    let events = wait_for("the last change should be told", || {
        Some(told.events(0)).filter(|events| events.last().is_some_and(|e| e["number"] == 6))
    });
    // Of six events the first is forgotten.
    assert_eq!(kinds(&events)[..4], STORY[1..]);
    let file = told.directory.path().join("events.json");
    let lines = wait_for("the file should have every event", || {
        let text = std::fs::read_to_string(&file).ok()?;
        Some(text).filter(|text| text.lines().count() == 6)
    });
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(kinds(&lines)[..5], STORY);
    let (down, up) = (&lines[0], &lines[4]);
    assert_eq!([&down["backend"], &down["server"]], ["bk", "s1"]);
    assert_eq!([&down["from"], &down["to"]], ["UP", "DOWN"]);
    assert_eq!(down["cause"]["kind"], "check");
    assert_eq!(down["cause"]["status"], "L4CON");
    assert_eq!(down["cause"]["info"], "Connection refused");
    assert_eq!(
        [&lines[2]["from"], &lines[2]["to"]],
        ["bk (primaries)", "bk (no server)"]
    );
    assert!(
        up["without_server_ms"]
            .as_u64()
            .is_some_and(|ms| ms < 15_000),
        "{up}"
    );
    assert_eq!(lines[1..].to_vec(), events);
    assert_eq!(told.events(5).len(), 1);
}

#[test]
fn the_events_command_shows_what_was_and_follows_what_comes() {
    let mut told = Told::start();
    told.fail_and_recover();
    let socket = told.socket();
    let shown = backstop::run(&["events", "-s", &socket]);
    assert_eq!(shown.code, Some(0));
    let shown = shown.stdout;
    assert!(
        shown.contains(" [emergency] backend bk has no server available!"),
        "{shown}"
    );
    let mut follower = backstop::command()
        .args(["events", "--follow", "--json", "-s", &socket])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the built program runs");
    let output = follower.stdout.take().expect("a pipe");
    let ctl = backstop::run(&["ctl", "-s", &socket, "disable", "server", "bk/s1"]);
    assert_eq!(ctl.code, Some(0));
    let events = BufReader::new(output).lines().map_while(Result::ok);
    let mut events = events.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let maintenance = events.find(|event| event["kind"] == "server_maintenance");
    let maintenance = maintenance.expect("the pipe ends only with the follower");
    assert_eq!(maintenance["cause"]["kind"], "operator");
    let who = maintenance["cause"]["who"].as_str().expect("who did it");
    assert!(
        who.starts_with("operator on the runtime API (uid "),
        "{who}"
    );
    follower.kill().expect("a child");
    follower.wait().expect("a child");
}

#[test]
fn a_follower_does_not_keep_it_from_stopping() {
    let mut told = Told::start();
    let mut follower = backstop::command()
        .args(["events", "--follow", "-s", &told.socket()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the built program runs");
    let output = follower.stdout.take().expect("a pipe");
    let weight = ["ctl", "-s", &told.socket(), "set", "weight", "bk/s1", "7"];
    assert_eq!(backstop::run(&weight).code, Some(0));
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Server bk/s1 has weight 7 in place of 1")));
    assert_eq!(told.backstop.stop(), Some(0));
    wait_until("the follower should end", || {
        follower.try_wait().expect("a child").is_some()
    });
}

#[test]
fn an_event_file_that_cannot_be_made_keeps_it_from_starting() {
    let farm = Farm::new().top("[events]\nfile = \"/does/not/exist\"");
    let address = farm.next();
    let farm = farm.server("s1", address, "");
    let mut backstop = Backstop::spawn(&farm.config());
    assert_eq!(backstop.wait().code(), Some(1));
    let errors = backstop.errors().join("\n");
    let wanted = "error: events cannot be written to /does/not/exist: No such file or directory";
    assert!(errors.contains(wanted), "{errors}");
}

#[test]
fn what_a_failure_costs_is_told_with_it() {
    let farm = Farm::new().timeout(r#"connect = "300ms", client = "60s", server = "60s""#);
    let [mut one, mut two] = ["one", "two"].map(|name| Server::named(farm.next(), name));
    // Checked when sessions fail, and not on its own.
    let check = "check = { interval = \"1h\", fast_interval = \"100ms\", down_interval = \"100ms\", fall = 2, rise = 1 }";
    let farm = farm
        .server("s1", one.address(), check)
        .server("s2", two.address(), check);
    let _backstop = farm.start();
    farm.stats().wait_for_check("s1");
    farm.stats().wait_for_check("s2");
    one.stop();
    for _ in 0..2 {
        assert_eq!(http::curl(farm.entrance()).expect("an answer"), "two\n");
    }
    let event = |kind: &str| {
        let stats = farm.stats();
        wait_for(kind, || {
            let answer = http::get(stats.address, "/events.json", &stats.authorization()).ok()?;
            let events: Vec<Value> = serde_json::from_str(&answer.body).ok()?;
            events.into_iter().find(|event| event["kind"] == kind)
        })
    };
    let down = event("server_down");
    assert_eq!(down["server"], "s1");
    assert_eq!([&down["sessions_moved"], &down["sessions_failed"]], [1, 0]);
    two.stop();
    http::curl(farm.entrance()).expect_err("no server is left");
    event("backend_down");
    http::curl(farm.entrance()).expect_err("no server is left");
    two.restart();
    let up = event("backend_up");
    // Those that failed before the checks noticed are told with the servers.
    assert!(
        up["sessions_failed"]
            .as_u64()
            .is_some_and(|count| count >= 1),
        "{up}"
    );
}
