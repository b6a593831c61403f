//! The packets of the MySQL protocol that a check needs, and no others.

use crate::checks::conversation::{ANSWER, Parsed};
use crate::checks::finding::{Finding, excerpt, words};

/// Capabilities (MySQL's `CLIENT_…`).
const LONG_PASSWORD: u32 = 0x1;
const PROTOCOL_41: u32 = 0x200;
const TLS: u32 = 0x800;
const TRANSACTIONS: u32 = 0x2000;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x0008_0000;

/// The collation `utf8mb4_general_ci`, which MySQL and MariaDB know alike.
const CHARACTERS: u8 = 45;

/// A packet with its number in the exchange.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::checks) struct Packet {
    pub(super) sequence: u8,
    payload: Vec<u8>,
}

/// What a server says first.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::checks) struct Greeting {
    pub(super) version: String,
    capabilities: u32,
    pub(super) nonce: Vec<u8>,
    pub(super) plugin: String,
}

/// What a server says to a login.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::checks) enum Reply {
    Ok,
    /// Another proof is wanted.
    SwitchTo {
        plugin: String,
        nonce: Vec<u8>,
    },
    /// What is said within a way of proof.
    More(Vec<u8>),
}

impl Greeting {
    pub(super) fn offers_tls(&self) -> bool {
        self.capabilities & TLS != 0
    }
}

impl Packet {
    pub(in crate::checks) fn parse(received: &[u8]) -> Parsed<Self> {
        let &[a, b, c, sequence, ref rest @ ..] = received else {
            return Parsed::More;
        };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > ANSWER {
            let shown = excerpt(received);
            return Parsed::Wrong(format!("the answer is not MySQL: {shown}"));
        }
        match rest.get(..length) {
            Some(payload) => {
                let payload = payload.to_vec();
                Parsed::Done(Self { sequence, payload }, length + 4)
            }
            None => Parsed::More,
        }
    }

    pub(in crate::checks) fn greeting(&self) -> Result<Greeting, Finding> {
        self.error()?;
        greeting(&self.payload).ok_or_else(|| self.odd("greeting"))
    }

    pub(in crate::checks) fn reply(&self) -> Result<Reply, Finding> {
        self.error()?;
        let reply = match self.payload.as_slice() {
            [0, ..] => Some(Reply::Ok),
            [1, data @ ..] => Some(Reply::More(data.to_vec())),
            [0xfe, rest @ ..] => switch(rest),
            _ => None,
        };
        reply.ok_or_else(|| self.odd("answer to the login"))
    }

    /// The first packet of a result with one column.
    pub(in crate::checks) fn column_count(&self) -> Result<(), Finding> {
        self.error()?;
        match self.payload.as_slice() {
            [1] => Ok(()),
            _ => Err(self.odd("answer to the query")),
        }
    }

    pub(in crate::checks) fn is_end_marker(&self) -> bool {
        self.payload.first() == Some(&0xfe) && self.payload.len() < 9
    }

    /// The first value of a row.
    pub(in crate::checks) fn first_column(&self) -> Result<Vec<u8>, Finding> {
        self.error()?;
        match self.payload.as_slice() {
            [length @ 0..=250, value @ ..] => value.get(..usize::from(*length)),
            _ => None,
        }
        .map(<[u8]>::to_vec)
        .ok_or_else(|| self.odd("answer to the query"))
    }

    /// The server's own error, if this is one.
    fn error(&self) -> Result<(), Finding> {
        let &[0xff, low, high, ref text @ ..] = self.payload.as_slice() else {
            return Ok(());
        };
        let code = u16::from_le_bytes([low, high]);
        // The SQL state is `#` and five characters; it is missing before the login.
        let text = match text {
            [b'#', _, _, _, _, _, after @ ..] => after,
            whole => whole,
        };
        Err(Finding::refused(format!("error {code}: {}", words(text))).code(code))
    }

    fn odd(&self, what: &str) -> Finding {
        let shown = excerpt(&self.payload);
        Finding::garbage(format!("the {what} is not MySQL: {shown}"))
    }
}

