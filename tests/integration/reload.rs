//! Another configuration while the program runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use rustix::process::Signal;

use crate::harness::backstop::{self, Backstop, Ended};
use crate::harness::farm::connect;
use crate::harness::http::curl;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// Where everything of one test is.
struct Scene {
    loopback: Loopback,
    directory: TempDir,
    top: &'static str,
}

impl Scene {
    fn new() -> Self {
        Self {
            loopback: Loopback::lease(),
            directory: TempDir::new(),
            top: "threads = 2",
        }
    }

    /// Entrance `number`.
    fn entrance(&self, number: u16) -> SocketAddr {
        self.loopback.port(20_080 + number)
    }

    fn stats(&self) -> Stats {
        Stats::at(self.loopback.port(20_711))
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// A configuration with these frontends and backends.
    fn config(&self, proxies: &str) -> String {
        format!(
            r#"{}
[api]
socket = "{}"
level = "admin"
[stats]
bind = "{}"
auth = "admin:admin"
[defaults]
timeout = {{ connect = "5s", client = "60s", server = "60s" }}
check = {{ interval = "50ms" }}
{proxies}"#,
            self.top,
            self.socket().display(),
            self.stats().address
        )
    }

    /// One with a frontend `ft` at entrance 1 and a backend `bk` of these servers.
    fn farm(&self, servers: &[String]) -> String {
        let frontend = self.frontend("ft", 1, "bk");
        self.config(&(frontend + &backend("bk", servers)))
    }

    fn frontend(&self, name: &str, entrance: u16, backend: &str) -> String {
        let entrance = self.entrance(entrance);
        format!("[frontends.{name}]\nbind = \"{entrance}\"\ndefault_backend = \"{backend}\"\n")
    }

    fn ctl(&self, words: &[&str]) -> Ended {
        let socket = self.socket();
        let socket = socket.to_str().expect("UTF-8");
        backstop::run(&[&["ctl", "-s", socket], words].concat())
    }

    /// What servers answer to this many requests.
    fn answers(&self, count: usize) -> Vec<String> {
        let ask = || curl(self.entrance(1)).expect("an answer");
        (0..count).map(|_| ask().trim_end().to_owned()).collect()
    }

    fn field(&self, of: &str, field: &str) -> String {
        self.stats().row(of).remove(field).expect("a known field")
    }
}

fn backend(name: &str, servers: &[String]) -> String {
    format!("[backends.{name}]\nservers = [{}]\n", servers.join(", "))
}

fn server(name: &str, address: SocketAddr, options: &str) -> String {
    let separator = if options.is_empty() { "" } else { ", " };
    format!("{{ name = \"{name}\", address = \"{address}\"{separator}{options} }}")
}

/// Has `backstop` take `config`, and waits until it says that it has.
fn reload(backstop: &Backstop, config: &str) {
    backstop.configure(config);
    let reloads = || {
        let log = backstop.log();
        let told = log.iter().filter(|line| line.contains("Configuration"));
        told.count()
    };
    let before = reloads();
    backstop.signal(Signal::HUP);
    wait_until("the reload should be told", || reloads() > before);
}

/// A session that has had an answer.
fn session(entrance: SocketAddr) -> TcpStream {
    let mut stream = connect(entrance).expect("the frontend accepts");
    echo(&mut stream);
    stream
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"x").expect("taken");
    stream.read_exact(&mut [0]).expect("echoed");
}

fn refuses(address: SocketAddr) -> bool {
    let connected = TcpStream::connect(address).map_err(|error| error.kind());
    connected.err() == Some(ErrorKind::ConnectionRefused)
}

#[test]
fn an_added_server_shares_and_the_others_keep_their_numbers() {
    let scene = Scene::new();
    let servers = ["s1", "s2", "s3"].map(|name| Server::named(scene.loopback.next(), name));
    let line = |n: usize| server(&format!("s{n}"), servers[n - 1].address(), "check = true");
    let backstop = Backstop::start(&scene.farm(&[line(1), line(2)]));
    assert_eq!(scene.answers(4), ["s1", "s2", "s1", "s2"]);
    reload(&backstop, &scene.farm(&[line(3), line(1), line(2)]));
    let mut all = scene.answers(3);
    all.sort();
    assert_eq!(all, ["s1", "s2", "s3"]);
    assert_eq!(scene.field("bk/s1", "stot"), "3");
    assert_eq!(scene.field("bk/BACKEND", "stot"), "7");
    assert_eq!(scene.field("ft/FRONTEND", "stot"), "7");
}

