//! Every byte arrives, once and in order.

use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::harness::farm::Farm;
use crate::harness::noise::Noise;
use crate::harness::server::Server;
use crate::harness::wait::DEADLINE;

/// How many bytes go each way: with `BACKSTOP_FULL=1` in the environment, as `tests/run` sets it,
/// 1 GiB, which takes up to half a minute without optimization.
fn length() -> u64 {
    if env::var_os("BACKSTOP_FULL").is_some_and(|value| value == "1") {
        1 << 30
    } else {
        64 << 20
    }
}

const TO_SERVER: u64 = 0x9e37_79b9_7f4a_7c15;
const TO_CLIENT: u64 = 0xd1b5_4a32_d192_ed03;

#[test]
fn a_long_stream_each_way_at_once() {
    long_streams("auto");
}

#[test]
fn a_long_stream_each_way_at_once_with_splice_off() {
    long_streams("off");
}

#[test]
fn a_long_stream_each_way_at_once_with_splice_always() {
    long_streams("always");
}

fn long_streams(splice: &str) {
    let farm = Farm::new().backend(&format!("splice = \"{splice}\""));
    let (done, server_done) = mpsc::channel();
    let server = Server::start(farm.next(), move |stream| {
        both_ways(stream, TO_CLIENT, TO_SERVER);
        let _ = done.send(());
    });
    let farm = farm.server("s1", server.address(), "");
    let mut backstop = farm.start();

    both_ways(&farm.connect(), TO_SERVER, TO_CLIENT);
    let end = server_done.recv_timeout(DEADLINE);
    end.expect("the server got every byte");

    let session = &backstop.wait_for_sessions(1)[0];
    assert_eq!((&*session.code, session.bytes), ("--", length()));
    let row = farm.stats().row("bk/s1");
    assert_eq!(row["bin"], length().to_string());
    assert_eq!(row["bout"], length().to_string());
    assert_eq!(backstop.stop(), Some(0));
}

/// Sends one stream while it receives the other, to the end of both.
fn both_ways(stream: &TcpStream, sent: u64, received: u64) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let result = Noise::new(sent).send(stream, length());
            result.expect("every byte is taken");
            stream.shutdown(Shutdown::Write).expect("still connected");
        });
        let result = Noise::new(received).receive(stream, length());
        result.expect("every byte arrives");
        assert_eq!((&*stream).read(&mut [0]).expect("a clean end"), 0);
    });
}

#[test]
fn bytes_sent_one_by_one() {
    one_by_one("auto");
}

#[test]
fn bytes_sent_one_by_one_with_splice_always() {
    one_by_one("always");
}

fn one_by_one(splice: &str) {
    let farm = Farm::new().backend(&format!("splice = \"{splice}\""));
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let _backstop = farm.start();

    let mut stream = farm.connect();
    stream.set_nodelay(true).expect("a socket option");
    for sent in 0..=255_u8 {
        stream.write_all(&[sent]).expect("taken");
        let mut seen = [0];
        stream.read_exact(&mut seen).expect("echoed");
        assert_eq!(seen, [sent]);
    }
}
