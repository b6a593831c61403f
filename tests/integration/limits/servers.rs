//! Servers with `maxconn`, and the queue of their backend.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use socket2::SockRef;

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::wait::{uninterrupted, wait_for, wait_until};

/// A server that says its name to whoever connects, and nothing more until the client has ended.
fn greeter(address: SocketAddr, name: &'static str) -> Server {
    Server::start(address, move |mut stream| {
        let _ = stream.write_all(name.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// Servers `a` and `b`, or the first of them, with room for one session each.
fn farm(servers: &[Server], farm: Farm) -> Farm {
    let names = ["a", "b"].into_iter().zip(servers);
    names.fold(farm, |farm, (name, server)| {
        farm.server(name, server.address(), "maxconn = 1")
    })
}

fn greeting(mut stream: &TcpStream) -> char {
    let mut name = [0];
    stream.read_exact(&mut name).expect("a greeting");
    name[0].into()
}

fn wait_for_queue(farm: &Farm, length: usize) {
    wait_until("the queue should have another length", || {
        farm.stats().row("bk/BACKEND")["qcur"] == length.to_string()
    });
}

/// Clients that joined the queue one after the other.
fn queue_up(farm: &Farm, waiting: usize, count: usize) -> Vec<TcpStream> {
    let join = |position| {
        let client = farm.connect();
        wait_for_queue(farm, waiting + position + 1);
        client
    };
    (0..count).map(join).collect()
}

/// The way in which the first session ended that did not end normally.
fn code(backstop: &Backstop) -> String {
    wait_for("a session that ended early", || {
        let sessions = backstop.sessions();
        let early = sessions.into_iter().find(|session| session.code != "--");
        early.map(|session| session.code)
    })
}

#[test]
fn the_next_session_goes_to_a_server_with_room_and_then_waits() {
    let plain = Farm::new();
    let servers = [greeter(plain.next(), "a"), greeter(plain.next(), "b")];
    let farm = farm(&servers, plain);
    let backstop = farm.start();
    let [a, b] = ['a', 'b'].map(|name| {
        let client = farm.connect();
        assert_eq!(greeting(&client), name);
        client
    });
    let waiting = queue_up(&farm, 0, 1);
    let row = farm.stats().row("bk/BACKEND");
    assert_eq!(
        [&*row["qcur"], &*row["qmax"], &*row["qlimit"]],
        ["1", "1", ""]
    );
    let row = farm.stats().row("b");
    assert_eq!(
        [&*row["scur"], &*row["slim"], &*row["smax"]],
        ["1", "1", "1"]
    );

    drop(b);
    assert_eq!(greeting(&waiting[0]), 'b');
    wait_for_queue(&farm, 0);
    assert_eq!(farm.stats().row("b")["smax"], "1");
    drop((a, waiting));
    let lines = backstop.wait_for_sessions(3);
    assert!(lines.iter().all(|line| line.code == "--"), "{lines:?}");
    // It waited behind nobody, and for longer than no time.
    let logged = backstop.log().join("\n");
    assert!(logged.contains(" 0/0\n"), "{logged}");
}

/// On whichever worker they live.
#[test]
fn sessions_are_served_in_the_order_in_which_they_came() {
    let plain = Farm::new().top("threads = 4");
    let servers = [greeter(plain.next(), "a")];
    let farm = farm(&servers, plain);
    let backstop = farm.start();
    let first = farm.connect();
    greeting(&first);
    let mut queue = queue_up(&farm, 0, 8);
    let mut served = first;
    while !queue.is_empty() {
        drop(served);
        let next = queue.remove(0);
        assert_eq!(greeting(&next), 'a');
        wait_for_queue(&farm, queue.len());
        served = next;
    }
    drop(served);
    let positions: Vec<_> = backstop.wait_for_sessions(9);
    assert_eq!(positions.len(), 9);
    assert_eq!(farm.stats().row("bk/BACKEND")["qmax"], "8");
    // The last one had seven before it.
    backstop.wait_for_log(" 0/7");
}

#[test]
fn one_that_waits_for_too_long_is_given_up() {
    let plain =
        Farm::new().timeout(r#"connect = "5s", queue = "200ms", client = "60s", server = "60s""#);
    let servers = [greeter(plain.next(), "a")];
    let farm = farm(&servers, plain);
    let backstop = farm.start();
    let first = farm.connect();
    greeting(&first);
    let mut late = farm.connect();
    let end = uninterrupted(|| late.read(&mut [0]));
    assert_eq!(end.expect("an orderly end"), 0);
    assert_eq!(code(&backstop), "sQ");
    assert_eq!(farm.stats().row("bk/BACKEND")["econ"], "1");
    let line = backstop.wait_for_log(" sQ ");
    let (_, times) = line.split_once(" bk/<NOSRV> ").expect("no server");
    let (waited, _) = times.split_once('/').expect("several times");
    let waited: u64 = waited.parse().expect("milliseconds");
    assert!((200..5_000).contains(&waited), "{line}");
}

#[test]
fn a_queue_that_is_full_takes_no_more() {
    let plain = Farm::new().backend("maxqueue = 2");
    let servers = [greeter(plain.next(), "a")];
    let farm = farm(&servers, plain);
    let backstop = farm.start();
    let first = farm.connect();
    greeting(&first);
    let waiting = queue_up(&farm, 0, 2);
    assert_eq!(farm.stats().row("bk/BACKEND")["qlimit"], "2");
    let mut refused = farm.connect();
    assert_eq!(refused.read(&mut [0]).expect("an orderly end"), 0);
    assert_eq!(code(&backstop), "SQ");
    drop(first);
    assert_eq!(greeting(&waiting[0]), 'a');
}

#[test]
fn a_client_that_gives_up_leaves_the_queue() {
    let plain = Farm::new();
    let servers = [greeter(plain.next(), "a")];
    let farm = farm(&servers, plain);
    let backstop = farm.start();
    let first = farm.connect();
    greeting(&first);
    let mut waiting = queue_up(&farm, 0, 2);
    let gone = waiting.remove(0);
    SockRef::from(&gone)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("a socket");
    drop(gone);
    assert_eq!(code(&backstop), "CQ");
    wait_for_queue(&farm, 1);
    drop(first);
    assert_eq!(greeting(&waiting[0]), 'a');
}

#[test]
fn those_that_wait_go_to_a_backup_when_the_server_goes_down() {
    let plain = Farm::new().backend(r#"check = { interval = "100ms", fall = 1 }"#);
    let mut servers = [greeter(plain.next(), "a"), greeter(plain.next(), "b")];
    let [a, b] = [&servers[0], &servers[1]].map(Server::address);
    let farm = plain.server("a", a, "maxconn = 1, check = true").server(
        "b",
        b,
        "maxconn = 9, backup = true, check = true",
    );
    let _backstop = farm.start();
    let first = farm.connect();
    assert_eq!(greeting(&first), 'a');
    let waiting = queue_up(&farm, 0, 2);
    servers[0].stop();
    for client in &waiting {
        assert_eq!(greeting(client), 'b');
    }
}

#[test]
fn a_failed_connection_gives_its_place_back() {
    let plain = Farm::new();
    let dead = plain.next();
    let well = greeter(plain.next(), "b");
    let farm = plain
        .server("a", dead, "maxconn = 1")
        .server("b", well.address(), "");
    let backstop = farm.start();
    for _ in 0..6 {
        let client = farm.connect();
        assert_eq!(greeting(&client), 'b');
        client.shutdown(Shutdown::Both).expect("open");
    }
    let lines = backstop.wait_for_sessions(6);
    assert!(lines.iter().all(|line| line.code == "--"), "{lines:?}");
    assert_eq!(farm.stats().row("bk/BACKEND")["qmax"], "0");
}
