//! Who says something first, and when the server learns that it is connected.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::farm::Farm;
use crate::harness::server::Server;

/// When the kernel tells a server by itself that it is connected.
const KERNEL: Duration = Duration::from_millis(200);

/// Answers a client that asks soon, and greets one that does not.
fn server(farm: &Farm) -> Server {
    Server::start(farm.next(), |mut stream| {
        let patience = Duration::from_millis(20);
        let _ = stream.set_read_timeout(Some(patience));
        let asked = matches!(stream.read(&mut [0]), Ok(1));
        let _ = stream.write_all(if asked { b"." } else { b"!" });
        let _ = stream.set_read_timeout(None);
        let _ = stream.read(&mut [0]);
    })
}

fn ask(mut client: TcpStream) {
    let mut answer = [0];
    client.write_all(b"?").unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b".");
}

/// After how long a client that says nothing hears something.
fn listen_in(mut client: TcpStream) -> Duration {
    let (began, mut greeting) = (Instant::now(), [0]);
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *b"!");
    began.elapsed()
}

fn assert_heard(farm: Farm) {
    let server = server(&farm);
    let farm = farm.server("s1", server.address(), "");
    let _backstop = farm.start();
    // The machine may be busy now and then, but not each time.
    let waits = (0..10).map(|_| {
        (0..20).for_each(|_| ask(farm.connect()));
        listen_in(farm.connect())
    });
    let least = waits.min().unwrap();
    assert!(least < KERNEL * 3 / 4, "{least:?}");
}

#[test]
fn a_server_that_speaks_first_is_heard_though_its_clients_used_to() {
    assert_heard(Farm::new());
}

#[test]
fn it_is_heard_without_timeouts_too() {
    assert_heard(Farm::new().timeout(r#"connect = "5s""#));
}
