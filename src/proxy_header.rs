//! The PROXY protocol's header: who the client is, told by a proxy before it
//! (haproxy.org, "The PROXY protocol", versions 1 and 2).
//!
//! Reading and writing is left to the crate `proxy-header`. It is asked only about what begins
//! like a header, because it waits for more of anything else that is short.

use std::net::{IpAddr, SocketAddr};

use proxy_header::{Error, ParseConfig, Protocol, ProxiedAddress, ProxyHeader};

use crate::config::clients::ProxyVersion;

/// The longest header that is taken, as in HAProxy, where it has to fit into one buffer. One of
/// version 2 is longer than its addresses if more is told of the client, such as certificates.
pub const LONGEST: usize = 16_384;

/// The longest of version 1 (section 2.1).
const LONGEST_LINE: usize = 107;

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whom a header speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Who connected.
    pub client: SocketAddr,
    /// To which address.
    pub local: SocketAddr,
}

/// What bytes at the beginning of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A header of so many bytes. `None` is a proxy that speaks for itself, such as its check
    /// of this one (`LOCAL`, `UNKNOWN`), or for a client of another kind of network.
    Header(Option<Told>, usize),
    /// The beginning of a header.
    Incomplete,
    /// No header.
    Garbage,
}

/// What `bytes` begin with.
pub fn parse(bytes: &[u8]) -> Parsed {
    let begins = |with: &[u8]| {
        let both = bytes.len().min(with.len());
        bytes[..both] == with[..both]
    };
    if !begins(V1) && !begins(V2) {
        return Parsed::Garbage;
    }
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    // The crate takes a line that is longer if all of it is there, and not if it comes in parts.
    let longest = if begins(V1) { LONGEST_LINE } else { LONGEST };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) if length <= longest => {
            let tcp = |address: &&ProxiedAddress| address.protocol == Protocol::Stream;
            let told = header.proxied_address().filter(tcp).map(|address| Told {
                client: address.source,
                local: address.destination,
            });
            Parsed::Header(told, length)
        }
        Err(Error::BufferTooShort) if bytes.len() < LONGEST => Parsed::Incomplete,
        Ok(_) | Err(_) => Parsed::Garbage,
    }
}

/// The header that tells of a client; `None` is a connection of the proxy's own.
pub fn encode(version: ProxyVersion, told: Option<Told>) -> Vec<u8> {
    let header = told.map_or_else(ProxyHeader::with_local, |told| {
        let (client, local) = same_family(told.client, told.local);
        ProxyHeader::with_address(ProxiedAddress::stream(client, local))
    });
    let mut bytes = Vec::with_capacity(128);
    let encoded = match version {
        ProxyVersion::V1 => header.encode_v1(&mut bytes),
        ProxyVersion::V2 => header.encode_v2(&mut bytes),
    };
    // Two addresses of one family always fit.
    debug_assert!(encoded.is_ok(), "{told:?}");
    bytes
}

/// A header has addresses of one family: of two, the older becomes one of the newer.
fn same_family(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (a, b) = (canonical(a), canonical(b));
    if a.is_ipv4() == b.is_ipv4() {
        return (a, b);
    }
    let six = |address: SocketAddr| {
        let ip = match address.ip() {
            IpAddr::V4(four) => four.to_ipv6_mapped().into(),
            six @ IpAddr::V6(_) => six,
        };
        SocketAddr::new(ip, address.port())
    };
    (six(a), six(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(client: &str, local: &str) -> Told {
        Told {
            client: client.parse().unwrap(),
            local: local.parse().unwrap(),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for (client, local) in [
            ("192.0.2.1:5000", "198.51.100.2:81"),
            ("[2001:db8::1]:5000", "[2001:db8::2]:81"),
        ] {
            let told = told(client, local);
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let header = encode(version, Some(told));
                let length = header.len();
                assert_eq!(parse(&header), Parsed::Header(Some(told), length));
                let more = [header.as_slice(), b"hello"].concat();
                assert_eq!(parse(&more), Parsed::Header(Some(told), length));
                for part in 0..length {
                    assert_eq!(parse(&header[..part]), Parsed::Incomplete, "{part}");
                }
            }
        }
    }

    #[test]
    fn as_the_specification_has_them() {
        let line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
        assert!(matches!(parse(line), Parsed::Header(Some(_), 56)));
        let unknown = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
        assert_eq!(parse(unknown), Parsed::Header(None, unknown.len()));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Parsed::Header(None, 15));
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(parse(local), Parsed::Header(None, 16));
        assert_eq!(encode(ProxyVersion::V2, None), local);
        assert_eq!(encode(ProxyVersion::V1, None), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn a_client_of_the_other_family_is_told_in_one_form() {
        let mixed = told("192.0.2.1:5", "[2001:db8::2]:81");
        let header = encode(ProxyVersion::V1, Some(mixed));
        assert_eq!(
            String::from_utf8(header).unwrap(),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5 81\r\n"
        );
        let mapped = told("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:81");
        let header = encode(ProxyVersion::V1, Some(mapped));
        assert_eq!(
            String::from_utf8(header).unwrap(),
            "PROXY TCP4 192.0.2.1 192.0.2.2 5 81\r\n"
        );
    }

    #[test]
    fn garbage_is_known_by_its_first_byte() {
        for garbage in [
            "G",
            "GET / HTTP/1.1\r\n",
            "PROXX",
            "PROXY  TCP4 1.1.1.1",
            "\r\n\r\nx",
            "proxy ",
        ] {
            assert_eq!(parse(garbage.as_bytes()), Parsed::Garbage, "{garbage}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert_eq!(parse(&endless), Parsed::Garbage);
        let ends_too_late = [&endless, b"\r\n".as_slice()].concat();
        assert_eq!(parse(&ends_too_late), Parsed::Garbage);
        let longer_than_taken = [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".as_slice(),
            &vec![0; 20_000],
        ];
        assert_eq!(parse(&longer_than_taken.concat()), Parsed::Garbage);
    }

    #[test]
    fn whether_a_line_is_taken_does_not_depend_on_how_it_comes() {
        for more in 80..100 {
            let line = [b"PROXY UNKNOWN ".as_slice(), &vec![b'x'; more], b"\r\n"].concat();
            let (whole, part) = (parse(&line), parse(&line[..line.len() - 1]));
            let taken = line.len() <= LONGEST_LINE;
            assert_eq!(whole == Parsed::Header(None, line.len()), taken, "{more}");
            assert_eq!(part == Parsed::Incomplete, taken, "{more}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        /// What begins like a header, with anything in it.
        #[test]
        fn nearly_headers(tail in proptest::collection::vec(any::<u8>(), 0..80), two in any::<bool>()) {
            let head = if two { V2 } else { V1 };
            let bytes = [head, &tail].concat();
            if let Parsed::Header(_, length) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn lines_of_the_right_words(line in "PROXY (TCP4|TCP6|UNKNOWN|UDP4)( [0-9a-f.:]{0,8}){0,5}(\r\n)?") {
            parse(line.as_bytes());
        }
    }
}
