//! The check of a mail server's greeting (`option smtpchk`).

use super::conversation::{Conversation, Parsed};
use super::finding::{Finding, excerpt, words};
use super::target::Target;
use super::tls::TlsClient;
use crate::config::check::SmtpCheck;

pub(super) async fn check(
    target: &Target<'_>,
    check: &SmtpCheck,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let mut mail = target.talk(tls).await?;
    let greeting = mail.answer("the connection", parse).await?;
    if greeting.code != 220 {
        return Err(greeting.refused("the connection"));
    }
    let mut hello = ask(&mut mail, "EHLO", &check.domain).await?;
    if (500..=599).contains(&hello.code) {
        hello = ask(&mut mail, "HELO", &check.domain).await?;
    }
    if hello.code != 250 {
        return Err(hello.refused("EHLO or HELO"));
    }
    // The check has passed; a server that does not say goodbye passes too.
    if mail.send(b"QUIT\r\n", "QUIT").await.is_ok() {
        let _ = mail.answer("QUIT", parse).await;
    }
    Ok(Finding::passed(greeting.text).code(hello.code))
}

async fn ask(mail: &mut Conversation, command: &str, domain: &str) -> Result<Reply, Finding> {
    mail.send(format!("{command} {domain}\r\n").as_bytes(), command)
        .await?;
    mail.answer(command, parse).await
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    /// Of its last line.
    text: String,
}

impl Reply {
    fn refused(self, what: &str) -> Finding {
        let info = format!("{} {} in answer to {what}", self.code, self.text);
        Finding::refused(info).code(self.code)
    }
}

/// A reply of one or more lines (RFC 5321, section 4.2.1).
pub(super) fn parse(received: &[u8]) -> Parsed<Reply> {
    let mut taken = 0;
    for line in received.split_inclusive(|&byte| byte == b'\n') {
        let wrong = || Parsed::Wrong(format!("the answer is not SMTP: {}", excerpt(line)));
        let digits = line.iter().take(3);
        if !digits.clone().all(u8::is_ascii_digit) {
            return wrong();
        }
        if !line.ends_with(b"\n") {
            return Parsed::More;
        }
        if line.len() < 4 {
            return wrong();
        }
        taken += line.len();
        let code = digits.fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        match line[3] {
            b'-' => {}
            b' ' | b'\r' | b'\n' => {
                let text = words(&line[3..]);
                return Parsed::Done(Reply { code, text }, taken);
            }
            _ => return wrong(),
        }
    }
    Parsed::More
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(code: u16, text: &str, taken: usize) -> Parsed<Reply> {
        let text = text.to_owned();
        Parsed::Done(Reply { code, text }, taken)
    }

    #[test]
    fn replies() {
        assert_eq!(parse(b"220 mx ready\r\n"), done(220, "mx ready", 14));
        assert_eq!(parse(b"250-a\r\n250 b\r\n354"), done(250, "b", 14));
        assert_eq!(parse(b"250\r\n"), done(250, "", 5));
        for part in [&b""[..], b"2", b"220 mx", b"250-a\r\n", b"250-a\r\n25"] {
            assert_eq!(parse(part), Parsed::More, "{part:?}");
        }
        for wrong in [&b"SSH-2.0"[..], b"22\n", b"220+x\n", b"\r\n", b"250-a\r\nx"] {
            assert!(matches!(parse(wrong), Parsed::Wrong(_)), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(received in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&received);
        }

        #[test]
        fn never_panics_on_nearly_right_text(received in "([0-9]{0,4}[- \r\na-z]{0,3}){0,8}") {
            let _ = parse(received.as_bytes());
        }
    }
}
