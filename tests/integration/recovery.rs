//! Servers that come back.

use std::io::{Read, Write};

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;

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
