//! A client that hardly reads costs the proxy no memory and the others no time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::wait::wait_until;

/// What the server has for every client.
const LENGTH: u64 = 256 << 20;

/// What the kernel's buffers on the way may take of it at most: two sockets' of up to 4 MiB to
/// send and 6 MiB to receive each (`tcp_wmem`, `tcp_rmem`), with room for larger settings.
const IN_FLIGHT: u64 = 64 << 20;

/// What the proxy may grow by, in KiB: buffers are of 64 KiB, so this is room for the allocator.
const GROWTH: u64 = 8 << 10;

#[test]
fn beside_a_fast_one_with_flat_memory() {
    let farm = Farm::new().top("threads = 1");
    let pushed_to_slow = Arc::new(AtomicU64::new(0));
    let server = {
        let pushed = Arc::clone(&pushed_to_slow);
        Server::start(farm.next(), move |stream| push(stream, &pushed))
    };
    let farm = farm.server("s1", server.address(), "");
    let backstop = farm.start();

    let mut slow = farm.connect();
    slow.write_all(b"slow").expect("taken");
    slow.read_exact(&mut [0]).expect("the first byte");
    let before = backstop.resident_kib();

    let mut fast = farm.connect();
    fast.write_all(b"fast").expect("taken");
    // The slow one takes a byte each time the fast one has taken another eighth.
    for _ in 0..8 {
        discard(&mut fast, LENGTH / 8);
        slow.read_exact(&mut [0]).expect("one more byte");
    }
    assert_eq!(fast.read(&mut [0]).expect("an end"), 0);

    let growth = backstop.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH, "{growth} KiB more");
    let pushed = pushed_to_slow.load(Ordering::Relaxed);
    assert!(pushed < IN_FLIGHT, "the server could push {pushed} bytes");

    // Held back, not cut off: all of it arrives once the slow one reads.
    discard(&mut slow, LENGTH - 9);
    assert_eq!(slow.read(&mut [0]).expect("an end"), 0);
    drop((slow, fast));
    wait_until("both sessions should end", || {
        backstop.sessions().len() == 2
    });
}

/// Sends [`LENGTH`] bytes to a client that asked, counting those for the one called `slow`.
fn push(mut stream: &TcpStream, pushed_to_slow: &AtomicU64) {
    let mut name = [0; 4];
    stream.read_exact(&mut name).expect("a name");
    let block = vec![0x5a; 1 << 16];
    for _ in 0..LENGTH / block.len() as u64 {
        if stream.write_all(&block).is_err() {
            return;
        }
        if name == *b"slow" {
            pushed_to_slow.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    }
}

fn discard(stream: &mut TcpStream, length: u64) {
    let read = std::io::copy(&mut stream.take(length), &mut std::io::sink());
    assert_eq!(read.expect("bytes"), length);
}