#[test]
fn a_removed_server_gets_no_new_sessions_and_its_old_ones_follow_its_health() {
    let scene = Scene::new();
    let servers = ["s1", "s2"].map(|_| Server::echo(scene.loopback.next()));
    let mut health = Server::echo(scene.loopback.next());
    let first = server("s1", servers[0].address(), "");
    let check = format!(
        "check = {{ port = {} }}, on_marked_down = \"shutdown-sessions\"",
        health.address().port()
    );
    // The check goes to the server's host at the port of another listener.
    assert_eq!(health.address().ip(), servers[1].address().ip());
    let second = server("s2", servers[1].address(), &check);
    let backstop = Backstop::start(&scene.farm(&[first.clone(), second]));
    let mut sessions = [session(scene.entrance(1)), session(scene.entrance(1))];
    reload(&backstop, &scene.farm(&[first]));
    sessions.iter_mut().for_each(echo);
    let mut later = [session(scene.entrance(1)), session(scene.entrance(1))];
    assert_eq!(scene.field("bk/s1", "scur"), "3");
    health.stop();
    backstop.wait_for_log("Server bk/s2 is DOWN");
    let [kept, cut] = &mut sessions;
    assert!(matches!(cut.read(&mut [0]), Ok(0) | Err(_)), "it was on s2");
    assert_eq!(backstop.wait_for_sessions(1)[0].code, "DD");
    echo(kept);
    later.iter_mut().for_each(echo);
}

#[test]
fn weights_and_the_default_backend_change() {
    let scene = Scene::new();
    let servers = ["a", "b", "c"].map(|name| Server::named(scene.loopback.next(), name));
    let line = |n: usize, options| server(["a", "b", "c"][n], servers[n].address(), options);
    let backstop = Backstop::start(&scene.farm(&[line(0, ""), line(1, "")]));
    assert_eq!(scene.answers(2), ["a", "b"]);
    reload(
        &backstop,
        &scene.farm(&[line(0, "weight = 3"), line(1, "")]),
    );
    let turn = scene.answers(4);
    assert_eq!(
        turn.iter().filter(|name| *name == "a").count(),
        3,
        "{turn:?}"
    );
    let proxies = scene.frontend("ft", 1, "other")
        + &backend("other", &[line(2, "")])
        + &backend("bk", &[line(0, "weight = 3"), line(1, "")]);
    reload(&backstop, &scene.config(&proxies));
    assert_eq!(scene.answers(2), ["c", "c"]);
    backstop.wait_for_log("Frontend ft: new sessions now go to other");
}

