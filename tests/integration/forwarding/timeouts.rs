//! Sessions on which nothing moves, and servers that do not answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::wait::{uninterrupted, wait_until};

const SHORT: Duration = Duration::from_millis(300);

/// The code and the duration of a session that echoes one byte and then falls silent.
fn silent_session(timeout: &str) -> (String, Duration) {
    let farm = Farm::new().timeout(timeout);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let backstop = farm.start();
    let mut client = farm.connect();
    client.write_all(b"x").expect("taken");
    client.read_exact(&mut [0]).expect("echoed");
    let silent = Instant::now();
    let end = uninterrupted(|| client.read(&mut [0]));
    let end = end.or_else(|error| match error.kind() {
        ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    });
    assert_eq!(end.expect("the proxy ends the session"), 0);
    let elapsed = silent.elapsed();
    (backstop.wait_for_sessions(1).remove(0).code, elapsed)
}

#[test]
fn a_silent_client() {
    let (code, elapsed) = silent_session(r#"connect = "5s", client = "300ms", server = "60s""#);
    assert_eq!(code, "cD");
    // Activity is noticed with the granularity of the session's timer.
    assert!(elapsed >= SHORT.mul_f32(0.8), "{elapsed:?}");
}

#[test]
fn a_silent_server() {
    let (code, elapsed) = silent_session(r#"connect = "5s", client = "60s", server = "300ms""#);
    assert_eq!(code, "sD");
    assert!(elapsed >= SHORT.mul_f32(0.8), "{elapsed:?}");
}

#[test]
fn a_session_with_traffic_outlives_its_timeouts() {
    let farm = Farm::new().timeout(r#"connect = "5s", client = "300ms", server = "300ms""#);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let _backstop = farm.start();
    let mut client = farm.connect();
    let start = Instant::now();
    // Each answer is asked for a short time after the one before.
    let pause = Some(Duration::from_millis(50));
    while start.elapsed() < 3 * SHORT {
        client.write_all(b"x").expect("taken");
        client.read_exact(&mut [0]).expect("echoed");
        client.set_read_timeout(pause).expect("an option");
        let silence = uninterrupted(|| client.read(&mut [0])).map_err(|error| error.kind());
        assert_eq!(silence, Err(ErrorKind::WouldBlock));
        client.set_read_timeout(Some(SHORT)).expect("an option");
    }
}

/// An address where connections neither succeed nor fail: the listener's queue is full, so that
/// the kernel drops every SYN.
struct BlackHole {
    _listener: Socket,
    _fillers: Vec<Socket>,
}

impl BlackHole {
    fn open(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&address.into()).expect("a free address");
        listener.listen(0).expect("a listener");
        let fillers = (0..8).map(|_| filler(&address.into())).collect();
        wait_until("the queue should be full", || {
            let patience = Duration::from_millis(200);
            TcpStream::connect_timeout(&address, patience)
                .is_err_and(|error| error.kind() == ErrorKind::TimedOut)
        });
        Self {
            _listener: listener,
            _fillers: fillers,
        }
    }
}

/// How many connections to `address` wait for the answer to their SYN.
fn unanswered(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        panic!("{address} is not of IPv4");
    };
    // As the kernel prints it, the address is a number in the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let remote = format!("{ip:08X}:{:04X} 02", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    table.lines().filter(|line| line.contains(&remote)).count()
}

fn filler(address: &SockAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("an option");
    let _ = socket.connect(address);
    socket
}

#[test]
fn a_server_that_does_not_answer_is_left_for_the_next() {
    let farm = Farm::new()
        .timeout(r#"connect = "200ms", client = "60s", server = "60s""#)
        .backend(r#"hedge = "off""#);
    let hole = farm.next();
    let _hole = BlackHole::open(hole);
    let server = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", hole, "");
    let farm = farm.server("s2", server.address(), "");
    let backstop = farm.start();
    for _ in 0..4 {
        assert_eq!(http::curl(farm.entrance()).expect("an answer"), "s2\n");
    }
    let sessions = backstop.wait_for_sessions(4);
    assert!(sessions.iter().all(|s| s.server == "s2" && s.code == "--"));
    assert!(sessions.iter().any(|session| session.retries == "+1"));
}

#[test]
fn a_server_that_does_not_answer_gets_a_rival_long_before_the_connect_timeout() {
    let farm = Farm::new().timeout(r#"connect = "10s", client = "60s", server = "60s""#);
    let hole = farm.next();
    let _hole = BlackHole::open(hole);
    let server = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", hole, "");
    let farm = farm.server("s2", server.address(), "");
    let _backstop = farm.start();
    let start = Instant::now();
    for _ in 0..4 {
        assert_eq!(http::curl(farm.entrance()).expect("an answer"), "s2\n");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "waited for it");
}

#[test]
fn only_the_first_sessions_wait_for_a_server_that_does_not_answer() {
    let farm = Farm::new().timeout(r#"connect = "10s", client = "60s", server = "60s""#);
    let farm = farm.backend(r#"hedge = "500ms""#);
    let hole = farm.next();
    let _hole = BlackHole::open(hole);
    let server = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", hole, "");
    let farm = farm.server("s2", server.address(), "");
    let backstop = farm.start();
    for _ in 0..6 {
        assert_eq!(http::curl(farm.entrance()).expect("an answer"), "s2\n");
    }
    let slow = backstop
        .wait_for_sessions(6)
        .iter()
        .filter(|s| s.total_time >= 500)
        .count();
    assert_eq!(slow, 1, "the others know better");
}

#[test]
fn a_session_that_waits_learns_from_another_that_its_server_is_dead() {
    let farm = Farm::new().timeout(r#"connect = "60s", client = "60s", server = "60s""#);
    let farm = farm.backend(r#"hedge = "30s""#);
    let dying = farm.next();
    let hole = BlackHole::open(dying);
    let server = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", dying, "");
    let farm = farm.server("s2", server.address(), "");
    let backstop = farm.start();
    let entrance = farm.entrance();
    let others = unanswered(dying);
    let waiting = thread::spawn(move || http::curl(entrance));
    wait_until("a SYN should be lost", || unanswered(dying) > others);
    drop(hole);
    for _ in 0..2 {
        assert_eq!(http::curl(entrance).expect("an answer"), "s2\n");
    }
    let answer = waiting.join().expect("no panic").expect("an answer");
    assert_eq!(answer, "s2\n");
    let sessions = backstop.wait_for_sessions(3);
    // Its own SYN was lost, and is sent again after a second.
    assert!(sessions.iter().all(|session| session.total_time < 1000));
}

#[test]
fn nothing_but_a_server_that_does_not_answer() {
    let farm = Farm::new()
        .timeout(r#"connect = "200ms", client = "60s", server = "60s""#)
        .backend("retries = 0");
    let hole = farm.next();
    let _hole = BlackHole::open(hole);
    let farm = farm.server("s1", hole, "");
    let backstop = farm.start();
    assert!(http::curl(farm.entrance()).is_err());
    let session = backstop.wait_for_sessions(1).remove(0);
    assert_eq!((&*session.server, &*session.code), ("s1", "sC"));
}

#[test]
fn a_server_that_accepts_but_does_not_answer_is_left() {
    let farm = Farm::new()
        .timeout(r#"connect = "1s", client = "60s", server = "500ms""#)
        .backend(r#"silence = { after = "100ms", sessions = 2 }"#);
    let silent = farm.next();
    // The kernel accepts for it, as it does for a process that is stopped.
    let _silent = std::net::TcpListener::bind(silent).expect("a listener");
    let server = Server::named(farm.next(), "s2");
    let farm = farm.server("s1", silent, "check = true");
    let farm = farm.server("s2", server.address(), "check = true");
    let backstop = farm.start();
    let answers: Vec<_> = (0..4).map(|_| http::curl(farm.entrance()).ok()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 2);
    backstop.wait_for_log("bk/s1 is DOWN, reason: it accepts sessions but does not answer them");
    backstop.wait_for_log("bk/s1 is UP, reason: Layer4 check passed");
    for _ in 0..4 {
        assert_eq!(
            http::curl(farm.entrance()).expect("an answer"),
            "s2\n",
            "it is on probation"
        );
    }
}
