//! Hooks of the running program.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};

/// A server that dies, and a hook that hears of it.
struct Scene {
    farm: Farm,
    backstop: Backstop,
    server: Server,
    /// The other one, which lives.
    _second: Server,
    directory: TempDir,
}

const CHECK: &str = "check = { interval = \"100ms\", fall = 1, rise = 1 }";

impl Scene {
    /// `hook` makes a hook's keys from the directory, in which `script` is a program.
    fn start(script: &str, hook: impl FnOnce(&str) -> String) -> Self {
        let (farm, directory) = (Farm::new(), TempDir::new());
        let path = directory.write("hook", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of our own");
        let server = Server::named(farm.next(), "one");
        let second = Server::named(farm.next(), "two");
        let hook = hook(&directory.path().display().to_string());
        let farm = farm
            .top(&format!("[hooks.tell]\n{hook}"))
            .server("s1", server.address(), CHECK)
            .server("s2", second.address(), "check = true");
        let backstop = farm.start();
        farm.stats().wait_for_check("s1");
        Self {
            farm,
            backstop,
            server,
            _second: second,
            directory,
        }
    }

    /// What a file in the directory holds once it ends in a line's end.
    fn file(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        wait_for("the hook should write a file", || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })
    }

    fn event(&self, kind: &str) -> Value {
        let stats = self.farm.stats();
        wait_for(&format!("an event {kind}"), || {
            let answer = http::get(stats.address, "/events.json", &stats.authorization()).ok()?;
            let events: Vec<Value> = serde_json::from_str(&answer.body).ok()?;
            events.into_iter().find(|event| event["kind"] == kind)
        })
    }

    fn metrics(&self) -> String {
        let stats = self.farm.stats();
        let answer = http::get(stats.address, "/metrics", &stats.authorization());
        answer.expect("an answer").body
    }
}

#[test]
fn a_program_gets_the_event_in_its_environment_and_as_json() {
    let script =
        r#"cd "$1"; shift; env >env; echo "$#:$1" >arguments; cat >event; echo told; echo more"#;
    let mut scene = Scene::start(script, |directory| {
        format!(
            "events = [\"server_down\"]\nservers = \"bk/s1\"\ncommand = \"{directory}/hook\"\n\
             arguments = [\"{directory}\", \"a b;c\"]\nenvironment = {{ SECRET = \"sesame\" }}"
        )
    });
    scene.server.stop();
    let event: Value = serde_json::from_str(&scene.file("event")).expect("JSON");
    assert_eq!(event["kind"], "server_down");
    assert_eq!(scene.file("arguments"), "1:a b;c\n");
    let env = scene.file("env");
    let has = |line: &str| assert!(env.lines().any(|l| l == line), "no {line} in\n{env}");
    has("BACKSTOP_HOOK=tell");
    has("BACKSTOP_EVENT=server_down");
    has("BACKSTOP_BACKEND=bk");
    has("BACKSTOP_SERVER=s1");
    has("BACKSTOP_FROM=UP");
    has("BACKSTOP_TO=DOWN");
    has("BACKSTOP_CAUSE=check");
    has("BACKSTOP_ATTEMPT=1");
    has("SECRET=sesame");
    has(&format!("BACKSTOP_EVENT_NUMBER={}", event["number"]));
    has(&format!(
        "BACKSTOP_TEXT={}",
        event["text"].as_str().expect("a text")
    ));
    let servers = env
        .lines()
        .find_map(|line| line.strip_prefix("BACKSTOP_SERVERS="));
    let address = scene.server.address();
    let servers = servers.expect("the servers");
    assert!(
        servers.starts_with(&format!("s1={address}=DOWN s2=")),
        "{servers}"
    );
    assert!(
        !env.contains("CARGO"),
        "only what is given is passed on:\n{env}"
    );

    let ran = scene.event("hook_succeeded");
    assert_eq!(ran["hook"], "tell");
    assert_eq!(ran["cause"]["number"], event["number"]);
    assert_eq!(ran["cause"]["on"], "server_down bk/s1");
    assert_eq!(ran["cause"]["info"], "told");
    let wanted = "backstop_hook_runs_total{hook=\"tell\",result=\"succeeded\"} 1";
    assert!(scene.metrics().lines().any(|line| line == wanted));
    assert!(!scene.backstop.log().concat().contains("sesame"));
}

#[test]
fn a_program_that_fails_is_tried_again_as_often_as_configured() {
    let mut scene = Scene::start("echo attempt $BACKSTOP_ATTEMPT; exit 3", |directory| {
        format!("events = \"server_down\"\ncommand = \"{directory}/hook\"\nretries = 1")
    });
    scene.server.stop();
    let failed = scene.event("hook_failed");
    assert_eq!(failed["cause"]["attempts"], 2);
    assert_eq!(failed["cause"]["info"], "exit code 3: attempt 2");
    assert_eq!(failed["severity"], "warning");
    scene
        .backstop
        .wait_for_log("is tried again in 1s: exit code 3: attempt 1.");
    let wanted = "backstop_hook_runs_total{hook=\"tell\",result=\"failed\"} 1";
    assert!(scene.metrics().lines().any(|line| line == wanted));
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children_and_stops_nothing() {
    let script = r#"sleep 1000 & echo $! >"${0%/*}/pid"; echo waiting; wait"#;
    let mut scene = Scene::start(script, |directory| {
        format!("events = \"server_down\"\ncommand = \"{directory}/hook\"\ntimeout = \"2s\"")
    });
    scene.server.stop();
    let pid = scene.file("pid").trim().to_owned();
    // While it hangs, sessions and checks go on.
    assert_eq!(
        http::curl(scene.farm.entrance()).expect("an answer"),
        "two\n"
    );
    scene.server.restart();
    scene.farm.stats().wait_for_up("s1");
    let failed = scene.event("hook_failed");
    let info = "killed: it did not end within 2s: waiting";
    assert_eq!(failed["cause"]["info"], info);
    wait_until("its child should be dead", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        !stat.is_ok_and(|stat| !stat.contains(") Z "))
    });
}

