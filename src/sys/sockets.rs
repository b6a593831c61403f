//! Listening and connecting sockets with the options that Backstop wants.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::options::{self, ConnectOptions, ListenOptions};

/// Connections that the kernel completes while the proxy is busy; the kernel lowers it to
/// `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 65_535;

/// Sockets with `options` bound to `address`, one for each of `workers`, which do not listen
/// yet.
///
/// # Errors
/// When the address cannot be bound, or somebody listens on it already.
pub fn bind(
    address: SocketAddr,
    workers: usize,
    options: &ListenOptions,
) -> io::Result<Vec<Socket>> {
    // With SO_REUSEPORT a second process of the same user could join unnoticed and take a share
    // of the connections; without it the kernel tells whether somebody listens.
    stream_socket(address)?.bind(&address.into())?;
    bind_beside(address, workers, options)
}

/// As [`bind`], for an address that the process itself listens on, or one that overlaps with it.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind_beside(
    address: SocketAddr,
    workers: usize,
    options: &ListenOptions,
) -> io::Result<Vec<Socket>> {
    (0..workers)
        .map(|_| {
            let socket = stream_socket(address)?;
            socket.set_reuse_port(true)?;
            // Accepted sockets inherit it, which spares one system call per session.
            socket.set_tcp_nodelay(true)?;
            options::apply_to_listen(&socket, options)?;
            socket.bind(&address.into())?;
            Ok(socket)
        })
        .collect()
}

/// Gives sockets that somebody else has made what those from [`bind`] have.
///
/// # Errors
/// The first option that the system refuses.
pub fn adopt(sockets: &[Socket], options: &ListenOptions) -> io::Result<()> {
    sockets.iter().try_for_each(|socket| {
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        options::apply_to_listen(socket, options)
    })
}

/// Makes a socket from [`bind`] listen; `backlog` connections may wait to be accepted.
pub fn listen(socket: Socket, backlog: Option<u32>) -> io::Result<TcpListener> {
    socket.listen(backlog.map_or(BACKLOG, |backlog| backlog as i32))?;
    Ok(socket.into())
}

/// `address` with IPv4 in the form of IPv6 as IPv4. A socket of both families, which is not one of
/// ours but may be handed to us, has such addresses.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Has connections to a listening socket refused until [`resume`]; the address stays taken. Those
/// that wait to be accepted are reset.
pub fn pause(listener: &TcpListener) -> io::Result<()> {
    // On Linux this ends listening and leaves the socket bound. A shutdown would do so too, but not
    // twice: on a socket that has been paused already, which another worker may have done where
    // they share it, it has all later connections end at once.
    Ok(rustix::net::connect_unspec(listener)?)
}

/// Undoes [`pause`].
pub fn resume(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).listen(BACKLOG)
}

/// Connects to `address`, for forwarding. The server sees the connection when it is sent something,
/// when [`acknowledge`] is called, or 200 ms later.
pub async fn connect(address: SocketAddr, options: &ConnectOptions) -> io::Result<TcpStream> {
    let socket = to_connect(address, options)?;
    // Has the kernel keep the handshake's last packet back, so that it can go with the first bytes.
    rustix::net::sockopt::set_tcp_quickack(&socket, false)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(socket.into())?;
    poll_fn(|cx| stream.poll_write_ready(cx)).await?;
    // Only a socket that reports an error has to be asked for it.
    let reports_error = stream.try_io(Interest::ERROR, || Ok(())).is_ok();
    if reports_error && let Some(error) = stream.take_error()? {
        return Err(error);
    }
    Ok(stream)
}

/// A socket with `options` that can be connected to `address`.
///
/// # Errors
/// When the system has no socket left, or refuses an option.
pub fn to_connect(address: SocketAddr, options: &ConnectOptions) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    options::apply_to_connect(&socket, address, options)?;
    Ok(socket)
}

/// Lets the server of a new connection know that it is made, for which it may wait before it
/// speaks.
pub fn acknowledge(stream: &TcpStream) {
    // It fails only if the connection is gone, which the next read or write will say.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

/// Tells the peer of `stream` that nothing more will be sent to it.
pub fn finish_sending(stream: &TcpStream) {
    // It fails only if the connection is gone, which the next read or write will say.
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}

/// Makes closing `stream` a reset in place of an orderly end.
pub fn reset_on_close(stream: &TcpStream) {
    // It can fail only on a socket that is closed already, where it is not needed.
    let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

/// Whether the process or the system has run out of something, rather than a peer having gone
/// away.
pub fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error
        .raw_os_error()
        .map(Errno::from_raw_os_error)
        .is_some_and(|errno| {
            matches!(
                errno,
                Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
            )
        })
}

/// Whether the shortage is one of descriptors.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// Whether this machine could not make a connection; the peer was not even asked.
pub fn is_own_failure(error: &io::Error) -> bool {
    is_shortage(error) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // "[::]:80" beside "0.0.0.0:80" works whatever the system's default is.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn an_address_that_somebody_listens_on_is_refused() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        assert_eq!(
            bind(address, 1, &ListenOptions::default())
                .unwrap_err()
                .kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_paused_listener_refuses_and_can_go_on() {
        // A port that the kernel has chosen would be given back by the pause.
        let chosen = bind("127.0.0.1:0".parse().unwrap(), 1, &ListenOptions::default()).unwrap();
        let address = chosen[0].local_addr().unwrap().as_socket().unwrap();
        let listener = listen(
            bind(address, 1, &ListenOptions::default())
                .unwrap()
                .remove(0),
            None,
        )
        .unwrap();
        drop(chosen);
        // Workers that share a listener each do so.
        pause(&listener).unwrap();
        pause(&listener).unwrap();
        let refused = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        resume(&listener).unwrap();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(b"x").unwrap();
        accepted.read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn several_workers_share_an_address() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 1, &ListenOptions::default()).unwrap();
        let address = sockets[0].local_addr().unwrap().as_socket().unwrap();
        let more = bind(address, 3, &ListenOptions::default()).unwrap();
        assert_eq!(more.len(), 3);
        for socket in more {
            listen(socket, None).unwrap();
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_knows_of_a_connection_that_is_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..10 {
            let stream = connect(address, &ConnectOptions::default()).await.unwrap();
            acknowledge(&stream);
            listener.accept().unwrap();
        }
    }
}
