//! Which server a session goes to, as clients see it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::wait::wait_until;

/// A check that passes at the start and then not again for longer than a test lasts.
const ONE_CHECK: &str = r#"check = { interval = "60s" }"#;

fn curl_many(farm: &Farm, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for request in 0..count {
        let name = http::curl(farm.entrance());
        let name = name.unwrap_or_else(|error| panic!("request {request} failed: {error}"));
        *seen.entry(name.trim_end().to_owned()).or_default() += 1;
    }
    seen
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let pairs = pairs.iter().map(|&(name, count)| (name.to_owned(), count));
    pairs.collect()
}

#[test]
fn a_server_that_refuses_is_never_seen_by_a_client() {
    let farm = Farm::new();
    let mut first = Server::named(farm.next(), "s1");
    let second = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", first.address(), ONE_CHECK);
    let farm = farm.server("s2", second.address(), ONE_CHECK);
    let backstop = farm.start();
    farm.stats().wait_for_check("s1");
    farm.stats().wait_for_check("s2");
    first.stop();

    assert_eq!(curl_many(&farm, 100), counts(&[("s2", 100)]));

    let sessions = backstop.wait_for_sessions(100);
    assert!(sessions.iter().all(|s| s.server == "s2" && s.code == "--"));
    let moved = sessions.iter().filter(|s| s.retries.starts_with('+'));
    assert_ne!(moved.count(), 0, "the first server was tried");
}

#[test]
fn primaries_that_refuse_are_replaced_by_the_backup() {
    let farm = Farm::new();
    let primaries = [farm.next(), farm.next()];
    let mut servers = primaries.map(|address| Server::named(address, "primary"));
    let backup = Server::named(farm.next(), "backup");
    let farm = farm
        .server("s1", primaries[0], ONE_CHECK)
        .server("s2", primaries[1], ONE_CHECK)
        .server("s3", backup.address(), "backup = true, check = true");
    let _backstop = farm.start();
    for server in ["s1", "s2", "s3"] {
        farm.stats().wait_for_check(server);
    }
    servers.iter_mut().for_each(Server::stop);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(curl_many(&farm, 50), counts(&[("backup", 50)])));
        }
    });
}

#[test]
fn no_usable_server() {
    let farm = Farm::new();
    let refusing = farm.next();
    let farm = farm.server("s1", refusing, "check = true");
    let backstop = farm.start();
    farm.stats().wait_for_down("s1");
    backstop.wait_for_log("backend bk has no server available!");

    let mut client = farm.connect();
    // Closed or reset, but at once and without a byte.
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    let session = backstop.wait_for_sessions(1).remove(0);
    assert_eq!(session.backend, "bk");
    assert_eq!(session.server, "<NOSRV>");
    assert_eq!(session.code, "SC");
    assert_eq!(farm.stats().row("bk/BACKEND")["econ"], "1");
    assert_eq!(farm.stats().row("bk/BACKEND")["status"], "DOWN");
}

#[test]
fn a_single_server_that_refuses_and_is_not_checked() {
    let farm = Farm::new();
    let refusing = farm.next();
    let farm = farm.server("s1", refusing, "");
    let backstop = farm.start();
    assert!(http::curl(farm.entrance()).is_err());
    let session = backstop.wait_for_sessions(1).remove(0);
    assert_eq!((&*session.server, &*session.code), ("s1", "SC"));
    assert_eq!(farm.stats().row("bk/BACKEND")["econ"], "1");
}

#[test]
fn round_robin_is_exact_with_one_worker() {
    exact_turns("threads = 1");
}

#[test]
fn round_robin_is_exact_over_four_workers() {
    exact_turns("threads = 4");
}

/// Many clients at once, over any number of workers: every server gets its share, to the one.
fn exact_turns(threads: &str) {
    const CLIENTS: usize = 8;
    const EACH: usize = 50;
    let farm = Farm::new().top(threads);
    let addresses: Vec<_> = (0..4).map(|_| farm.next()).collect();
    let start = |address| Server::named(address, "any");
    let servers: Vec<_> = addresses.iter().copied().map(start).collect();
    let named = addresses.iter().zip(1..);
    let farm = named.fold(farm, |farm, (&address, number)| {
        farm.server(&format!("s{number}"), address, "")
    });
    let _backstop = farm.start();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| curl_many(&farm, EACH));
        }
    });
    let accepted: Vec<_> = servers.iter().map(Server::accepted).collect();
    assert_eq!(accepted, [CLIENTS * EACH / 4; 4]);
}

#[test]
fn weights_are_shares() {
    let farm = Farm::new();
    let heavy = Server::named(farm.next(), "heavy");
    let light = Server::named(farm.next(), "light");
    let idle = Server::named(farm.next(), "idle");
    let farm = farm
        .server("s1", heavy.address(), "weight = 3")
        .server("s2", light.address(), "weight = 1")
        .server("s3", idle.address(), "weight = 0");
    let _backstop = farm.start();
    assert_eq!(
        curl_many(&farm, 40),
        counts(&[("heavy", 30), ("light", 10)])
    );
}

/// Two servers with a backend's settings, and what they answer.
fn two_servers(settings: &str) -> (Farm, [Server; 2]) {
    let farm = Farm::new().backend(settings);
    let servers = ["s1", "s2"].map(|name| Server::named(farm.next(), name));
    let farm = farm.server("s1", servers[0].address(), "");
    let farm = farm.server("s2", servers[1].address(), "");
    (farm, servers)
}

/// Waits until so many sessions are open on the two servers together.
fn wait_for_open(farm: &Farm, sessions: usize) {
    wait_until("another number of sessions should be open", || {
        let stats = farm.stats();
        let open = ["s1", "s2"].map(|name| stats.row(&format!("bk/{name}"))["scur"].clone());
        open.iter()
            .map(|count| count.parse::<usize>().unwrap())
            .sum::<usize>()
            == sessions
    });
}

/// Who answers so many clients one after another, each of which is gone before the next comes,
/// while `held` others stay.
fn one_by_one(farm: &Farm, count: usize, held: usize) -> String {
    let answer = |_| {
        let name = http::curl(farm.entrance()).unwrap();
        wait_for_open(farm, held);
        name.trim_end().to_owned() + " "
    };
    (0..count).map(answer).collect()
}

/// A client whose request is never complete, the `count`th.
fn held(farm: &Farm, count: usize) -> TcpStream {
    let mut client = farm.connect();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    wait_for_open(farm, count);
    client
}

#[test]
fn leastconn_takes_turns_while_nothing_lasts() {
    let (farm, _servers) = two_servers("balance = \"leastconn\"");
    let farm = farm.top("threads = 4");
    let _backstop = farm.start();
    assert_eq!(farm.stats().row("bk/BACKEND")["algo"], "leastconn");
    assert_eq!(one_by_one(&farm, 8, 0), "s1 s2 ".repeat(4));
}

#[test]
fn leastconn_leaves_out_the_server_whose_sessions_last() {
    let (farm, _servers) = two_servers("balance = \"leastconn\"");
    let farm = farm.top("threads = 4");
    let _backstop = farm.start();
    let first = held(&farm, 1);
    assert_eq!(one_by_one(&farm, 4, 1), "s2 ".repeat(4));
    let _second = held(&farm, 2);
    let _third = held(&farm, 3);
    assert_eq!(one_by_one(&farm, 4, 3), "s2 ".repeat(4));
    drop(first);
    wait_for_open(&farm, 2);
    assert_eq!(one_by_one(&farm, 4, 2), "s1 s2 ".repeat(2));
}
