//! Where a check goes, where it comes from, and how long it may take.

use std::io::Write;
use std::sync::mpsc;

use backstop::topology::status::CheckStatus::{L4Ok, L7Ok, L7Timeout, SocketError};

use super::peers::scripted;
use crate::harness::check::{check, expect};
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

#[test]
fn a_port_and_an_address_of_its_own() {
    let (site, other) = (Loopback::lease(), Loopback::lease());
    let server = scripted(&other, vec![]);
    let settings = format!(
        "port = {}, address = \"{}\"",
        server.address().port(),
        server.address().ip()
    );
    expect(site.next(), &settings, L4Ok, None, "");
}

#[test]
fn a_source_of_its_own() {
    let site = Loopback::lease();
    let (seen, sources) = mpsc::channel();
    let server = Server::start(site.next(), move |mut stream| {
        let source = stream.peer_addr().expect("a connection").ip();
        seen.send(source).expect("the test waits");
        stream.write_all(b"x").expect("the check listens");
    });
    let source = Loopback::lease().port(1).ip();
    let settings = format!("source = \"{source}\", steps = [{{ expect = \"x\" }}]");
    expect(server.address(), &settings, L7Ok, None, "");
    assert_eq!(sources.try_recv(), Ok(source));
    // 192.0.2.0/24 is for documentation, and no machine has it.
    let info = "the source address 192.0.2.1 cannot be used: Cannot assign requested address";
    expect(
        server.address(),
        "source = \"192.0.2.1\"",
        SocketError,
        None,
        info,
    );
}

#[test]
fn a_name_that_does_not_resolve() {
    let site = Loopback::lease();
    let info = "the name \"nobody.invalid\" does not resolve";
    expect(
        site.next(),
        "address = \"nobody.invalid\"",
        SocketError,
        None,
        info,
    );
}

#[test]
fn without_timeouts_the_interval_is_the_limit() {
    let site = Loopback::lease();
    let server = scripted(&site, vec![]);
    let report = check(server.address(), "type = \"smtp\", interval = \"150ms\"");
    assert_eq!(report.status, L7Timeout);
    assert_eq!(report.info, "no answer to the connection within 150ms");
}
