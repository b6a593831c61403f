//! Peers that follow a script.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

/// One turn of a scripted peer.
pub(super) enum Turn {
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Reads until these bytes came, however much else.
    Hear(Vec<u8>),
}

pub(super) fn say(bytes: impl Into<Vec<u8>>) -> Turn {
    Turn::Say(bytes.into())
}

pub(super) fn hear(bytes: impl Into<Vec<u8>>) -> Turn {
    Turn::Hear(bytes.into())
}

/// Does the turns on every connection and then waits for its end.
pub(super) fn scripted(site: &Loopback, turns: Vec<Turn>) -> Server {
    Server::start(site.next(), move |mut stream| {
        for turn in &turns {
            let done = match turn {
                Turn::Say(bytes) => stream.write_all(bytes).is_ok(),
                Turn::Hear(bytes) => hear_out(stream, bytes),
            };
            if !done {
                return;
            }
        }
        until_end(stream);
    })
}

fn hear_out(mut stream: &TcpStream, wanted: &[u8]) -> bool {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(wanted) {
        match stream.read(&mut byte) {
            Ok(1) => heard.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Reads until the other side has closed.
pub(super) fn until_end(mut stream: &TcpStream) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}
