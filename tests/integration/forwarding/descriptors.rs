//! A process that has run out of descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::wait::{wait_until, wait_within};

/// Connections for which there are not enough descriptors.
const CLIENTS: usize = 40;

/// Descriptors that are left for sessions.
const FREE: usize = 20;

#[test]
fn running_out_of_descriptors_is_survived() {
    let farm = Farm::new().top("threads = 1");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let backstop = farm.start();
    let before = backstop.descriptors();
    leave_descriptors(&backstop, FREE);

    // Those that cannot be accepted wait in the listener's queue, so that each can connect.
    let clients: Vec<_> = (0..CLIENTS).map(|_| farm.connect()).collect();
    backstop.wait_for_log("Too many open files");
    // One line from the accepting and one from the connecting, however long it lasts.
    let more = wait_within(Duration::from_millis(700), || {
        (complaints(&backstop) > 2).then(|| backstop.log())
    });
    assert_eq!(more, None);

    drop(clients);
    wait_until("it should serve again", || echoes(&farm.connect()));
    wait_until("sessions should give their descriptors back", || {
        backstop.descriptors() == before
    });
}

/// Lowers the limit of a running process to what it has open, and this many more.
fn leave_descriptors(backstop: &Backstop, free: usize) {
    let limit = Some((backstop.descriptors() + free) as u64);
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    prlimit(Some(backstop.pid()), Resource::Nofile, limit).expect("a child's limit");
}

fn complaints(backstop: &Backstop) -> usize {
    let log = backstop.log();
    let lines = log.iter().filter(|l| l.contains("Too many open files"));
    lines.count()
}

fn echoes(mut stream: &TcpStream) -> bool {
    let mut seen = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut seen).is_ok() && seen == *b"x"
}
