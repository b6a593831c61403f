//! `backstop healthcheck`: whether the proxy that was started with a configuration answers.
//!
//! Made for a container's health check: it runs beside the proxy, and needs nothing else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::{FAILED, check};
use crate::checks::any_certificate;
use crate::config::{self, Config};

/// For connecting, and for the answer. Docker's usual limit for the whole command is longer.
const LIMIT: Duration = Duration::from_secs(1);

/// The longest first line of an answer that is read, in bytes.
const LONGEST_LINE: u64 = 1024;

pub(super) fn run(file: &Path) -> ExitCode {
    let loaded = match config::load(file) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", check::failure(&report, false));
            return ExitCode::from(FAILED);
        }
    };
    match examine(&loaded.config) {
        Ok(what) => {
            println!("{what}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("{what}");
            ExitCode::from(FAILED)
        }
    }
}

/// Asks the stats page, which knows whether the checks go on. Without one, all that can be seen
/// from outside is that the frontends accept.
fn examine(config: &Config) -> Result<String, String> {
    if let Some(stats) = &config.stats {
        let address = reachable(stats.bind[0]);
        let asked = match &stats.tls {
            None => connect(address).and_then(|stream| ask(stream, address)),
            Some(_) => ask_by_tls(address),
        };
        return match asked {
            // A page that wants a password, or has no such path, is alive too.
            Ok(status) if status < 500 => Ok(format!("{address} answers with status {status}")),
            Ok(status) => Err(format!("{address} answers with status {status}")),
            Err(error) => Err(format!("{address} does not answer: {error}")),
        };
    }
    let binds = config.frontends.iter().flat_map(|f| &f.bind);
    for address in binds.map(|bind| reachable(*bind)) {
        TcpStream::connect_timeout(&address, LIMIT)
            .map_err(|error| format!("{address} does not accept: {error}"))?;
    }
    Ok("all frontends accept".to_owned())
}

/// Where a listener on `bind` can be connected to from the same network namespace.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// The same by TLS. Nothing secret is said, so whoever listens there may have any certificate.
fn ask_by_tls(address: SocketAddr) -> io::Result<u16> {
    let config = any_certificate().map_err(io::Error::other)?;
    let tls = ClientConnection::new(config, address.ip().into()).map_err(io::Error::other)?;
    ask(StreamOwned::new(tls, connect(address)?), address)
}

/// The status of the answer to `GET /healthz`.
fn ask(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<u16> {
    // In one piece: a server that answers the first line alone and closes would reset the rest.
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line)?;
    status(&line).ok_or_else(|| io::Error::other(format!("not HTTP: {:?}", line.trim_end())))
}

fn status(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?;
    version.starts_with("HTTP/1.").then(|| code.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Examines a configuration whose stats page answers one request with `answer`.
    fn examined(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let outcome = examine(&config(&format!("[stats]\nbind = \"0.0.0.0:{port}\"")));
        let request = server.join().unwrap();
        assert!(
            request.starts_with("GET /healthz HTTP/1.1\r\n"),
            "{request}"
        );
        outcome.map(|told| told.replace(&format!(":{port}"), ""))
    }

    fn config(text: &str) -> Config {
        let frontend = "\n[frontends.f]\nbind = \"127.0.0.1:1\"\ndefault_backend = \"b\"\n\
            [backends.b]\nservers = [{ name = \"s\", address = \"127.0.0.1:1\" }]\n";
        let text = format!("{text}{frontend}");
        config::parse(&text, "test.toml", &|_| None).unwrap().config
    }

    #[test]
    fn a_page_that_answers_is_healthy() {
        let told = examined("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!(told, "127.0.0.1 answers with status 200");
        assert!(examined("HTTP/1.1 401 Unauthorized\r\n\r\n").is_ok());
    }

    #[test]
    fn a_page_that_fails_or_is_something_else_is_not() {
        assert!(examined("HTTP/1.1 503 Service Unavailable\r\n\r\n").is_err());
        assert!(examined("SSH-2.0-OpenSSH_9.2\r\n").is_err());
        assert!(examined("").is_err());
    }

    #[test]
    fn without_a_page_every_frontend_has_to_accept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = "[frontends.f]\nbind = \"ADDRESS\"\ndefault_backend = \"b\"\n\
            [backends.b]\nservers = [{ name = \"s\", address = \"127.0.0.1:1\" }]\n";
        let text = text.replace("ADDRESS", &listener.local_addr().unwrap().to_string());
        let config = config::parse(&text, "test.toml", &|_| None).unwrap().config;
        assert_eq!(examine(&config), Ok("all frontends accept".to_owned()));
        drop(listener);
        let told = examine(&config).unwrap_err();
        assert!(told.contains("does not accept"), "{told}");
    }

    #[test]
    fn an_address_of_all_interfaces_is_reached_by_loopback() {
        let reached = |bind: &str| reachable(bind.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:81"), "127.0.0.1:81");
        assert_eq!(reached("[::]:81"), "[::1]:81");
        assert_eq!(reached("10.1.2.3:81"), "10.1.2.3:81");
    }
}
