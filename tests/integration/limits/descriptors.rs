//! A process that has run out of descriptors.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::backstop::Backstop;
use crate::harness::daemon::Daemon;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
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

/// A command for the program with so many descriptors, soft and hard.
fn with_descriptors(count: u64) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_backstop")]);
    command
}

/// What used to happen: connections were accepted, found no descriptor for a server and were
/// closed.
#[test]
fn no_more_are_accepted_than_can_be_served() {
    let farm = Farm::new().top("threads = 2");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "check = { interval = \"100ms\" }");
    let backstop = Backstop::start_by(with_descriptors(256), &farm.config());
    let most: usize = farm.stats().row("ft/FRONTEND")["slim"]
        .parse()
        .expect("a limit");
    assert!((30..128).contains(&most), "{most}");

    let clients: Vec<_> = (0..most + 150).map(|_| farm.connect()).collect();
    for mut client in &clients {
        client.write_all(b"x").expect("the kernel takes it");
    }
    wait_until("as many as there is room for should be served", || {
        farm.stats().row("ft/FRONTEND")["scur"] == most.to_string()
    });
    // Each in turn, as those before it leave, and none is closed without an answer.
    let mut waiting = clients;
    while !waiting.is_empty() {
        let answered = waiting.iter().position(|mut client| {
            client.set_nonblocking(true).expect("a socket");
            let mut answer = [0];
            match client.read(&mut answer) {
                Ok(read) => {
                    assert_eq!((read, answer), (1, *b"x"));
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            }
        });
        match answered {
            Some(index) => drop(waiting.remove(index)),
            None => std::thread::yield_now(),
        }
    }
    let ended = backstop.wait_for_sessions(most + 150);
    assert!(
        ended.iter().all(|session| session.code == "--"),
        "{ended:?}"
    );
    assert_eq!(complaints(&backstop), 0);
    assert_eq!(farm.stats().row("s1")["status"], "UP");
}

#[test]
fn what_the_descriptors_are_not_enough_for_does_not_start() {
    let farm = Farm::new().top("maxconn = 1000").top("threads = 1");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let directory = TempDir::new();
    let file = directory.write("backstop.toml", &farm.config());
    let mut daemon = Daemon::spawn("backstop", with_descriptors(300).arg("-f").arg(file));
    assert_eq!(daemon.wait().code(), Some(1));
    let errors = daemon.stderr().join("\n");
    for part in [
        "error: maxconn = 1000 needs 2",
        " descriptors, and the system allows 300: raise the limit",
        "or write maxconn = 9",
        "Nothing was started.",
    ] {
        assert!(errors.contains(part), "no `{part}` in {errors}");
    }
}
