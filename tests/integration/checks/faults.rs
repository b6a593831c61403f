//! Every type of check against every kind of server that does not do its work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use backstop::topology::status::CheckStatus::{
    self, L4Connection, L6Response, L6Timeout, L7Response, L7Timeout,
};

use super::peers::{say, scripted, until_end};
use crate::harness::check::check;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

/// The settings of a check, what it says of silence, and of an answer that is none.
const TYPES: [(&str, CheckStatus, CheckStatus); 13] = [
    (
        "steps = [{ send = \"PING\\r\\n\" }, { expect = \"+PONG\" }]",
        L7Timeout,
        L7Response,
    ),
    (
        "type = \"tcp\", tls = true, verify = false, sni = \"db.example\"",
        L6Timeout,
        L6Response,
    ),
    ("type = \"http\"", L7Timeout, L7Response),
    (
        "type = \"http\", tls = true, verify = false",
        L6Timeout,
        L6Response,
    ),
    ("type = \"redis\"", L7Timeout, L7Response),
    (
        "type = \"redis\", role = \"master\", password = \"x\", cluster = true",
        L7Timeout,
        L7Response,
    ),
    (
        "type = \"postgres\", user = \"backstop\"",
        L7Timeout,
        L7Response,
    ),
    ("type = \"mysql\"", L7Timeout, L7Response),
    (
        "type = \"mysql\", user = \"backstop\", read_only = false",
        L7Timeout,
        L7Response,
    ),
    ("type = \"smtp\"", L7Timeout, L7Response),
    ("type = \"ldap\"", L7Timeout, L7Response),
    (
        "type = \"ldap\", tls = true, verify = false",
        L6Timeout,
        L6Response,
    ),
    ("type = \"tls-hello\"", L6Timeout, L6Response),
];

/// For everything a check does.
const LIMIT: &str = "timeout = \"300ms\"";

/// How late a check may end on a loaded machine.
const SLACK: Duration = Duration::from_secs(5);

fn each(server: &Server, wanted: impl Fn(CheckStatus, CheckStatus) -> CheckStatus) {
    for (settings, silent, garbage) in TYPES {
        let began = Instant::now();
        let report = check(server.address(), &format!("{settings}, {LIMIT}"));
        let wanted = wanted(silent, garbage);
        assert_eq!(report.status, wanted, "{settings}: {}", report.info);
        assert_ne!(report.info, "", "{settings}");
        assert!(began.elapsed() < SLACK, "{settings}: {:?}", began.elapsed());
    }
}

#[test]
fn nobody_listens() {
    let site = Loopback::lease();
    for (settings, ..) in TYPES {
        let report = check(site.next(), &format!("{settings}, {LIMIT}"));
        assert_eq!(report.status, L4Connection, "{settings}");
        assert!(
            report.info.ends_with("Connection refused"),
            "{}",
            report.info
        );
    }
}

#[test]
fn a_server_that_accepts_and_is_silent() {
    let site = Loopback::lease();
    let server = Server::start(site.next(), until_end);
    each(&server, |silent, _| silent);
}

#[test]
fn a_server_that_closes_at_once() {
    let site = Loopback::lease();
    let server = Server::start(site.next(), |_| {});
    each(&server, |_, garbage| garbage);
}

#[test]
fn a_server_that_says_something_else() {
    let site = Loopback::lease();
    let garbage = b"\x00\xff\x7fgarbage\r\n\r\n".repeat(4096);
    let server = scripted(&site, vec![say(garbage)]);
    each(&server, |_, garbage| garbage);
}

/// What comes is a beginning of nothing or of anything, depending on the protocol: only that the
/// check fails in time is sure.
fn each_fails_in_time(server: &Server) {
    for (settings, ..) in TYPES {
        let began = Instant::now();
        let report = check(server.address(), &format!("{settings}, {LIMIT}"));
        assert!(!report.status.passed(), "{settings}: {}", report.info);
        assert!(began.elapsed() < SLACK, "{settings}: {:?}", began.elapsed());
    }
}

/// Whether the client has ended, waiting for that as long as the stream waits for bytes.
fn has_ended(mut stream: &TcpStream) -> bool {
    stream.read(&mut [0; 4096]).is_ok_and(|length| length == 0)
}

#[test]
fn a_server_that_trickles_bytes() {
    let site = Loopback::lease();
    for byte in [b'+', b'2', 0x16, 0x30, b'H'] {
        let server = Server::start(site.next(), move |mut stream| {
            let pause = Some(Duration::from_millis(10));
            stream.set_read_timeout(pause).expect("a socket");
            while stream.write_all(&[byte]).is_ok() && !has_ended(stream) {}
        });
        each_fails_in_time(&server);
    }
}

#[test]
fn a_server_that_never_stops_sending() {
    let site = Loopback::lease();
    for byte in [b'+', b'2', 0x16, 0x30, b'H'] {
        let server = Server::start(site.next(), move |mut stream| {
            while stream.write_all(&[byte; 4096]).is_ok() {}
        });
        each_fails_in_time(&server);
    }
}
