//! Where a check goes and how long it may take.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::conversation::Conversation;
use super::finding::{Finding, describe};
use super::tls::TlsClient;
use crate::config::clients::ProxyVersion;
use crate::config::{CheckConfig, CheckKind, ServerTimeouts};
use crate::proxy_header::{self, Told};
use crate::sys::sockets;
use crate::topology::status::CheckStatus;

/// A connection of a check, with or without TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A [`TcpStream`], perhaps with TLS around it.
pub(super) type Stream = Box<dyn Io>;

/// How long a check may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// For each connection; for the whole check if there is no `answer`.
    pub(super) connect: Duration,
    /// For all that follows a connection.
    pub(super) answer: Option<Duration>,
}

impl Limits {
    /// With `timeout check`, connecting may take the smaller of the connect timeout and the
    /// interval, and the answer `timeout check`; without it, the interval is for all
    /// (configuration.txt, "timeout check"; `src/tcpcheck.c`, `tcpcheck_eval_connect`). A timeout
    /// of the check's own is for all.
    pub(super) fn new(check: &CheckConfig, timeouts: &ServerTimeouts) -> Self {
        let own = check.timeout.map(|connect| Self {
            connect,
            answer: None,
        });
        let of_backend = || {
            timeouts.check.map(|answer| Self {
                connect: timeouts
                    .connect
                    .unwrap_or(Duration::MAX)
                    .min(check.interval),
                answer: Some(answer),
            })
        };
        own.or_else(of_backend).unwrap_or(Self {
            connect: check.interval,
            answer: None,
        })
    }

    /// The same, but a check that only connects may take no longer than a session's connection.
    pub(super) fn hurried(check: &CheckConfig, timeouts: &ServerTimeouts) -> Self {
        let limits = Self::new(check, timeouts);
        let only_connects =
            matches!(&check.kind, CheckKind::Tcp { steps, tls: None } if steps.is_empty());
        match timeouts.connect {
            Some(connect) if only_connects || limits.answer.is_some() => Self {
                connect: limits.connect.min(connect),
                ..limits
            },
            _ => limits,
        }
    }
}

/// The moment after which a check has failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(super) at: Instant,
    /// How far away it was, for the text that says that it passed.
    pub(super) limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    /// What `future` gives; `None` if the deadline comes first.
    pub(crate) async fn wait<T>(self, future: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.at, future).await.ok()
    }

    /// As [`Self::wait`]; the deadline is a layer 7 timeout. `what` did not happen.
    pub(super) async fn answer<T>(
        self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Finding> {
        self.wait(future)
            .await
            .ok_or_else(|| Finding::new(CheckStatus::L7Timeout, self.passed(what)))
    }

    pub(crate) fn passed(self, what: &str) -> String {
        format!("{what} within {:?}", self.limit)
    }
}

/// What a connection is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To see whether it can be made.
    Nothing,
    Talk,
}

/// The server as one check sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) address: SocketAddr,
    /// The host as configured, for protocols that name it.
    pub(super) host: &'a str,
    source: Option<IpAddr>,
    /// The PROXY header that connections begin with.
    send_proxy: Option<ProxyVersion>,
    limits: Limits,
    /// For the whole check if the limits say so.
    deadline: Deadline,
}

impl<'a> Target<'a> {
    /// The check's time begins to run.
    pub(super) fn new(
        address: SocketAddr,
        host: &'a str,
        source: Option<IpAddr>,
        limits: Limits,
    ) -> Self {
        Self {
            address,
            host,
            source,
            send_proxy: None,
            limits,
            deadline: Deadline::after(limits.connect),
        }
    }

    /// The same, with connections that begin with a PROXY header.
    pub(super) fn beginning_with(self, send_proxy: Option<ProxyVersion>) -> Self {
        Self { send_proxy, ..self }
    }

    /// The same server at another port.
    pub(super) fn at_port(self, port: u16) -> Self {
        let address = SocketAddr::new(self.address.ip(), port);
        Self { address, ..self }
    }

    /// For checks that make no connection themselves: what is there for the answer.
    pub(super) fn deadline(&self) -> Deadline {
        self.limits.answer.map_or(self.deadline, Deadline::after)
    }

    /// Connects and does nothing with it.
    pub(super) async fn touch(&self) -> Result<(), Finding> {
        self.connect(Purpose::Nothing).await.map(drop)
    }