#[test]
fn frontends_come_and_go_and_addresses_pass_from_one_to_another() {
    let scene = Scene::new();
    let servers = ["a", "b"].map(|_| Server::echo(scene.loopback.next()));
    let farms = backend("a", &[server("a", servers[0].address(), "")])
        + &backend("b", &[server("b", servers[1].address(), "")]);
    let config = |frontends: &[(&str, u16, &str)]| {
        let frontends = frontends
            .iter()
            .map(|(name, at, to)| scene.frontend(name, *at, to));
        scene.config(&(frontends.collect::<String>() + &farms))
    };
    let backstop = Backstop::start(&config(&[("one", 1, "a"), ("two", 2, "b")]));
    let mut open = [session(scene.entrance(1)), session(scene.entrance(2))];
    assert!(refuses(scene.entrance(3)));

    reload(&backstop, &config(&[("two", 1, "b"), ("new", 3, "a")]));
    wait_until("the old address should be closed", || {
        refuses(scene.entrance(2))
    });
    open.iter_mut().for_each(echo);
    let mut later = [session(scene.entrance(1)), session(scene.entrance(3))];
    // The one session of before and the new one at the address that is its now.
    assert_eq!(scene.field("two/FRONTEND", "scur"), "2");
    assert_eq!(scene.field("new/FRONTEND", "scur"), "1");

    reload(&backstop, &config(&[("one", 2, "a")]));
    open.iter_mut().chain(&mut later).for_each(echo);
    drop(session(scene.entrance(2)));
    wait_until("closed", || {
        refuses(scene.entrance(1)) && refuses(scene.entrance(3))
    });
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why_everywhere() {
    let scene = Scene::new();
    let echo_server = Server::echo(scene.loopback.next());
    let line = server("s1", echo_server.address(), "");
    let backstop = Backstop::start(&scene.farm(std::slice::from_ref(&line)));
    let mut open = session(scene.entrance(1));
    reload(
        &backstop,
        &scene.farm(&[line.clone(), line.replace("name", "nmae")]),
    );
    backstop.wait_for_log("Configuration not reloaded, reason: SIGHUP.");
    let refused = scene.ctl(&["reload"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(
        refused.stderr.starts_with("Not reloaded: "),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("^^^^"), "{}", refused.stderr);
    let events = scene.ctl(&["show", "events", "json"]).stdout;
    assert_eq!(
        events.matches("\"kind\":\"reload_failed\"").count(),
        2,
        "{events}"
    );
    let info = scene.ctl(&["show", "info"]).stdout;
    assert!(
        info.contains("\nReloads: 0\nReloads_failed: 2\nReload_error: "),
        "{info}"
    );
    assert!(info.contains("nmae"), "{info}");
    echo(&mut open);
    echo(&mut session(scene.entrance(1)));
    // It is put right.
    backstop.configure(&scene.farm(&[line]));
    let done = scene.ctl(&["reload"]);
    assert_eq!(
        (done.code, done.stdout.trim()),
        (Some(0), "Reloaded; nothing has changed.")
    );
    let info = scene.ctl(&["show", "info"]).stdout;
    assert!(
        info.contains("\nReloads: 1\nReloads_failed: 2\nReload_error:"),
        "{info}"
    );
    assert!(!info.contains("nmae"), "{info}");
}

#[test]
fn the_limit_of_the_process_changes() {
    let scene = Scene::new();
    let echoing = Server::echo(scene.loopback.next());
    let limited = |maxconn: u32| {
        let farm = scene.farm(&[server("s1", echoing.address(), "")]);
        farm.replace("threads = 2", &format!("threads = 2\nmaxconn = {maxconn}"))
    };
    let backstop = Backstop::start(&limited(1));
    let first = session(scene.entrance(1));
    let mut waiting = connect(scene.entrance(1)).expect("in the queue");
    waiting.write_all(b"x").expect("taken");
    let info = |field: &str| {
        let said = scene.ctl(&["show", "info"]).stdout;
        let value = said.lines().find_map(|line| line.strip_prefix(field));
        value.expect("a known field").to_owned()
    };
    assert_eq!(info("CurrConns: "), "1");
    reload(&backstop, &limited(2));
    waiting.read_exact(&mut [0]).expect("echoed");
    assert_eq!(info("Maxconn: "), "2");
    // Those that are open go on below a lower limit, and nobody is added to them.
    reload(&backstop, &limited(1));
    assert_eq!(
        (info("CurrConns: "), info("Maxconn: ")),
        ("2".into(), "1".into())
    );
    let mut last = connect(scene.entrance(1)).expect("in the queue");
    last.write_all(b"x").expect("taken");
    drop(first);
    backstop.wait_for_sessions(1);
    assert_eq!(info("CurrConns: "), "1");
    drop(waiting);
    last.read_exact(&mut [0]).expect("echoed");
}

#[test]
fn an_address_that_cannot_be_had_changes_nothing() {
    let scene = Scene::new();
    let echo_server = Server::echo(scene.loopback.next());
    let line = server("s1", echo_server.address(), "");
    let backstop = Backstop::start(&scene.farm(std::slice::from_ref(&line)));
    let taken = std::net::TcpListener::bind(scene.entrance(2)).expect("a free address");
    let both = scene.frontend("ft", 3, "bk") + &scene.frontend("too", 2, "bk");
    backstop.configure(&scene.config(&(both + &backend("bk", &[line]))));
    let refused = scene.ctl(&["reload"]);
    assert_eq!(refused.code, Some(1));
    let wanted = format!(
        "frontend too cannot listen on {}: another process is listening there",
        scene.entrance(2)
    );
    assert!(refused.stderr.contains(&wanted), "{}", refused.stderr);
    assert!(refuses(scene.entrance(3)), "not even the other address");
    echo(&mut session(scene.entrance(1)));
    drop(taken);
    assert_eq!(scene.ctl(&["reload"]).code, Some(0));
    echo(&mut session(scene.entrance(2)));
}

#[test]
fn what_the_operator_wants_stays() {
    let scene = Scene::new();
    let servers = ["s1", "s2"].map(|name| Server::named(scene.loopback.next(), name));
    let line = |n: usize, options| server(["s1", "s2"][n], servers[n].address(), options);
    let backstop = Backstop::start(&scene.farm(&[line(0, "check = true"), line(1, "")]));
    scene.ctl(&["disable", "server", "bk/s1"]);
    scene.ctl(&["set", "weight", "bk/s2", "5"]);
    scene.ctl(&["disable", "frontend", "ft"]);
    reload(
        &backstop,
        &scene.farm(&[line(1, ""), line(0, "check = { rise = 5 }")]),
    );
    assert_eq!(scene.field("bk/s1", "status"), "MAINT");
    assert_eq!(scene.field("bk/s2", "weight"), "5");
    assert!(refuses(scene.entrance(1)));
    scene.ctl(&["enable", "frontend", "ft"]);
    assert_eq!(scene.answers(2), ["s2", "s2"]);
    scene.ctl(&["enable", "server", "bk/s1"]);
    scene.stats().wait_for_up("bk/s1");
}

#[test]
fn checks_begin_change_and_end() {
    let scene = Scene::new();
    let servers = ["s1", "s2"].map(|_| Server::echo(scene.loopback.next()));
    let dead = scene.loopback.next().port();
    let line = |n: usize, options: &str| server(["s1", "s2"][n], servers[n].address(), options);
    let backstop = Backstop::start(&scene.farm(&[line(0, "check = true"), line(1, "")]));
    scene.stats().wait_for_check("bk/s1");
    let elsewhere = format!("check = {{ port = {dead} }}");
    reload(
        &backstop,
        &scene.farm(&[line(0, &elsewhere), line(1, "check = true")]),
    );
    scene.stats().wait_for_down("bk/s1");
    scene.stats().wait_for_check("bk/s2");
    reload(
        &backstop,
        &scene.farm(&[line(0, ""), line(1, "check = true")]),
    );
    assert_eq!(scene.field("bk/s1", "status"), "no check");
    backstop.wait_for_log("Server bk/s1 is UP, reason: the configuration was reloaded");
    let before = servers[0].accepted();
    let mut twice = [session(scene.entrance(1)), session(scene.entrance(1))];
    twice.iter_mut().for_each(echo);
    assert_eq!(servers[0].accepted(), before + 1, "a session, and no check");
}

#[test]
fn a_new_server_that_is_dead_gets_no_session() {
    let scene = Scene::new();
    let alive = Server::named(scene.loopback.next(), "s1");
    let first = server("s1", alive.address(), "check = true");
    let dead = server("s2", scene.loopback.next(), "check = true");
    let backstop = Backstop::start(&scene.farm(std::slice::from_ref(&first)));
    reload(&backstop, &scene.farm(&[dead, first]));
    assert!(scene.field("bk/s2", "status").starts_with("DOWN"));
    assert_eq!(scene.answers(4), ["s1"; 4]);
    let attempts = ["wretr", "wredis"].map(|field| scene.field("bk/BACKEND", field));
    assert_eq!(attempts, ["0", "0"]);
    backstop.wait_for_log("Server bk/s2 is DOWN, reason: Layer4 connection problem");
}

#[test]
fn a_difference_is_told_without_making_it() {
    let scene = Scene::new();
    let echo_server = Server::echo(scene.loopback.next());
    let line = |options| server("s1", echo_server.address(), options);
    let old = scene.farm(&[line("")]);
    let _backstop = Backstop::start(&old);
    let added = server("s2", echo_server.address(), "");
    let new = scene
        .farm(&[line("weight = 4"), added])
        .replace("threads = 2", "threads = 1");
    let told = format!(
        "A reload would do this:\n  server bk/s1: `weight` is 4 in place of 1\n  \
         server bk/s2 at {} is new\n  only a restart changes this: `threads`",
        echo_server.address()
    );
    let file = |name: &str, text: &str| {
        let path = scene.directory.write(name, text);
        path.to_str().expect("UTF-8").to_owned()
    };
    let (old, new) = (file("old file.toml", &old), file("new; file.toml", &new));
    let socket = scene.socket();
    let socket = socket.to_str().expect("UTF-8");
    for others in [["-s", socket], ["--old", &old]] {
        let diff = backstop::run(&["diff", "-f", &new, others[0], others[1]]);
        assert_eq!(
            (diff.code, diff.stdout.as_str()),
            (Some(0), told.as_str()),
            "{}",
            diff.stderr
        );
    }
    let same = backstop::run(&["diff", "-f", &old, "-s", socket]);
    assert_eq!(same.stdout, "A reload would change nothing.");
    let wrong = file("wrong.toml", "threds = 1\n");
    for others in [["-s", socket], ["--old", &old]] {
        let diff = backstop::run(&["diff", "-f", &wrong, others[0], others[1]]);
        assert_eq!((diff.code, diff.stdout.as_str()), (Some(1), ""));
        assert!(diff.stderr.contains("threds"), "{}", diff.stderr);
    }
    assert_eq!(scene.field("bk/s1", "weight"), "1");
}

#[test]
fn what_only_a_restart_changes_is_told_every_time() {
    let scene = Scene::new();
    let echo_server = Server::echo(scene.loopback.next());
    let config = scene.farm(&[server("s1", echo_server.address(), "")]);
    let backstop = Backstop::start(&config);
    backstop.configure(&config.replace("threads = 2", "threads = 1\npin_threads = true"));
    for _ in 0..2 {
        let told = scene.ctl(&["reload"]);
        assert_eq!(told.code, Some(0));
        let restart = "only a restart changes this: `threads`\n  \
                       only a restart changes this: `pin_threads`";
        assert!(told.stdout.contains(restart), "{}", told.stdout);
    }
    backstop.wait_for_log("Only a restart changes: `threads`; `pin_threads`.");
}

#[test]
fn the_stats_page_moves_and_takes_another_password() {
    let scene = Scene::new();
    let echo_server = Server::echo(scene.loopback.next());
    let config = scene.farm(&[server("s1", echo_server.address(), "")]);
    let backstop = Backstop::start(&config);
    let (old, new) = (scene.stats(), Stats::at(scene.loopback.port(20_712)));
    reload(&backstop, &config.replace("admin:admin", "other:word"));
    assert!(
        old.rows()
            .expect_err("another password")
            .to_string()
            .contains("401")
    );
    let moved = config.replace(&old.address.to_string(), &new.address.to_string());
    reload(&backstop, &moved);
    assert_eq!(new.row("bk/s1")["svname"], "s1");
    wait_until("the old address should be closed", || refuses(old.address));
}

#[test]
fn a_file_that_changes_is_taken_if_that_is_wanted() {
    let mut scene = Scene::new();
    scene.top = "reload_on_change = true";
    let servers = ["s1", "s2"].map(|name| Server::named(scene.loopback.next(), name));
    let config = |n: usize| scene.farm(&[server("s", servers[n].address(), "")]);
    let backstop = Backstop::start(&config(0));
    assert_eq!(scene.answers(1), ["s1"]);
    backstop.configure(&config(1));
    backstop.wait_for_log("Configuration reloaded, reason: the file has changed.");
    assert_eq!(scene.answers(2), ["s2", "s2"]);
}
