//! Addresses that no other test uses, in this process or in another.
//!
//! Linux takes the whole of 127.0.0.0/8 as its own, so every test gets an address of its own
//! there and may use fixed ports on it. That is firmer than asking the kernel for a free port,
//! which another program can take while a server under test is stopped: connections that leave
//! through the loopback interface have the source 127.0.0.1, which is never handed out here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The port whose listener marks an address as taken.
const LEASE_PORT: u16 = 20_000;

/// Addresses from 127.1.0.0 up to 127.254.255.255 are handed out.
const FIRST: u32 = 0x7f01_0000;
const COUNT: u32 = 0x00fe_0000;

/// An address of 127.0.0.0/8 that is this test's alone while the value lives.
#[derive(Debug)]
pub(crate) struct Loopback {
    lease: TcpListener,
    next: AtomicU32,
}

impl Loopback {
    /// Takes an address that nobody holds.
    pub(crate) fn lease() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Processes start far apart from each other, so that they seldom meet at all.
        let start = process::id().wrapping_mul(2_654_435_761);
        let lease = (0..1000).find_map(|_| {
            let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            TcpListener::bind((Ipv4Addr::from_bits(FIRST + number), LEASE_PORT)).ok()
        });
        Self {
            lease: lease.expect("an address of 127.0.0.0/8 to listen on"),
            next: AtomicU32::new(21_000),
        }
    }

    /// This port on the address. Ports below 21,000 are never returned by [`Loopback::next`].
    pub(crate) fn port(&self, port: u16) -> SocketAddr {
        let mut address = self.lease.local_addr().expect("a bound listener");
        address.set_port(port);
        address
    }

    /// A port that was not returned before.
    pub(crate) fn next(&self) -> SocketAddr {
        self.port(self.next.fetch_add(1, Ordering::Relaxed) as u16)
    }
}
