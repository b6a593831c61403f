//! The check that a server answers a TLS `ClientHello` by a `ServerHello`, and no more
//! (`option ssl-hello-chk`): no certificate is looked at.

use rustls::pki_types::ServerName;

use super::conversation::{Conversation, Parsed};
use super::finding::{Finding, excerpt};
use super::target::Target;
use super::tls::TlsClient;
use crate::topology::status::CheckStatus;

/// Record types (RFC 8446, section 5.1) and the `ServerHello` (section 4).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

pub(super) async fn check(
    target: &Target<'_>,
    sni: Option<&ServerName<'static>>,
) -> Result<Finding, Finding> {
    let hello = TlsClient::for_hello(sni.cloned()).hello(target.host)?;
    let mut conversation = target.talk(None).await?;
    shake(&mut conversation, &hello)
        .await
        .map_err(|finding| Finding {
            status: match finding.status {
                CheckStatus::L7Timeout => CheckStatus::L6Timeout,
                _ => CheckStatus::L6Response,
            },
            ..finding
        })
}

async fn shake(conversation: &mut Conversation, hello: &[u8]) -> Result<Finding, Finding> {
    conversation.send(hello, "the ClientHello").await?;
    match conversation.answer("the ClientHello", parse).await? {
        Answer::ServerHello => Ok(Finding::new(CheckStatus::L6Ok, "")),
        Answer::Alert(number) => Err(Finding::garbage(format!(
            "the server refused the ClientHello by TLS alert {number}{}",
            alert_name(number)
        ))
        .code(u16::from(number))),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    ServerHello,
    Alert(u8),
}

/// The header of the first record and the beginning of what is in it.
pub(super) fn parse(received: &[u8]) -> Parsed<Answer> {
    match *received {
        [HANDSHAKE, 3, _, _, _, SERVER_HELLO, ..] => Parsed::Done(Answer::ServerHello, 6),
        [ALERT, 3, _, _, _, _, number, ..] => Parsed::Done(Answer::Alert(number), 7),
        [] | [HANDSHAKE | ALERT] => Parsed::More,
        [HANDSHAKE, 3, ..] if received.len() < 6 => Parsed::More,
        [ALERT, 3, ..] if received.len() < 7 => Parsed::More,
        _ => Parsed::Wrong(format!("the answer is not TLS: {}", excerpt(received))),
    }
}

/// Those that configurations cause (RFC 8446, section 6).
fn alert_name(number: u8) -> &'static str {
    match number {
        40 => " (handshake_failure)",
        47 => " (illegal_parameter)",
        70 => " (protocol_version)",
        80 => " (internal_error)",
        112 => " (unrecognized_name)",
        116 => " (certificate_required)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_records() {
        let hello = [22, 3, 3, 0, 80, 2];
        assert_eq!(parse(&hello), Parsed::Done(Answer::ServerHello, 6));
        for cut in 0..hello.len() {
            assert_eq!(parse(&hello[..cut]), Parsed::More, "{cut}");
        }
        let alert = [21, 3, 1, 0, 2, 2, 40];
        assert_eq!(parse(&alert), Parsed::Done(Answer::Alert(40), 7));
        assert!(matches!(parse(b"HTTP/1.1"), Parsed::Wrong(_)));
        assert!(matches!(parse(&[22, 3, 3, 0, 80, 1]), Parsed::Wrong(_)));
    }

    proptest! {
        #[test]
        fn never_panics(received in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse(&received);
        }
    }
}
