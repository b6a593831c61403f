//! Syslog messages and the sockets that they are sent by.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::macros::format_description;

use super::line::{Line, write_time};
use super::output::Written;
use crate::config::log::{LogFormat, SyslogConfig, SyslogProtocol, SyslogServer};

/// How long to wait after a failed attempt to reach the server.
const AGAIN: Duration = Duration::from_secs(1);

/// How long one message may wait for a server that does not take it.
const PATIENCE: Duration = Duration::from_millis(100);

/// A syslog server, which need not be there.
#[derive(Debug)]
pub(super) struct Syslog {
    config: SyslogConfig,
    format: LogFormat,
    hostname: String,
    socket: Option<Socket>,
    /// When it could last not be reached.
    failed: Option<Instant>,
    message: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl fmt::Display for SyslogServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host, port) if host.contains(':') => write!(f, "udp:[{host}]:{port}"),
            Self::Udp(host, port) => write!(f, "udp:{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Syslog {
    pub(super) fn new(config: &SyslogConfig, format: LogFormat) -> Self {
        Self {
            config: config.clone(),
            format,
            hostname: hostname(),
            socket: None,
            failed: None,
            message: Vec::new(),
        }
    }

    pub(super) fn disconnect(&mut self) {
        (self.socket, self.failed) = (None, None);
    }

    pub(super) fn write(&mut self, lines: &[Arc<Line>]) -> Written {
        let mut written = Written {
            lost: 0,
            error: None,
        };
        for line in lines {
            self.compose(line);
            if let Err(error) = self.send() {
                written.lost += 1;
                written.error = Some(error);
            }
        }
        written
    }

    fn send(&mut self) -> io::Result<()> {
        let socket = if let Some(socket) = &self.socket {
            socket
        } else {
            if self.failed.is_some_and(|failed| failed.elapsed() < AGAIN) {
                return Err(ErrorKind::NotConnected.into());
            }
            match connect(&self.config.server) {
                Ok(socket) => self.socket.insert(socket),
                Err(error) => {
                    self.failed = Some(Instant::now());
                    return Err(error);
                }
            }
        };
        let sent = match socket {
            Socket::Udp(socket) => socket.send(&self.message),
            Socket::Unix(socket) => socket.send(&self.message),
        };
        match sent {
            Ok(_) => Ok(()),
            // It is there and does not keep up, or one message is too long for it.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                    || error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) =>
            {
                Err(error)
            }
            Err(error) => {
                // One that was started again has another socket under the same path.
                self.socket = None;
                Err(error)
            }
        }
    }

    /// Writes the message of a line (RFC 3164, 4.1, as HAProxy does; RFC 5424, 6).
    fn compose(&mut self, line: &Line) {
        let (config, out) = (&self.config, &mut self.message);
        out.clear();
        let priority = config.facility * 8 + line.severity();
        let (tag, pid) = (&config.tag, process::id());
        // Writing to memory does not fail.
        let _ = match config.protocol {
            SyslogProtocol::Rfc3164 => {
                let _ = write!(out, "<{priority}>");
                let form = format_description!(
                    "[month repr:short] [day padding:space] [hour]:[minute]:[second] "
                );
                let _ = OffsetDateTime::from(line.at).format_into(out, form);
                if let Some(hostname) = &config.hostname {
                    let _ = write!(out, "{hostname} ");
                }
                write!(out, "{tag}[{pid}]: ")
            }
            SyslogProtocol::Rfc5424 => {
                let _ = write!(out, "<{priority}>1 ");
                write_time(line.at, out);
                let hostname = config.hostname.as_ref().unwrap_or(&self.hostname);
                let id = line.target.rsplit("::").next().unwrap_or("-");
                write!(out, " {hostname} {tag} {pid} {id} - ")
            }
        };
        match self.format {
            LogFormat::Json => line.write_json(out),
            LogFormat::Text | LogFormat::Raw => line.write_text(out),
        }
        cut(out, config.length);
    }
}

/// Cuts a message to so many bytes without cutting a character.
fn cut(message: &mut Vec<u8>, length: usize) {
    if message.len() > length {
        let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        let end = (0..=length).rev().find(|&end| !continues(message[end]));
        message.truncate(end.unwrap_or(0));
    }
}

/// What this machine calls itself, or `-`.
pub fn hostname() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    let usable = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
    if usable { name } else { "-".to_owned() }
}

fn connect(server: &SyslogServer) -> io::Result<Socket> {
    match server {
        SyslogServer::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(path)?;
            Ok(Socket::Unix(socket))
        }
        SyslogServer::Udp(host, port) => {
            let mut result = Err(io::Error::other("its name has no address"));
            for address in (host.as_str(), *port).to_socket_addrs()? {
                let connected = if address.is_ipv4() {
                    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
                } else {
                    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
                };
                result = connected.and_then(|socket| {
                    socket.connect(address)?;
                    socket.set_write_timeout(Some(PATIENCE))?;
                    Ok(Socket::Udp(socket))
                });
                if result.is_ok() {
                    break;
                }
            }
            result
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tracing::Level;

    use super::*;

    fn message(protocol: SyslogProtocol, hostname: Option<&str>, length: usize) -> String {
        let config = SyslogConfig {
            server: SyslogServer::Unix("/dev/null".into()),
            protocol,
            facility: 16,
            tag: "backstop".into(),
            hostname: hostname.map(str::to_owned),
            length,
        };
        let mut syslog = Syslog::new(&config, LogFormat::Text);
        syslog.compose(&Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_699_265_600_123),
            level: Level::WARN,
            target: "event",
            text: "Server b/s is DOWN é\n".into(),
            fields: Vec::new(),
        });
        let text = String::from_utf8(syslog.message).unwrap();
        text.replace(&format!("{}", process::id()), "PID")
    }

    #[test]
    fn messages() {
        assert_eq!(
            message(SyslogProtocol::Rfc3164, None, 1024),
            "<129>Nov  6 10:13:20 backstop[PID]: Server b/s is DOWN é "
        );
        let named = message(SyslogProtocol::Rfc3164, Some("edge1"), 1024);
        assert!(
            named.starts_with("<129>Nov  6 10:13:20 edge1 backstop[PID]: "),
            "{named}"
        );
        assert_eq!(
            message(SyslogProtocol::Rfc5424, Some("edge1"), 1024),
            "<129>1 2023-11-06T10:13:20.123000Z edge1 backstop PID event - Server b/s is DOWN é "
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut message = "abcé".to_owned().into_bytes();
        cut(&mut message, 4);
        assert_eq!(message, b"abc");
        let mut short = b"abc".to_vec();
        cut(&mut short, 3);
        assert_eq!(short, b"abc");
    }

    #[test]
    fn a_server_that_is_not_there_is_found_when_it_comes() {
        let path = std::env::temp_dir().join(format!("backstop-syslog-{}", process::id()));
        let server = SyslogServer::Unix(path.clone());
        assert!(connect(&server).is_err());
        let listening = UnixDatagram::bind(&path).unwrap();
        let connected = connect(&server);
        std::fs::remove_file(&path).unwrap();
        let Socket::Unix(socket) = connected.unwrap() else {
            panic!("another kind of socket");
        };
        socket.send(b"x").unwrap();
        assert_eq!(listening.recv(&mut [0; 2]).unwrap(), 1);
    }
}