    /// A connection, and until when it may be used.
    async fn connect(&self, purpose: Purpose) -> Result<(TcpStream, Deadline), Finding> {
        let deadline = match self.limits.answer {
            Some(_) => Deadline::after(self.limits.connect),
            None => self.deadline,
        };
        let socket = socket(self.address, self.source, purpose).map_err(|(what, error)| {
            let status = if sockets::is_shortage(&error) {
                CheckStatus::Shortage
            } else {
                CheckStatus::SocketError
            };
            Finding::new(status, format!("{what}: {}", describe(&error)))
        })?;
        let no_connection = || {
            let info = deadline.passed("no connection");
            Finding::new(CheckStatus::L4Timeout, info)
        };
        let mut stream = match deadline.wait(socket.connect(self.address)).await {
            None => return Err(no_connection()),
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(no_connection());
            }
            // With a source address of its own a check may name one that is not there.
            Some(Err(error)) if self.source.is_none() && sockets::is_own_failure(&error) => {
                return Err(Finding::new(CheckStatus::Shortage, describe(&error)));
            }
            Some(Err(error)) => {
                return Err(Finding::new(CheckStatus::L4Connection, describe(&error)));
            }
            Some(Ok(stream)) => stream,
        };
        if let Some(version) = self.send_proxy {
            let header = own_header(version, &stream);
            let sent = deadline.wait(stream.write_all(&header)).await;
            let sent = sent.ok_or_else(no_connection)?;
            sent.map_err(|error| Finding::new(CheckStatus::L4Connection, describe(&error)))?;
        }
        Ok((stream, self.limits.answer.map_or(deadline, Deadline::after)))
    }

    /// A connection, with TLS if `tls` is given.
    pub(super) async fn open(
        &self,
        tls: Option<&TlsClient>,
    ) -> Result<(Stream, Deadline), Finding> {
        let (stream, deadline) = self.connect(Purpose::Talk).await?;
        let stream: Stream = match tls {
            Some(tls) => Box::new(tls.connect(stream, self.host, deadline).await?),
            None => Box::new(stream),
        };
        Ok((stream, deadline))
    }

    /// A connection to talk over.
    pub(super) async fn talk(&self, tls: Option<&TlsClient>) -> Result<Conversation, Finding> {
        let (stream, deadline) = self.open(tls).await?;
        Ok(Conversation::new(stream, deadline))
    }
}

/// The header of a connection of the proxy's own. Version 1 has a word for that which few servers
/// know, so it tells of the connection itself, as in HAProxy.
fn own_header(version: ProxyVersion, stream: &TcpStream) -> Vec<u8> {
    let ends = stream
        .local_addr()
        .and_then(|local| Ok((local, stream.peer_addr()?)));
    let told = match (version, ends) {
        (ProxyVersion::V1, Ok((client, local))) => Some(Told { client, local }),
        _ => None,
    };
    proxy_header::encode(version, told)
}

fn socket(
    address: SocketAddr,
    source: Option<IpAddr>,
    purpose: Purpose,
) -> Result<TcpSocket, (String, io::Error)> {
    let no_socket = |error| ("no socket".to_owned(), error);
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(no_socket)?;
    // Closing by a reset leaves no TIME_WAIT behind on either machine.
    socket.set_zero_linger().map_err(no_socket)?;
    match purpose {
        // The server's answer need not be acknowledged before the reset, which spares two packets
        // and the server a connection that it would accept for nothing (as in HAProxy,
        // `src/proto_tcp.c`, `CONNECT_DELACK_ALWAYS`).
        Purpose::Nothing => {
            let set = sockopt::set_tcp_quickack(&socket, false);
            set.map_err(|errno| no_socket(errno.into()))
        }
        Purpose::Talk => socket.set_nodelay(true).map_err(no_socket),
    }?;
    if let Some(source) = source {
        socket
            .bind(SocketAddr::new(source, 0))
            .map_err(|error| (format!("the source address {source} cannot be used"), error))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn limits() {
        let check = CheckConfig::default();
        let timeouts = ServerTimeouts {
            connect: Some(MS(200)),
            ..Default::default()
        };
        let of = |check: &CheckConfig, timeouts: &ServerTimeouts| {
            let Limits { connect, answer } = Limits::new(check, timeouts);
            (connect, answer)
        };
        assert_eq!(of(&check, &timeouts), (check.interval, None));
        let with_check = ServerTimeouts {
            check: Some(MS(300)),
            ..timeouts
        };
        assert_eq!(of(&check, &with_check), (MS(200), Some(MS(300))));
        let no_connect = ServerTimeouts {
            connect: None,
            ..with_check
        };
        assert_eq!(of(&check, &no_connect), (check.interval, Some(MS(300))));
        let own = CheckConfig {
            timeout: Some(MS(50)),
            ..check
        };
        assert_eq!(of(&own, &with_check), (MS(50), None));
    }

    #[test]
    fn a_hurried_check_that_only_connects_takes_no_longer_than_a_session_may() {
        let timeouts = ServerTimeouts {
            connect: Some(MS(200)),
            ..Default::default()
        };
        let connects = CheckConfig::default();
        assert_eq!(Limits::hurried(&connects, &timeouts).connect, MS(200));
        let asks = CheckConfig {
            kind: CheckKind::TlsHello { sni: None },
            ..CheckConfig::default()
        };
        assert_eq!(
            Limits::hurried(&asks, &timeouts),
            Limits::new(&asks, &timeouts)
        );
    }

    /// A server that logs its connections would otherwise be told of every check.
    #[tokio::test(flavor = "current_thread")]
    async fn a_server_has_nothing_to_accept_from_a_check_that_only_connects() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(local).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let limits = Limits {
                connect: MS(20_000),
                answer: None,
            };
            let target = Target::new(address, "", None, limits);
            for _ in 0..10 {
                target.touch().await.unwrap();
                let nothing = listener.accept().unwrap_err();
                assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            }
            let _talk = target.talk(None).await.unwrap();
            listener.accept().unwrap();
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_refuses_is_told_from_one_that_only_is_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let limits = Limits {
            connect: MS(20_000),
            answer: None,
        };
        let target = Target::new(address, "", None, limits);
        let finding = target.touch().await.unwrap_err();
        assert_eq!(finding.status, CheckStatus::L4Connection);
    }
}
