//! Addresses to listen on and to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Fault, descriptor};
use crate::config::ServerAddress;

/// `IP:port`, `[IPv6]:port`, or `:port` and `*:port` for all IPv4 addresses as in HAProxy
/// (configuration.txt, "bind"), or `fd@` and a socket that the process is started with.
pub fn bind_address(text: &str) -> Result<SocketAddr, Fault> {
    if let Some(which) = text.strip_prefix("fd@") {
        return descriptor::bind_address(which);
    }
    not_a_path(text)?;
    let (host, port) = split(text, "0.0.0.0")?;
    let port = port_number(text, port)?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => ip_address(host).ok_or_else(|| not_an_ip(host, port))?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// `IP` or `IP:port` of a name server, port 53 unless it is given.
pub fn name_server(text: &str) -> Result<SocketAddr, Fault> {
    let bare = text.parse().ok().or_else(|| ip_address(text));
    if let Some(ip) = bare.filter(|ip: &IpAddr| !ip.is_unspecified()) {
        return Ok(SocketAddr::new(ip, 53));
    }
    let address = text.parse().ok();
    let usable = |address: &SocketAddr| address.port() > 0 && !address.ip().is_unspecified();
    address.filter(usable).ok_or_else(|| {
        let title = format!("{text:?} is not the address of a name server");
        Fault::new(title).help("write an IP address, such as \"10.0.0.53\" or \"[::1]:5353\"")
    })
}

/// `host:port`, where the host is a name, an IPv4 address or an IPv6 address in brackets; or
/// `_service._protocol.name`, whose SRV records say host and port.
pub fn server_address(text: &str) -> Result<ServerAddress, Fault> {
    not_a_path(text)?;
    if is_service(text) {
        return Ok(ServerAddress {
            host: host(text)?,
            port: 0,
        });
    }
    let (name, port) = split(text, text)?;
    let port = port_number(text, port)?;
    if is_service(name) {
        let fault = Fault::new("the SRV records of such a name say the port");
        return Err(fault.help(format!("write \"{name}\"")));
    }
    if name.is_empty() {
        return Err(
            Fault::new("there is no host before `:`").help(format!("write \"127.0.0.1:{port}\""))
        );
    }
    Ok(ServerAddress {
        host: host(name)?,
        port,
    })
}

/// A name or an IP address, with or without brackets, without a port.
pub fn host(text: &str) -> Result<String, Fault> {
    if let Some(ip) = ip_address(text) {
        if ip.is_unspecified() {
            let title = format!("`{text}` is not the address of a server");
            return Err(Fault::new(title).help("write the address or name that connections go to"));
        }
        return Ok(ip.to_string());
    }
    if text.contains([':', '[', ']']) {
        return Err(
            Fault::new(format!("`{text}` is neither a name nor an IP address"))
                .help("an IPv6 address stands in brackets, such as \"[::1]:80\""),
        );
    }
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(Fault::new(format!("`{text}` is not an IPv4 address"))
            .help("an IPv4 address is four numbers from 0 to 255"));
    }
    let label = |label: &str| (1..=63).contains(&label.len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let relative = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 || !text.bytes().all(allowed) || !relative.split('.').all(label) {
        return Err(Fault::new(format!("{text:?} is not a host name"))
            .help("names are made of letters, digits, `-` and `_`, with dots between the parts"));
    }
    Ok(text.to_owned())
}

/// Whether SRV records have a name of this form (RFC 2782).
fn is_service(text: &str) -> bool {
    let mut labels = text.split('.');
    let mut begins = || labels.next().is_some_and(|label| label.starts_with('_'));
    begins() && begins() && !text.contains(':')
}

fn ip_address(text: &str) -> Option<IpAddr> {
    match text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Host and port around the last colon; `example` is a host to show with a port.
fn split<'t>(text: &'t str, example: &str) -> Result<(&'t str, &'t str), Fault> {
    if text.parse::<Ipv6Addr>().is_ok() || text.rsplit_once(':').is_some_and(|(h, _)| bare_ipv6(h))
    {
        return Err(
            Fault::new("an IPv6 address stands in brackets, with the port after it")
                .help("write it as in \"[::1]:80\""),
        );
    }
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits {
        return Err(Fault::new("this is a port without an address")
            .help(format!("write \"127.0.0.1:{text}\" for this machine only, or \"0.0.0.0:{text}\" for all its IPv4 addresses")));
    }
    match text.rsplit_once(':') {
        Some(parts) if !text.ends_with(']') => Ok(parts),
        _ => Err(Fault::new("there is no port")
            .help(format!("add it after a colon, such as \"{example}:80\""))),
    }
}

fn bare_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

fn port_number(text: &str, port: &str) -> Result<u16, Fault> {
    let start = text.len() - port.len();
    let fault = match port.parse::<u64>() {
        Ok(number @ 1..=65535) if !port.starts_with('+') => return Ok(number as u16),
        Ok(0) => Fault::new("port 0 cannot be connected to"),
        Ok(_) => Fault::new(format!("there is no port {port}")),
        Err(_) if port.is_empty() => Fault::new("there is no port after `:`"),
        Err(_) => Fault::new(format!("{port:?} is not a port number")),
    };
    let help = match port.split_once(['-', ',']) {
        Some(_) => "one port an address; write more addresses as a list",
        None => "ports are numbers from 1 to 65535",
    };
    Err(fault.help(help).at(start..text.len()))
}

/// Recognizes what HAProxy and others also take as an address.
fn not_a_path(text: &str) -> Result<(), Fault> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Fault::new("an address is not a URL").help(format!(
            "leave `{scheme}://` out: \"{}\"",
            rest.trim_end_matches('/')
        )));
    }
    if text.contains('/') || text.starts_with("unix@") || text.starts_with("abns@") {
        return Err(Fault::new("only TCP addresses can be used").help("write \"host:port\""));
    }
    if let Some(rest) = text.strip_prefix("ipv4@").or(text.strip_prefix("ipv6@")) {
        return Err(Fault::new("an address has no `ipv4@` or `ipv6@` before it")
            .help(format!("write \"{rest}\"")));
    }
    Ok(())
}

