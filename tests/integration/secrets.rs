//! Passwords stand in no log, on no page and in no file.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::harness::backstop;
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// What must be seen nowhere, in every place of a configuration where a secret can stand.
const SECRET: &str = "hunter2-of-all";

const COMMANDS: [&str; 9] = [
    "show info",
    "show routes json",
    "show stat",
    "show stat json",
    "show servers state",
    "show sess",
    "show errors",
    "show events",
    "show backend",
];

#[test]
fn a_secret_is_shown_nowhere() {
    let directory = TempDir::new();
    let path = |name: &str| directory.path().join(name);
    let farm = Farm::new();
    // Sends every secret back, as the evidence of a failed check.
    let echo = Server::echo(farm.next());
    let checks = [
        format!("type = \"redis\", password = \"{SECRET}\""),
        format!("type = \"mysql\", user = \"u\", password = \"{SECRET}\""),
        format!("type = \"postgres\", user = \"u\", password = \"{SECRET}\""),
        format!("steps = [{{ send = \"AUTH {SECRET}\\r\\n\" }}, {{ expect = \"+OK\" }}]"),
        format!("type = \"http\", headers = {{ Authorization = \"Bearer {SECRET}\" }}"),
    ];
    let count = checks.len();
    let farm = checks.iter().zip(0..).fold(farm, |farm, (check, number)| {
        let options = format!("check = {{ {check}, interval = \"100ms\", timeout = \"2s\" }}");
        farm.server(&format!("s{number}"), echo.address(), &options)
    });
    let farm = farm
        .top(&format!("state_file = \"{}\"", path("state").display()))
        .top("log = { level = \"trace\" }")
        .top(&format!(
            "api = {{ socket = \"{}\", level = \"admin\" }}",
            path("api").display()
        ))
        .top(&format!(
            "events = {{ file = \"{}\" }}",
            path("events").display()
        ));
    let config = farm
        .config()
        .replace("admin:admin", &format!("admin:{SECRET}"));
    let mut seen = Vec::new();
    let file = directory.write("backstop.toml", &config);
    let file = file.to_str().expect("UTF-8");
    for command in [
        &["check", "--probe", "-f", file][..],
        &["explain", "-f", file],
    ] {
        let ended = backstop::run(command);
        seen.push(ended.stdout + &ended.stderr);
    }
    let mut running = backstop::Backstop::start(&config);
    wait_until("every check should have failed", || {
        let downs = running.log().into_iter();
        downs.filter(|line| line.contains(" is DOWN")).count() >= count
    });
    let _ = http::curl(farm.entrance());
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(path("api")).expect("the runtime API listens");
        writeln!(stream, "{line}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    seen.extend(COMMANDS.map(ask));
    let mut stats = farm.stats();
    let auth = format!("admin:{SECRET}");
    stats.auth = Box::leak(auth.into_boxed_str());
    for page in [
        "/",
        "/;csv",
        "/;json",
        "/metrics",
        "/events.json",
        "/readyz",
        "/healthz",
    ] {
        let page = http::get(stats.address, page, &stats.authorization()).expect("an answer");
        assert!(matches!(page.status, 200 | 503), "{}", page.status);
        seen.push(page.body);
    }
    assert_eq!(running.stop(), Some(0));
    seen.extend(["state", "events"].map(|name| fs::read_to_string(path(name)).expect("a file")));
    seen.extend(running.log());
    seen.extend(running.errors());
    for text in seen {
        let line = text.lines().find(|line| line.contains(SECRET));
        assert_eq!(line, None);
    }
}
