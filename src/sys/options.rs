//! Options of sockets, for those who tune the system below the proxy.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Socket, TcpKeepalive};
use uapi::c::{IPPROTO_TCP, TCP_DEFER_ACCEPT, TCP_FASTOPEN};

use super::sockets::BACKLOG;

/// For how long `defer_accept` waits for a client's first bytes, as in HAProxy.
const DEFER_SECONDS: i32 = 1;

/// What sockets of both sides may have. What is not set is the system's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SocketOptions {
    /// Silence after which the system asks the peer whether it lives (`option clitcpka`,
    /// `option srvtcpka`).
    pub keepalive: Option<Duration>,
    /// How long sent bytes may stay unacknowledged before the connection is given up
    /// (`tcp-ut`).
    pub user_timeout: Option<Duration>,
    /// The congestion control algorithm (`cc`).
    pub congestion: Option<String>,
    /// The mark of its packets, for routing and packet filters (`set-mark`).
    pub mark: Option<u32>,
    /// How long a read may poll the network device instead of waiting for an interrupt.
    pub busy_poll: Option<Duration>,
}

/// `socket` of a frontend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenOptions {
    /// Also of the connections that are accepted.
    pub both: SocketOptions,
    /// Connections that wait to be accepted, at most (`backlog`).
    pub backlog: Option<u32>,
    /// Whether a connection waits in the kernel until its client has sent something, for a second at
    /// most (`defer-accept`).
    pub defer_accept: bool,
    /// Whether clients may send bytes with their first packet (`tfo`).
    pub fastopen: bool,
}

/// `socket` of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectOptions {
    /// Those that sockets of clients may have too.
    pub both: SocketOptions,
    /// Connections come from this address (`source`).
    pub source: Option<IpAddr>,
}

/// Sets `options` on a socket of either side. Accepted connections have those of the socket
/// that listens.
///
/// # Errors
/// The first that the system refuses, with its name.
pub fn apply(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    let SocketOptions {
        keepalive,
        user_timeout,
        congestion,
        mark,
        busy_poll,
    } = options;
    if let Some(idle) = *keepalive {
        let keepalive = TcpKeepalive::new().with_time(whole_seconds(idle));
        named("keepalive", socket.set_tcp_keepalive(&keepalive))?;
    }
    if user_timeout.is_some() {
        named("user_timeout", socket.set_tcp_user_timeout(*user_timeout))?;
    }
    if let Some(algorithm) = congestion {
        let set = socket.set_tcp_congestion(algorithm.as_bytes());
        named("congestion", set)?;
    }
    if let Some(mark) = *mark {
        named("mark", socket.set_mark(mark))?;
    }
    if let Some(time) = *busy_poll {
        named(
            "busy_poll_us",
            socket.set_busy_poll(time.as_micros() as u32),
        )?;
    }
    Ok(())
}

/// Sets `options` on a socket that is going to listen.
///
/// # Errors
/// The first that the system refuses, with its name.
pub fn apply_to_listen(socket: &Socket, options: &ListenOptions) -> io::Result<()> {
    apply(socket, &options.both)?;
    if options.defer_accept {
        named(
            "defer_accept",
            set_number(socket, TCP_DEFER_ACCEPT, DEFER_SECONDS),
        )?;
    }
    if options.fastopen {
        // As many as may wait otherwise, as in HAProxy.
        let waiting = options.backlog.map_or(BACKLOG, |backlog| backlog as i32);
        named("fastopen", set_number(socket, TCP_FASTOPEN, waiting))?;
    }
    Ok(())
}

/// Sets an option of TCP for which socket2, rustix and nix have no function.
fn set_number(socket: &Socket, option: i32, value: i32) -> io::Result<()> {
    uapi::setsockopt(socket.as_raw_fd(), IPPROTO_TCP, option, &value).map_err(Into::into)
}

/// Sets `options` on a socket that is going to connect to `target`.
///
/// # Errors
/// The first that the system refuses, with its name.
pub fn apply_to_connect(
    socket: &Socket,
    target: SocketAddr,
    options: &ConnectOptions,
) -> io::Result<()> {
    apply(socket, &options.both)?;
    match options.source {
        Some(source) if source.is_ipv4() == target.is_ipv4() => bind_source(socket, source),
        // The other family keeps the address that the system chooses.
        _ => Ok(()),
    }
}

