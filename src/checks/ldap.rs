//! The check that a directory accepts an anonymous bind (`option ldap-check`).

use super::conversation::Parsed;
use super::finding::{Finding, excerpt, words};
use super::target::Target;
use super::tls::TlsClient;

/// Message 1: a bind by version 3, without a name, by an empty password (RFC 4511, 4.2).
const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";

/// Message 2: goodbye (RFC 4511, 4.3).
const UNBIND: &[u8] = b"\x30\x05\x02\x01\x02\x42\x00";

pub(super) async fn check(
    target: &Target<'_>,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let mut directory = target.talk(tls).await?;
    directory.send(BIND, "the bind request").await?;
    let answer = directory.answer("the bind request", parse).await?;
    if answer.result != 0 {
        let Answer { result, message } = answer;
        let info = format!("result {result}{}: {message}", result_name(result));
        return Err(Finding::refused(info).code(u16::from(result)));
    }
    // The check has passed, whether the goodbye can be said or not.
    let _ = directory.send(UNBIND, "the unbind request").await;
    Ok(Finding::passed("Success").code(0))
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    result: u8,
    message: String,
}

/// The bind response of message 1 (RFC 4511, 4.2.2).
pub(super) fn parse(received: &[u8]) -> Parsed<Answer> {
    let wrong = || Parsed::Wrong(format!("the answer is not LDAP: {}", excerpt(received)));
    let (message, taken) = match element(received, 0x30) {
        Element::Found { content, taken } => (content, taken),
        Element::Part => return Parsed::More,
        Element::Other => return wrong(),
    };
    let answer = || {
        let (_, rest) = inner(message, 0x02).filter(|&(id, _)| id == [1])?;
        let (response, _) = inner(rest, 0x61)?;
        let (result, rest) = inner(response, 0x0a)?;
        let (_matched, rest) = inner(rest, 0x04)?;
        let (text, _) = inner(rest, 0x04)?;
        let &[result] = result else {
            return None;
        };
        let message = words(text);
        Some(Answer { result, message })
    };
    answer().map_or_else(wrong, |answer| Parsed::Done(answer, taken))
}

/// What stands at the beginning of some bytes.
enum Element<'b> {
    Found {
        content: &'b [u8],
        taken: usize,
    },
    /// Its end is missing.
    Part,
    /// Something else.
    Other,
}

/// The element with this tag, by the basic encoding rules of ASN.1 with definite lengths.
fn element(bytes: &[u8], tag: u8) -> Element<'_> {
    let (first, after) = match *bytes {
        [found, ..] if found != tag => return Element::Other,
        [] | [_] => return Element::Part,
        [_, length, ..] => (length, 2),
    };
    let (length, start) = match first {
        0..=0x7f => (usize::from(first), after),
        // No answer to a bind needs more than two bytes for its length.
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let Some(digits) = bytes.get(after..after + count) else {
                return Element::Part;
            };
            let length = digits
                .iter()
                .fold(0, |sum, &digit| sum << 8 | usize::from(digit));
            (length, after + count)
        }
        _ => return Element::Other,
    };
    match bytes.get(start..start.saturating_add(length)) {
        Some(content) => Element::Found {
            content,
            taken: start + length,
        },
        None => Element::Part,
    }
}

/// An element that must be whole, and what follows it.
fn inner(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    match element(bytes, tag) {
        Element::Found { content, taken } => Some((content, &bytes[taken..])),
        Element::Part | Element::Other => None,
    }
}

/// Those that a bind may be answered with (RFC 4511, 4.1.9).
fn result_name(result: u8) -> &'static str {
    match result {
        2 => " (protocolError)",
        8 => " (strongerAuthRequired)",
        48 => " (inappropriateAuthentication)",
        49 => " (invalidCredentials)",
        50 => " (insufficientAccessRights)",
        51 => " (busy)",
        52 => " (unavailable)",
        53 => " (unwillingToPerform)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUCCESS: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";

    #[test]
    fn answers() {
        let success = Answer {
            result: 0,
            message: String::new(),
        };
        assert_eq!(parse(SUCCESS), Parsed::Done(success, SUCCESS.len()));
        for cut in 0..SUCCESS.len() {
            assert_eq!(parse(&SUCCESS[..cut]), Parsed::More, "{cut}");
        }
        // Active Directory writes lengths with four digits.
        let refused = b"\x30\x84\x00\x00\x00\x12\x02\x01\x01\x61\x84\x00\x00\x00\x09\
                        \x0a\x01\x30\x04\x00\x04\x02no";
        let answer = Answer {
            result: 48,
            message: "no".to_owned(),
        };
        assert_eq!(parse(refused), Parsed::Done(answer, refused.len()));
        for wrong in [
            &b"HTTP"[..],
            b"\x30\x03\x02\x01\x02",
            b"\x30\x80",
            b"\x30\x00",
        ] {
            assert!(matches!(parse(wrong), Parsed::Wrong(_)), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(received in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&received);
        }

        #[test]
        fn one_wrong_byte_never_panics(at in 0..SUCCESS.len(), byte: u8) {
            let mut received = SUCCESS.to_vec();
            received[at] = byte;
            let _ = parse(&received);
        }
    }
}
