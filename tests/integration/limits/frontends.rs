//! Frontends and the process with `maxconn`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::wait::{uninterrupted, wait_until};

fn echoes(mut stream: &TcpStream) -> bool {
    let mut seen = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut seen).is_ok() && seen == *b"x"
}

/// Whether nothing happens to the connection for some time.
fn is_left_waiting(mut stream: &TcpStream) -> bool {
    let patience = Some(Duration::from_millis(200));
    stream.set_read_timeout(patience).expect("a socket");
    let waits = uninterrupted(|| stream.read(&mut [0]))
        .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream
        .set_read_timeout(Some(crate::harness::wait::DEADLINE))
        .expect("a socket");
    waits
}

fn the_third_waits(farm: Farm, limit_of_row: &str) {
    let server = Server::echo(farm.next());
    let farm = farm.top("threads = 2").server("s1", server.address(), "");
    let backstop = farm.start();
    let mut open: Vec<_> = (0..2).map(|_| farm.connect()).collect();
    assert!(open.iter().all(echoes));
    let row = farm.stats().row("ft/FRONTEND");
    assert_eq!([&*row["scur"], &*row["slim"]], ["2", limit_of_row]);

    // The kernel completes the connections, and nobody serves them.
    let late: Vec<_> = (0..3).map(|_| farm.connect()).collect();
    assert!(is_left_waiting(&late[0]));
    assert_eq!(farm.stats().row("ft/FRONTEND")["scur"], "2");

    // Which of them comes first is the kernel's choice, but each comes as soon as there is room.
    for client in late {
        open.remove(0);
        open.push(client);
    }
    assert!(echoes(&open[0]));
    assert!(echoes(&open[1]));
    assert_eq!(farm.stats().row("ft/FRONTEND")["smax"], "2");
    drop(open);
    let lines = backstop.wait_for_sessions(4);
    assert!(lines.iter().all(|line| line.code == "--"), "{lines:?}");
}

#[test]
fn a_frontend_that_is_full_leaves_connections_waiting() {
    the_third_waits(Farm::new().frontend("maxconn = 2"), "2");
}

#[test]
fn so_does_a_process_that_is_full() {
    the_third_waits(Farm::new().top("maxconn = 2"), "2");
}

#[test]
fn stopping_does_not_wait_for_connections_that_have_no_room() {
    let farm = Farm::new().frontend("maxconn = 1").top("threads = 1");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let mut backstop = farm.start();
    let open = farm.connect();
    assert!(echoes(&open));
    let mut late = farm.connect();
    wait_until("it should be held", || is_left_waiting(&late));
    backstop.signal(rustix::process::Signal::TERM);
    assert!(matches!(late.read(&mut [0]), Ok(0) | Err(_)));
    assert!(echoes(&open));
    drop(open);
    assert_eq!(backstop.wait().code(), Some(0));
}

/// Whoever connects first is accepted first, unless the kernel keeps the connection back.
#[test]
fn a_connection_that_says_nothing_is_no_session_yet_if_that_is_deferred() {
    for (options, sessions) in [("", "2"), ("socket = { defer_accept = true }", "1")] {
        let farm = Farm::new().top("threads = 1").frontend(options);
        let server = Server::echo(farm.next());
        let farm = farm.server("s1", server.address(), "");
        let _backstop = farm.start();
        let silent = farm.connect();
        assert!(echoes(&farm.connect()));
        let row = farm.stats().row("ft/FRONTEND");
        assert_eq!(row["stot"], sessions, "{options}");
        // It is served when it speaks.
        assert!(echoes(&silent));
    }
}
