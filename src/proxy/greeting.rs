//! The PROXY header of a connection from a proxy that may speak for others.
//!
//! It is looked at where it lies in the kernel's buffer and taken only as far as it goes: what
//! comes after it is the client's. A connection that sends it slowly costs no memory here.

use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::worker::Worker;
use crate::outcome::{Cause, Outcome, Phase};
use crate::proxy_header::{LONGEST, Parsed, Told, parse};
use crate::sys::sockets;
use crate::topology::guard::Refusal;

/// Reads the header of `client` within `limit`. `None` is a proxy that speaks for itself.
pub(super) async fn read(
    worker: &Worker,
    client: &TcpStream,
    limit: Duration,
) -> Result<Option<Told>, (Refusal, Outcome)> {
    let garbage = (
        Refusal::Garbage,
        Outcome::new(Cause::Policy, Phase::Request),
    );
    let late = (
        Refusal::Late,
        Outcome::new(Cause::ClientTimeout, Phase::Request),
    );
    let closed = (
        Refusal::Closed,
        Outcome::new(Cause::ClientAbort, Phase::Request),
    );
    match timeout(limit, header(worker, client)).await {
        Err(_) => Err(late),
        Ok(Ok(Parsed::Header(told, _))) => Ok(told.map(canonical)),
        Ok(Ok(Parsed::Garbage)) => Err(garbage),
        Ok(Ok(Parsed::Incomplete) | Err(_)) => Err(closed),
    }
}

/// Takes a header off the connection. `Incomplete` is one that ended too early.
async fn header(worker: &Worker, client: &TcpStream) -> Result<Parsed, Errno> {
    loop {
        let ready = client
            .ready(Interest::READABLE)
            .await
            .map_err(|_| Errno::IO)?;
        let mut seen = Parsed::Incomplete;
        let peeked = client.try_io(Interest::READABLE, || {
            let mut scratch = worker.scratch.borrow_mut();
            let buffer = &mut scratch[..LONGEST];
            let (_, length) = recv(client, &mut *buffer, RecvFlags::PEEK)?;
            seen = parse(&buffer[..length]);
            match seen {
                // All that has come is seen: only more of it is worth waking up for.
                Parsed::Incomplete => Err(std::io::ErrorKind::WouldBlock.into()),
                Parsed::Header(_, length) => {
                    recv(client, &mut buffer[..length], RecvFlags::empty())?;
                    Ok(())
                }
                Parsed::Garbage => Ok(()),
            }
        });
        match peeked {
            Ok(()) => return Ok(seen),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                return Err(Errno::CONNRESET);
            }
            Err(_) if ready.is_read_closed() => return Ok(Parsed::Incomplete),
            Err(_) => {}
        }
    }
}

/// IPv4 in IPv6 form is IPv4, as everywhere.
fn canonical(told: Told) -> Told {
    Told {
        client: sockets::canonical(told.client),
        local: sockets::canonical(told.local),
    }
}
