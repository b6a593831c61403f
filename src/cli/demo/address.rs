//! Addresses of this machine that are kept for the demo, whoever listens on them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::Socket;

use crate::sys::options::ListenOptions;
use crate::sys::sockets;

/// An address that nobody else gets while this lives.
///
/// The socket never listens, so a connection is refused until [`KeptAddress::listen`]. It also
/// keeps the kernel from using the port for an outgoing connection: a check of a stopped server
/// could otherwise be given that very port, connect to itself and pass.
#[derive(Debug)]
pub(super) struct KeptAddress {
    _socket: Socket,
    address: SocketAddr,
}

impl KeptAddress {
    /// This port of the loopback address, or any free one for 0.
    pub(super) fn take(port: u16) -> io::Result<Self> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = bind(wanted)?;
        let address = socket.local_addr()?.as_socket().unwrap_or(wanted);
        Ok(Self {
            _socket: socket,
            address,
        })
    }

    /// This port, or any free one if it is taken.
    pub(super) fn prefer(port: u16) -> io::Result<Self> {
        Self::take(port).or_else(|_| Self::take(0))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens; may be called again once the listener is closed.
    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        sockets::listen(bind(self.address)?, None)
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = sockets::bind(address, 1, &ListenOptions::default())?.pop();
    socket.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_kept_address_refuses_until_somebody_listens_and_again_after() {
        let kept = KeptAddress::take(0).unwrap();
        let connect = || TcpStream::connect(kept.address()).map_err(|error| error.kind());
        for _ in 0..3 {
            assert_eq!(connect().unwrap_err(), io::ErrorKind::ConnectionRefused);
            let listener = kept.listen().unwrap();
            connect().unwrap();
            drop(listener);
        }
    }

    #[test]
    fn another_port_is_used_when_the_preferred_one_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            KeptAddress::take(port).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        assert_ne!(KeptAddress::prefer(port).unwrap().address().port(), port);
    }
}