fn not_an_ip(host: &str, port: u16) -> Fault {
    Fault::new(format!("`{host}` is not an IP address"))
        .help(format!(
            "names are not looked up to listen on; write \"127.0.0.1:{port}\" for this machine \
             only, or \"0.0.0.0:{port}\" for all its IPv4 addresses"
        ))
        .at(0..host.len())
}

/// Whether two listeners would get the same connections.
///
/// An IPv6 wildcard takes IPv4 connections too where the system says so
/// (`net.ipv6.bindv6only`), so it overlaps with the IPv4 addresses of other listeners.
pub fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (left, right) = (a.ip().to_canonical(), b.ip().to_canonical());
    let wildcards = left.is_unspecified() || right.is_unspecified();
    let within = match (left, right) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => wildcards,
        (IpAddr::V4(_), IpAddr::V6(six)) | (IpAddr::V6(six), IpAddr::V4(_)) => six.is_unspecified(),
    };
    a.port() == b.port() && (left == right || within)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binds() {
        let bind = |text| bind_address(text).unwrap().to_string();
        assert_eq!(bind("0.0.0.0:81"), "0.0.0.0:81");
        assert_eq!(bind(":81"), "0.0.0.0:81");
        assert_eq!(bind("*:81"), "0.0.0.0:81");
        assert_eq!(bind("[::1]:81"), "[::1]:81");
        for wrong in [
            "",
            "81",
            "localhost:81",
            "::1:81",
            "::1",
            "[::1]",
            "0.0.0.0",
            "0.0.0.0:0",
            "0.0.0.0:65536",
            "0.0.0.0:80-90",
            "0.0.0.0:",
            "/run/x",
            "tcp://:81",
            "[1.2.3.4]:81",
            "0.0.0.0:+1",
            "ipv4@:81",
            "é:1",
        ] {
            assert!(bind_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn servers() {
        let server = |text| {
            let address = server_address(text).unwrap();
            (address.host, address.port)
        };
        assert_eq!(server("nginx-1:81"), ("nginx-1".to_owned(), 81));
        assert_eq!(server("10.0.0.1:80"), ("10.0.0.1".to_owned(), 80));
        assert_eq!(server("[2001:db8::1]:443"), ("2001:db8::1".to_owned(), 443));
        assert_eq!(server("db.example.org.:1").0, "db.example.org.");
        for wrong in [
            "",
            ":80",
            "web1",
            "web1:http",
            "10.0.0.256:80",
            "10.0.0:80",
            "0.0.0.0:80",
            "[::]:80",
            "http://web1:80/",
            "::1:80",
            "[::1:80",
            "web 1:80",
            "a..b:80",
            "é:80",
            "*:80",
            "web1:99999999999999999999",
        ] {
            assert!(server_address(wrong).is_err(), "{wrong}");
        }
        assert!(host(&"a".repeat(64)).is_err());
    }

    #[test]
    fn the_wrong_part_of_an_address_is_pointed_at() {
        assert_eq!(
            bind_address("0.0.0.0:70000").unwrap_err().range,
            Some(8..13)
        );
        assert_eq!(bind_address("localhost:81").unwrap_err().range, Some(0..9));
    }

    #[test]
    fn overlaps() {
        let over = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        assert!(over("0.0.0.0:81", "127.0.0.1:81"));
        assert!(over("[::]:81", "[::1]:81"));
        assert!(over("[::]:81", "127.0.0.1:81"));
        assert!(over("[::ffff:127.0.0.1]:81", "127.0.0.1:81"));
        assert!(!over("0.0.0.0:81", "0.0.0.0:82"));
        assert!(!over("127.0.0.1:81", "127.0.0.2:81"));
        assert!(!over("0.0.0.0:81", "[::1]:81"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]:.0-9a-fé%@/+ -]{0,24}") {
            let _ = bind_address(&text);
            let _ = server_address(&text);
        }
    }
}
