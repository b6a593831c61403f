//! Basic authentication (RFC 7617).
//!
//! Names and passwords are compared by their SHA-256 digests in constant time: how long a
//! comparison takes depends on what was sent only, not on how much of it is right nor on how
//! long the right password is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Credentials;

type Digest = [u8; 32];

/// Decides who may see the page.
#[derive(Debug)]
pub struct Gate {
    /// Digests of the user name and the password; `None` lets everybody in.
    wanted: Option<(Digest, Digest)>,
}

/// What a request's `Authorization` header is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request may be answered.
    Allowed,
    /// Nothing was offered, as in a browser's first request.
    NothingOffered,
    /// What was offered is wrong or cannot be read.
    Wrong,
}

impl Gate {
    /// A gate that asks for `credentials`, if there are any.
    pub fn new(credentials: Option<&Credentials>) -> Self {
        Self {
            wanted: credentials.map(|c| (digest(c.user.as_bytes()), digest(c.password.as_bytes()))),
        }
    }

    /// Judges an `Authorization` header.
    pub fn judge(&self, header: Option<&HeaderValue>) -> Verdict {
        match (&self.wanted, header) {
            (None, _) => Verdict::Allowed,
            (Some(_), None) => Verdict::NothingOffered,
            (Some(wanted), Some(header)) if matches(header.as_bytes(), wanted) => Verdict::Allowed,
            _ => Verdict::Wrong,
        }
    }
}

/// The `WWW-Authenticate` header that makes a browser ask for a password.
pub fn challenge(realm: &str) -> HeaderValue {
    let mut quoted = Vec::with_capacity(realm.len());
    for byte in realm.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            0..0x20 | 0x7f => quoted.push(b' '),
            _ => quoted.push(byte),
        }
    }
    let value = [b"Basic realm=\"", &quoted[..], b"\", charset=\"UTF-8\""].concat();
    HeaderValue::from_bytes(&value)
        .unwrap_or_else(|_| HeaderValue::from_static("Basic realm=\"Statistics\""))
}

fn matches(header: &[u8], (user, password): &(Digest, Digest)) -> bool {
    let Some((sent_user, sent_password)) = parse(header) else {
        return false;
    };
    let same_user = digest(&sent_user).ct_eq(user);
    let same_password = digest(&sent_password).ct_eq(password);
    (same_user & same_password).into()
}

/// The user name and the password of a header; `None` if it is not one of this scheme.
fn parse(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = header.split_at_checked(header.iter().position(|&b| b == b' ')?)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim_ascii()).ok()?;
    // A password may contain colons, a user name may not.
    let colon = pair.iter().position(|&b| b == b':')?;
    Some((pair[..colon].to_vec(), pair[colon + 1..].to_vec()))
}

fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate() -> Gate {
        Gate::new(Some(&Credentials {
            user: "admin".into(),
            password: "se:cret".into(),
        }))
    }

    fn judge(header: &str) -> Verdict {
        gate().judge(Some(&HeaderValue::from_str(header).unwrap()))
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn the_right_pair_is_let_in() {
        assert_eq!(judge(&basic("admin:se:cret")), Verdict::Allowed);
    }

    #[test]
    fn the_scheme_is_matched_whatever_its_case() {
        let encoded = STANDARD.encode("admin:se:cret");
        assert_eq!(judge(&format!("bAsIc {encoded}")), Verdict::Allowed);
        assert_eq!(judge(&format!("Basic   {encoded} ")), Verdict::Allowed);
    }

    #[test]
    fn a_wrong_pair_is_kept_out() {
        let pairs = [
            "admin:se:cre",
            "admin:se:crett",
            "admin:",
            ":se:cret",
            "Admin:se:cret",
            "admin",
            "",
            ":",
        ];
        for pair in pairs {
            assert_eq!(judge(&basic(pair)), Verdict::Wrong, "{pair:?}");
        }
    }

    #[test]
    fn garbage_is_kept_out() {
        let encoded = STANDARD.encode("admin:se:cret");
        let headers = [
            String::new(),
            "Basic".into(),
            "Basic ".into(),
            "Basic *".into(),
            encoded.clone(),
            format!("Basic{encoded}"),
            format!("Bearer {encoded}"),
            format!("Basic {encoded} {encoded}"),
        ];
        for header in headers {
            assert_eq!(judge(&header), Verdict::Wrong, "{header:?}");
        }
    }

    #[test]
    fn nothing_offered_is_not_the_same_as_wrong() {
        assert_eq!(gate().judge(None), Verdict::NothingOffered);
    }

    #[test]
    fn without_credentials_everybody_is_let_in() {
        let open = Gate::new(None);
        let header = HeaderValue::from_static("Basic *");
        assert_eq!(open.judge(None), Verdict::Allowed);
        assert_eq!(open.judge(Some(&header)), Verdict::Allowed);
    }

    #[test]
    fn the_realm_cannot_break_out_of_its_quotes() {
        let shown = challenge("a\"b\\c\r\nd");
        assert_eq!(
            shown.as_bytes(),
            br#"Basic realm="a\"b\\c  d", charset="UTF-8""#
        );
        assert!(
            challenge("통계")
                .as_bytes()
                .starts_with("Basic realm=\"통계".as_bytes())
        );
    }

    proptest! {
        #[test]
        fn no_other_pair_is_let_in(user: String, password: String) {
            let verdict = judge(&basic(&format!("{user}:{password}")));
            let right = format!("{user}:{password}") == "admin:se:cret";
            prop_assert_eq!(verdict == Verdict::Allowed, right);
        }

        #[test]
        fn any_header_is_judged(bytes: Vec<u8>) {
            if let Ok(header) = HeaderValue::from_bytes(&bytes) {
                prop_assert_eq!(gate().judge(Some(&header)), Verdict::Wrong);
            }
        }
    }
}