/// `HandshakeV10`; older ones are older than MySQL 3.21.
fn greeting(payload: &[u8]) -> Option<Greeting> {
    let rest = payload.strip_prefix(&[10])?;
    let (version, rest) = text(rest)?;
    let (_thread, rest) = rest.split_at_checked(4)?;
    let (first, rest) = rest.split_at_checked(8)?;
    let (low, rest) = rest.strip_prefix(&[0])?.split_at_checked(2)?;
    let (_characters_and_status, rest) = rest.split_at_checked(3)?;
    let (high, rest) = rest.split_at_checked(2)?;
    let (&length, rest) = rest.split_first()?;
    let (_reserved, rest) = rest.split_at_checked(10)?;
    // The number is 20 bytes long, and a zero byte ends it.
    let second = usize::from(length).saturating_sub(8).max(13);
    let (second, rest) = rest.split_at_checked(second.min(rest.len()))?;
    let nonce = [first, second.get(..12)?].concat();
    let plugin = text(rest).map_or(rest, |(plugin, _)| plugin);
    Some(Greeting {
        version: words(version),
        capabilities: u32::from_le_bytes([low[0], low[1], high[0], high[1]]),
        nonce,
        plugin: words(plugin),
    })
}

fn switch(rest: &[u8]) -> Option<Reply> {
    let (plugin, nonce) = text(rest)?;
    Some(Reply::SwitchTo {
        plugin: words(plugin),
        nonce: nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec(),
    })
}

/// Up to a zero byte, and what follows that.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// A packet with this payload, which is short.
pub(super) fn encode(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
    [&[a, b, c, sequence], payload].concat()
}

/// `SSLRequest`, after which TLS begins.
pub(super) fn tls_request() -> Vec<u8> {
    head(true)
}

/// `HandshakeResponse41`.
pub(super) fn login(user: &str, response: &[u8], plugin: &str, secured: bool) -> Vec<u8> {
    let mut login = head(secured);
    login.extend_from_slice(user.as_bytes());
    login.push(0);
    // Proofs are 32 bytes long at most; a longer password goes in clear in a later packet.
    let response = if response.len() < 251 { response } else { &[] };
    login.push(response.len() as u8);
    login.extend_from_slice(response);
    login.extend_from_slice(plugin.as_bytes());
    login.push(0);
    login
}

fn head(secured: bool) -> Vec<u8> {
    let tls = if secured { TLS } else { 0 };
    let capabilities =
        LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH | tls;
    let mut head = capabilities.to_le_bytes().to_vec();
    head.extend_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    head.push(CHARACTERS);
    head.extend_from_slice(&[0; 23]);
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topology::status::CheckStatus;

    fn packet(payload: &[u8]) -> Packet {
        Packet {
            sequence: 0,
            payload: payload.to_vec(),
        }
    }

    const GREETING: &[u8] = b"\x0a8.0.36\0\x01\0\0\0ABCDEFGH\0\xff\xff\x2d\x02\0\xff\xdf\x15\
        \0\0\0\0\0\0\0\0\0\0IJKLMNOPQRST\0caching_sha2_password\0";

    #[test]
    fn a_greeting() {
        let greeting = packet(GREETING).greeting().unwrap();
        assert_eq!(greeting.version, "8.0.36");
        assert_eq!(greeting.nonce, b"ABCDEFGHIJKLMNOPQRST");
        assert_eq!(greeting.plugin, "caching_sha2_password");
        assert!(greeting.offers_tls());
        for cut in 0..GREETING.len() - 23 {
            let finding = packet(&GREETING[..cut]).greeting().unwrap_err();
            assert_eq!(finding.status, CheckStatus::L7Response, "{cut}");
        }
    }

    #[test]
    fn errors() {
        let finding = packet(b"\xff\x10\x04Too many connections")
            .greeting()
            .unwrap_err();
        assert_eq!(finding.status, CheckStatus::L7Status);
        assert_eq!(finding.code, Some(1040));
        assert_eq!(finding.info, "error 1040: Too many connections");
        let finding = packet(b"\xff\x15\x04#28000Access denied")
            .reply()
            .unwrap_err();
        assert_eq!(finding.info, "error 1045: Access denied");
    }

    #[test]
    fn packets_are_whole() {
        let bytes = encode(3, b"abc");
        assert_eq!(bytes, b"\x03\0\0\x03abc");
        for cut in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..cut]), Parsed::More);
        }
        assert!(matches!(Packet::parse(&bytes), Parsed::Done(_, 7)));
        assert!(matches!(Packet::parse(b"HTTP/1.1"), Parsed::Wrong(_)));
    }

    proptest! {
        #[test]
        fn never_panics(payload in prop::collection::vec(any::<u8>(), 0..96)) {
            let _ = Packet::parse(&payload);
            let packet = packet(&payload);
            let _ = packet.greeting();
            let _ = packet.reply();
            let _ = packet.column_count();
            let _ = packet.first_column();
            let _ = packet.is_end_marker();
        }

        #[test]
        fn one_wrong_byte_never_panics(at in 0..GREETING.len(), byte: u8) {
            let mut payload = GREETING.to_vec();
            payload[at] = byte;
            let _ = packet(&payload).greeting();
        }
    }
}
