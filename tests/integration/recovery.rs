//! Servers that come back.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;

/// Two servers, one after the other, of which the second to come up is to prove itself for an hour.
fn farm() -> (Farm, [Server; 2]) {
    let farm = Farm::new()
        .backend(r#"check = { interval = "50ms" }"#)
        .backend(r#"failback = { delay = "1h" }"#);
    let servers = ["s1", "s2"].map(|name| Server::named(farm.next(), name));
    let farm = farm
        .server("s1", servers[0].address(), "check = true")
        .server("s2", servers[1].address(), "check = true");
    (farm, servers)
}

fn ask(farm: &Farm) -> [String; 4] {
    [(); 4].map(|()| http::curl(farm.entrance()).expect("an answer"))
}

/// Of two servers that come up one after the other after an outage of both, only the first may
/// get sessions until the other has proved itself.
#[test]
fn the_first_to_recover_serves_alone_until_the_next_has_proved_itself() {
    let (farm, mut servers) = farm();
    let backstop = farm.start();
    for (server, name) in servers.iter_mut().zip(["s1", "s2"]) {
        server.stop();
        farm.stats().wait_for_down(name);
    }
    servers[1].restart();
    backstop.wait_for_log("Server bk/s2 is UP");
    servers[0].restart();
    backstop.wait_for_log("Server bk/s1 is UP");
    assert_eq!(ask(&farm), ["s2\n"; 4]);
}

/// A server on probation that has to take over, because the other fails, has proved itself: the
/// other does not get everything back as soon as it is up.
#[test]
fn a_server_that_had_to_take_over_is_not_put_aside_again() {
    let (farm, mut servers) = farm();
    let backstop = farm.start();
    servers[1].stop();
    farm.stats().wait_for_down("s2");
    servers[1].restart();
    backstop.wait_for_log("Server bk/s2 is UP");
    assert_eq!(ask(&farm), ["s1\n"; 4]);
    servers[0].stop();
    farm.stats().wait_for_down("s1");
    assert_eq!(ask(&farm), ["s2\n"; 4]);
    servers[0].restart();
    backstop.wait_for_log("Server bk/s1 is UP");
    assert_eq!(ask(&farm), ["s2\n"; 4]);
}

/// A session whose servers all refuse waits up to a second before it tries one again, but not for
/// a server that comes up meanwhile.
#[test]
fn a_session_that_waits_gets_a_server_as_soon_as_it_is_up() {
    let farm = Farm::new();
    let addresses = [farm.next(), farm.next()];
    let mut server = Server::named(addresses[1], "s2");
    let farm = farm.server("s1", addresses[0], "").server(
        "s2",
        addresses[1],
        r#"check = { interval = "50ms" }"#,
    );
    let backstop = farm.start();
    server.stop();
    farm.stats().wait_for_down("s2");
    let mut client = farm.connect();
    server.restart();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("s2\n"), "{answer}");
    drop(client);
    let session = &backstop.wait_for_sessions(1)[0];
    assert_eq!((&*session.server, &*session.retries), ("s2", "+1"));
    assert!(session.total_time < 1000, "{} ms", session.total_time);
}

/// A runtime API for a test to act as the operator on.
struct Operator {
    directory: TempDir,
}

impl Operator {
    fn new() -> Self {
        Self {
            directory: TempDir::new(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    fn config(&self) -> String {
        format!(
            "[api]\nsocket = \"{}\"\nlevel = \"admin\"",
            self.socket().display()
        )
    }

    fn say(&self, line: &str) {
        let mut stream = UnixStream::connect(self.socket()).expect("the runtime API listens");
        writeln!(stream, "{line}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.trim(), "");
    }
}

#[test]
fn with_manual_failback_the_operator_decides() {
    let operator = Operator::new();
    let farm = Farm::new()
        .top(&operator.config())
        .backend(r#"check = { interval = "50ms" }"#)
        .backend(r#"failback = "manual""#);
    let (mut primary, backup) = (
        Server::named(farm.next(), "s1"),
        Server::named(farm.next(), "s2"),
    );
    let farm = farm.server("s1", primary.address(), "check = true").server(
        "s2",
        backup.address(),
        "check = true, backup = true",
    );
    let backstop = farm.start();
    primary.stop();
    farm.stats().wait_for_down("s1");
    primary.restart();
    backstop.wait_for_log("Server bk/s1 is UP");
    assert_eq!(ask(&farm), ["s2\n"; 4]);
    operator.say("set server bk/s1 state ready");
    backstop.wait_for_log("Server bk/s1 is used again");
    assert_eq!(ask(&farm), ["s1\n"; 4]);
}

/// Sessions that have had an answer, so that they stand on a server.
fn sessions(farm: &Farm, count: usize) -> Vec<std::net::TcpStream> {
    let open = |_| {
        let mut stream = farm.connect();
        stream.write_all(b"x").expect("sent");
        stream.read_exact(&mut [0]).expect("an answer");
        stream
    };
    (0..count).map(open).collect()
}

#[test]
fn a_primary_that_comes_up_ends_the_sessions_on_backups() {
    let farm = Farm::new()
        .backend(r#"check = { interval = "50ms" }"#)
        .backend(r#"on_marked_up = "shutdown-backup-sessions""#);
    let (mut primary, backup) = (Server::echo(farm.next()), Server::echo(farm.next()));
    let farm = farm.server("s1", primary.address(), "check = true").server(
        "s2",
        backup.address(),
        "check = true, backup = true",
    );
    let backstop = farm.start();
    primary.stop();
    farm.stats().wait_for_down("s1");
    let _sessions = sessions(&farm, 3);
    primary.restart();
    let ended = backstop.wait_for_sessions(3);
    assert!(
        ended
            .iter()
            .all(|session| session.code == "UD" && session.server == "s2")
    );
}

fn codes_after_maintenance(on_marked_down: &str) -> Vec<String> {
    let operator = Operator::new();
    let farm = Farm::new().top(&operator.config()).backend(on_marked_down);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "check = true");
    let backstop = farm.start();
    let _sessions = sessions(&farm, 12);
    operator.say("set server bk/s1 state maint");
    backstop
        .wait_for_sessions(12)
        .into_iter()
        .map(|session| session.code)
        .collect()
}

#[test]
fn sessions_of_a_server_that_goes_down_end_at_once() {
    let codes = codes_after_maintenance(r#"on_marked_down = "shutdown-sessions""#);
    assert_eq!(codes, ["DD"; 12]);
}

#[test]
fn sessions_of_a_server_that_goes_down_end_at_a_rate() {
    let codes = codes_after_maintenance(r#"on_marked_down = { after = "100ms", rate = 40 }"#);
    assert_eq!(codes, ["DD"; 12]);
}