#[test]
fn a_program_that_cannot_be_run_is_told() {
    let hook = |_: &str| "command = \"/nonexistent/hook\"".to_owned();
    let mut scene = Scene::start("", hook);
    scene.server.stop();
    let info = "/nonexistent/hook cannot be run: No such file or directory";
    assert_eq!(scene.event("hook_failed")["cause"]["info"], info);
}

/// One request: its head in lower case, and its body.
fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// The head and the body of each request.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// A receiver that gives these answers in turn, the last one for ever, and keeps the requests.
fn receiver(site: &Farm, answers: &'static [&str]) -> (Server, Requests) {
    let requests = Requests::default();
    let kept = Arc::clone(&requests);
    let server = Server::start(site.next(), move |mut stream| {
        if let Some(request) = read_request(stream) {
            let mut kept = kept.lock().expect("no handler panics");
            let answer = answers[kept.len().min(answers.len() - 1)];
            kept.push(request);
            let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    (server, requests)
}

#[test]
fn a_webhook_posts_the_event_and_again_after_an_error_of_the_receiver() {
    let site = Farm::new();
    let (receiver, requests) = receiver(&site, &["503 Service Unavailable", "204 No Content"]);
    let address = receiver.address();
    let mut scene = Scene::start("", |_| {
        format!(
            "events = \"server_down\"\nurl = \"http://{address}/in?key=sesame\"\n\
             headers = {{ Authorization = \"Bearer token\" }}"
        )
    });
    scene.server.stop();
    let ran = scene.event("hook_succeeded");
    assert_eq!(
        [&ran["cause"]["attempts"], &ran["cause"]["info"]],
        [&Value::from(2), &Value::from("204 No Content")]
    );
    let requests = requests.lock().expect("no handler panics");
    assert_eq!(requests.len(), 2);
    for (head, body) in requests.iter() {
        assert!(
            head.starts_with("POST /in?key=sesame HTTP/1.1\r\n"),
            "{head}"
        );
        let head = head.to_ascii_lowercase();
        for line in [
            format!("host: {address}"),
            "content-type: application/json".into(),
            "authorization: bearer token".into(),
        ] {
            assert!(head.lines().any(|l| l == line), "no {line} in {head}");
        }
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!([&event["kind"], &event["hook"]], ["server_down", "tell"]);
    }
    assert!(!scene.backstop.log().concat().contains("sesame"));
}

#[test]
fn a_webhook_that_is_refused_for_good_is_not_posted_again() {
    let site = Farm::new();
    let (receiver, requests) = receiver(&site, &["404 Not Found"]);
    let address = receiver.address();
    let mut scene = Scene::start("", |_| {
        format!("events = \"server_down\"\nurl = \"http://{address}\"")
    });
    scene.server.stop();
    let failed = scene.event("hook_failed");
    assert_eq!(failed["cause"]["attempts"], 1);
    assert_eq!(failed["cause"]["info"], "it answered 404 Not Found");
    assert_eq!(requests.lock().expect("no handler panics").len(), 1);
}

#[test]
fn a_webhook_whose_receiver_is_dead_or_silent_fails_in_time() {
    let site = Farm::new();
    let nobody = site.next();
    let mut scene = Scene::start("", |_| {
        format!("events = \"server_down\"\nurl = \"http://{nobody}/\"\nretries = 0")
    });
    scene.server.stop();
    let failed = scene.event("hook_failed");
    assert_eq!(failed["cause"]["info"], "Connection refused");

    let silent = Server::start(site.next(), |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let address = silent.address();
    let mut scene = Scene::start("", |_| {
        format!(
            "events = \"server_down\"\nurl = \"http://{address}/\"\nretries = 0\n\
             timeout = \"300ms\""
        )
    });
    scene.server.stop();
    let failed = scene.event("hook_failed");
    assert_eq!(failed["cause"]["info"], "no answer within 300ms");
}

#[test]
fn a_server_that_comes_and_goes_is_told_once_when_it_is_debounced() {
    let script = r#"echo $BACKSTOP_EVENT $BACKSTOP_TO >>"${0%/*}/runs""#;
    let mut scene = Scene::start(script, |directory| {
        format!(
            "servers = \"bk/s1\"\nstates = [\"UP\", \"DOWN\"]\ndebounce = \"4s\"\n\
             command = \"{directory}/hook\""
        )
    });
    scene.server.stop();
    scene.farm.stats().wait_for_down("s1");
    scene.server.restart();
    scene.farm.stats().wait_for_up("s1");
    scene.event("hook_succeeded");
    assert_eq!(scene.file("runs"), "server_up UP\n");
    let wanted = "backstop_hook_runs_total{hook=\"tell\",result=\"merged\"} 1";
    assert!(scene.metrics().lines().any(|line| line == wanted));
}
