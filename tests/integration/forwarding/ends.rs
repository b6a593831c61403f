//! How one side's end of a connection reaches the other side.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use socket2::SockRef;

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::noise::Noise;
use crate::harness::server::Server;
use crate::harness::wait::DEADLINE;

const LENGTH: u64 = 4 << 20;
const SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// A server with one handler, Backstop before it, and what the handler found at the end.
struct Path<T> {
    farm: Farm,
    backstop: Backstop,
    found: Receiver<T>,
    _server: Server,
}

impl<T: Send + 'static> Path<T> {
    fn to(handler: impl Fn(&TcpStream) -> T + Send + Sync + 'static) -> Self {
        let farm = Farm::new();
        let (tell, found) = mpsc::channel();
        let server = Server::start(farm.next(), move |stream| {
            stream.set_read_timeout(Some(DEADLINE)).expect("an option");
            let _ = tell.send(handler(stream));
        });
        let farm = farm.server("s1", server.address(), "");
        Self {
            backstop: farm.start(),
            farm,
            found,
            _server: server,
        }
    }

    fn found(&self) -> T {
        let found = self.found.recv_timeout(DEADLINE);
        found.expect("the server's handler ends")
    }

    /// The code of the first session.
    fn code(&self) -> String {
        self.backstop.wait_for_sessions(1).remove(0).code
    }
}

/// Ends the connection with a reset when the last handle goes.
fn reset_on_close(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).expect("an option");
}

fn read_kind(mut stream: &TcpStream) -> Result<usize, ErrorKind> {
    stream.read(&mut [0; 16]).map_err(|error| error.kind())
}

#[test]
fn a_client_may_end_its_side_and_then_read_all() {
    let path = Path::to(|mut stream| {
        // The answer starts only after the client's end was passed on.
        let received = stream.read_to_end(&mut Vec::new()).expect("an end");
        Noise::new(SEED).send(stream, LENGTH).expect("all is taken");
        received
    });
    let mut client = path.farm.connect();
    client.write_all(b"all that I say").expect("taken");
    client.shutdown(Shutdown::Write).expect("still connected");
    let received = Noise::new(SEED).receive(&client, LENGTH);
    received.expect("all of the answer");
    assert_eq!(read_kind(&client), Ok(0));
    assert_eq!(path.found(), b"all that I say".len());
    assert_eq!(path.code(), "--");
}

#[test]
fn a_server_may_end_its_side_and_then_read_all() {
    let path = Path::to(|mut stream| {
        stream.write_all(b"hello").expect("taken");
        stream.shutdown(Shutdown::Write).expect("still connected");
        let received = Noise::new(SEED).receive(stream, LENGTH);
        received.expect("all of the request");
        read_kind(stream)
    });
    let mut client = path.farm.connect();
    let mut hello = String::new();
    // Returns only after the server's end was passed on.
    client.read_to_string(&mut hello).expect("an end");
    assert_eq!(hello, "hello");
    Noise::new(SEED)
        .send(&client, LENGTH)
        .expect("all is taken");
    drop(client);
    assert_eq!(path.found(), Ok(0));
    assert_eq!(path.code(), "--");
}

#[test]
fn a_client_that_closes_without_a_word() {
    let path = Path::to(read_kind);
    drop(path.farm.connect());
    assert_eq!(path.found(), Ok(0));
    path.code();
}

#[test]
fn a_reset_by_the_client_resets_the_server() {
    let (ready, wait) = mpsc::channel();
    let path = Path::to(move |mut stream| {
        stream.read_exact(&mut [0]).expect("one byte");
        ready.send(()).expect("the test waits");
        read_kind(stream)
    });
    let mut client = path.farm.connect();
    client.write_all(b"x").expect("taken");
    wait.recv_timeout(DEADLINE).expect("the byte arrives");
    reset_on_close(&client);
    drop(client);
    assert_eq!(path.found(), Err(ErrorKind::ConnectionReset));
    assert_eq!(path.code(), "CD");
}

#[test]
fn a_reset_by_the_server_resets_the_client() {
    let path = Path::to(|mut stream| {
        stream.read_exact(&mut [0]).expect("one byte");
        reset_on_close(stream);
    });
    let mut client = path.farm.connect();
    client.write_all(b"x").expect("taken");
    assert_eq!(read_kind(&client), Err(ErrorKind::ConnectionReset));
    path.found();
    assert_eq!(path.code(), "SD");
}

#[test]
fn a_reset_while_the_other_way_is_ended_is_passed_on() {
    let (ready, wait) = mpsc::channel();
    let path = Path::to(move |mut stream| {
        stream.read_to_end(&mut Vec::new()).expect("an end");
        reset_on_close(stream);
        ready.send(()).expect("the test waits");
    });
    let client = path.farm.connect();
    client.shutdown(Shutdown::Write).expect("still connected");
    wait.recv_timeout(DEADLINE).expect("the end arrives");
    assert_eq!(read_kind(&client), Err(ErrorKind::ConnectionReset));
    assert_eq!(path.code(), "SD");
}

#[test]
fn what_was_sent_before_an_end_arrives_before_the_end() -> io::Result<()> {
    let path = Path::to(|stream| {
        Noise::new(SEED).send(stream, LENGTH).expect("all is taken");
    });
    let client = path.farm.connect();
    Noise::new(SEED).receive(&client, LENGTH)?;
    assert_eq!(read_kind(&client), Ok(0));
    Ok(())
}

/// The handshake's last packet is kept back for what the client says first, if it says anything.
/// Were it not sent when it says nothing, each of these would wait for 200 ms.
#[test]
fn a_server_that_speaks_first_is_not_kept_waiting() -> io::Result<()> {
    let path = Path::to(|mut stream| stream.write_all(b"ready\n"));
    let began = std::time::Instant::now();
    for _ in 0..200 {
        let mut greeting = [0; 6];
        path.farm.connect().read_exact(&mut greeting)?;
        assert_eq!(&greeting, b"ready\n");
        assert!(began.elapsed() < DEADLINE, "a greeting takes too long");
    }
    Ok(())
}