/// Has `socket` connect from `source`.
fn bind_source(socket: &Socket, source: IpAddr) -> io::Result<()> {
    // The port is chosen when connecting, so that it only has to differ for the same target:
    // else all servers together could have no more connections than there are ports.
    let late = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
    named("source", late.map_err(io::Error::from))?;
    named("source", socket.bind(&SocketAddr::new(source, 0).into()))
}

/// The kernel counts seconds, and 0 would be refused.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs_f64().ceil() as u64)
}

fn named(option: &str, result: io::Result<()>) -> io::Result<()> {
    result.map_err(|error| io::Error::new(error.kind(), format!("socket option {option}: {error}")))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;
    use crate::sys::sockets;

    fn options() -> SocketOptions {
        SocketOptions {
            keepalive: Some(Duration::from_secs(77)),
            user_timeout: Some(Duration::from_millis(4_500)),
            congestion: Some("reno".to_owned()),
            ..SocketOptions::default()
        }
    }

    fn assert_has_options(socket: &Socket) {
        assert!(socket.keepalive().unwrap());
        let idle = socket.tcp_keepalive_time().unwrap();
        assert_eq!(idle, Duration::from_secs(77));
        let timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(Duration::from_millis(4_500)));
        let algorithm = socket.tcp_congestion().unwrap();
        assert!(algorithm.starts_with(b"reno\0"), "{algorithm:?}");
    }

    #[test]
    fn accepted_connections_have_the_options_of_their_bind() {
        let options = ListenOptions {
            both: options(),
            backlog: Some(7),
            ..ListenOptions::default()
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let socket = sockets::bind(address, 1, &options).unwrap().remove(0);
        let listener = sockets::listen(socket, options.backlog).unwrap();
        let target = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(target).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_has_options(&accepted.into());
    }

    #[test]
    fn a_listener_has_options_of_its_own() {
        let number = |socket: &Socket, option| {
            let mut value = 0;
            uapi::getsockopt(socket.as_raw_fd(), IPPROTO_TCP, option, &mut value).unwrap();
            value
        };
        let socket = |options| {
            let address = "127.0.0.1:0".parse().unwrap();
            sockets::bind(address, 1, &options).unwrap().remove(0)
        };
        let plain = socket(ListenOptions::default());
        let of_plain = [TCP_DEFER_ACCEPT, TCP_FASTOPEN].map(|option| number(&plain, option));
        assert_eq!(of_plain, [0, 0]);
        let tuned = socket(ListenOptions {
            backlog: Some(7),
            defer_accept: true,
            fastopen: true,
            ..ListenOptions::default()
        });
        assert!(number(&tuned, TCP_DEFER_ACCEPT) >= DEFER_SECONDS);
        assert_eq!(number(&tuned, TCP_FASTOPEN), 7);
    }

    #[test]
    fn a_connection_has_its_options_and_source() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let options = ConnectOptions {
            both: options(),
            source: Some("127.0.0.9".parse().unwrap()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let stream = runtime.block_on(sockets::connect(target, &options));
        let stream = stream.unwrap().into_std().unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), options.source.unwrap());
        assert_has_options(&stream.into());
    }

    /// One local port for two targets, which a port that is chosen when binding would not give.
    #[test]
    fn the_port_of_a_source_is_chosen_late() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bind_source(&socket, "127.0.0.9".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        assert_eq!(port, 0);
    }

    #[test]
    fn a_mark_and_busy_polling_need_a_capability() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let options = SocketOptions {
            mark: Some(7),
            busy_poll: Some(Duration::from_micros(50)),
            ..SocketOptions::default()
        };
        match apply(&socket, &options) {
            Ok(()) => {
                assert_eq!(socket.mark().unwrap(), 7);
                assert_eq!(socket.busy_poll().unwrap(), 50);
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }

    #[test]
    fn a_refused_option_is_named() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let options = SocketOptions {
            congestion: Some("no-such".to_owned()),
            ..SocketOptions::default()
        };
        let error = apply(&socket, &options).unwrap_err().to_string();
        assert!(error.starts_with("socket option congestion: "), "{error}");
    }
}
