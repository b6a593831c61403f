//! Which server a session goes to, as clients see it.

use std::collections::{BTreeMap, BTreeSet};
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

/// Four servers behind `source`, and clients told by PROXY headers.
fn by_address() -> (Farm, Vec<Server>) {
    let farm = Farm::new()
        .frontend(r#"accept_proxy = { from = "127.0.0.0/8" }"#)
        .backend("balance = \"source\"");
    let names = ["s1", "s2", "s3", "s4"];
    let servers = names.map(|name| Server::named(farm.next(), name));
    let farm = names
        .iter()
        .zip(&servers)
        .fold(farm, |farm, (name, server)| {
            let check = r#"check = { interval = "100ms", rise = 1 }"#;
            farm.server(name, server.address(), check)
        });
    (farm, servers.into())
}

/// The servers of 40 clients.
fn servers_of_clients(farm: &Farm) -> Vec<String> {
    let ask = |number| {
        let mut client = farm.connect();
        let request = format!(
            "PROXY TCP4 192.0.2.{number} 198.51.100.1 5007 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\
             Connection: close\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer.lines().last().unwrap_or_default().to_owned()
    };
    (0..40).map(ask).collect()
}

#[test]
fn source_keeps_clients_and_moves_only_those_of_a_dead_server() {
    let (farm, mut servers) = by_address();
    let _backstop = farm.start();
    farm.stats().wait_for_check("s2");
    let before = servers_of_clients(&farm);
    let some: BTreeSet<_> = before.iter().collect();
    assert_eq!(some.len(), 4, "{before:?}");
    assert_eq!(servers_of_clients(&farm), before);

    servers[1].stop();
    let refused = servers_of_clients(&farm);
    assert_eq!(servers_of_clients(&farm), refused);
    let moved: BTreeSet<_> = before
        .iter()
        .zip(&refused)
        .inspect(|(was, now)| assert!(*was == "s2" || was == now, "{was} to {now}"))
        .filter_map(|(was, now)| (was != now).then_some(now))
        .collect();
    assert!(
        moved.len() > 1 && !moved.contains(&"s2".to_owned()),
        "{moved:?}"
    );

    servers[1].restart();
    wait_until("clients should be back", || {
        servers_of_clients(&farm) == before
    });
}

#[test]
fn source_chooses_alike_in_every_process() {
    let ((one, _servers), (other, _others)) = (by_address(), by_address());
    let other = other.top("threads = 3");
    let _processes = [one.start(), other.start()];
    assert_eq!(servers_of_clients(&one), servers_of_clients(&other));
}

#[test]
fn random_uses_every_server() {
    let (farm, _servers) = two_servers("balance = \"random\"");
    let _backstop = farm.start();
    let seen = curl_many(&farm, 60);
    assert_eq!(seen.values().sum::<usize>(), 60);
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn first_fills_one_server_after_the_other() {
    let farm = Farm::new().backend("balance = \"first\"");
    let servers = ["s1", "s2"].map(|name| Server::named(farm.next(), name));
    let farm = farm.server("s1", servers[0].address(), "maxconn = 2");
    let farm = farm.server("s2", servers[1].address(), "maxconn = 2");
    let _backstop = farm.start();
    assert_eq!(one_by_one(&farm, 3, 0), "s1 s1 s1 ");
    let _one = held(&farm, 1);
    assert_eq!(one_by_one(&farm, 2, 1), "s1 s1 ");
    let two = held(&farm, 2);
    assert_eq!(one_by_one(&farm, 2, 2), "s2 s2 ");
    drop(two);
    wait_for_open(&farm, 1);
    assert_eq!(one_by_one(&farm, 2, 1), "s1 s1 ");
}
