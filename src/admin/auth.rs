//! Basic authentication (RFC 7617).
//!
//! Names and passwords are compared by their digests in constant time: how long a comparison
//! takes depends on what was sent only, not on how much of it is right nor on how long the right
//! one is. Where any password is kept as a hash, a wrong try takes one verification whatever the
//! name, so that names cannot be found out by the time that a refusal takes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use subtle::ConstantTimeEq as _;

use super::password::{Answer, Digest, Secret, Verifier, digest};
use super::tries::Tries;
use crate::config::StatsConfig;
use crate::config::stats::Role;

/// Decides who may see the page, and who may change servers there.
#[derive(Debug)]
pub struct Gate {
    /// If there are none, everybody may look.
    users: Vec<User>,
    verifier: Verifier,
    tries: Tries,
}

#[derive(Debug)]
struct User {
    name: Arc<str>,
    digest: Digest,
    secret: Secret,
    role: Role,
}

/// Who asks, once let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// `None` where nobody is asked for a name.
    pub name: Option<Arc<str>>,
    /// Whether servers may be changed.
    pub may_change: bool,
}

impl Visitor {
    /// Somebody who was not asked for a name.
    pub const ANYONE: Self = Self {
        name: None,
        may_change: false,
    };
}

/// What a request's `Authorization` header is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request may be answered.
    Allowed(Visitor),
    /// Nothing was offered, as in a browser's first request.
    NothingOffered,
    /// What was offered is wrong or cannot be read.
    Wrong,
    /// There were too many wrong tries from this address; it may try again after this time.
    TooMany(Duration),
    /// Too many passwords are waiting to be verified.
    Busy,
}

impl Gate {
    /// A gate that asks for the users of `settings`, if there are any.
    pub fn new(settings: &StatsConfig) -> Self {
        let users = settings.users.iter().map(|user| User {
            name: user.name.as_str().into(),
            digest: digest(user.name.as_bytes()),
            secret: Secret::new(&user.password),
            role: if settings.admin {
                user.role
            } else {
                Role::View
            },
        });
        Self {
            users: users.collect(),
            verifier: Verifier::new(),
            tries: Tries::default(),
        }
    }

    /// Judges an `Authorization` header that comes from `address`.
    pub async fn judge(&self, header: Option<&HeaderValue>, address: IpAddr) -> Verdict {
        if self.users.is_empty() {
            return Verdict::Allowed(Visitor::ANYONE);
        }
        let Some(header) = header else {
            return Verdict::NothingOffered;
        };
        if let Some(wait) = self.tries.wait(address, Instant::now()) {
            return Verdict::TooMany(wait);
        }
        let Some((name, password)) = parse(header.as_bytes()) else {
            self.tries.wrong(address, Instant::now());
            return Verdict::Wrong;
        };
        let user = self.user(&name);
        match user {
            Some(user) if self.verifier.knows(&user.secret, &password) => user.let_in(),
            _ => self.verify(user, password, address).await,
        }
    }

    /// The user of that name, looked for in the same time whoever it is.
    fn user(&self, name: &[u8]) -> Option<&User> {
        let name = digest(name);
        let same = |user: &&User| bool::from(user.digest.ct_eq(&name));
        self.users.iter().filter(same).last()
    }

    async fn verify(&self, user: Option<&User>, password: Vec<u8>, address: IpAddr) -> Verdict {
        let own = user.and_then(|user| match &user.secret {
            Secret::Hash(hash, remembered) => Some((user, hash, remembered)),
            Secret::Plain(_) => None,
        });
        let any = || {
            self.users.iter().find_map(|user| match &user.secret {
                Secret::Hash(hash, _) => Some(hash),
                Secret::Plain(_) => None,
            })
        };
        let may_try = || self.tries.wait(address, Instant::now()).is_none();
        if let Some(hash) = own.map(|(_, hash, _)| hash).or_else(any) {
            let answer = self.verifier.verify(hash, password.clone(), may_try).await;
            match (answer, own) {
                (Answer::Busy, _) => {
                    let wait = self.tries.wait(address, Instant::now());
                    return wait.map_or(Verdict::Busy, Verdict::TooMany);
                }
                (Answer::Right, Some((user, _, remembered))) => {
                    self.verifier.remember(remembered, &password);
                    return user.let_in();
                }
                // Somebody else's password.
                (Answer::Right, None) | (Answer::Wrong, _) => {}
            }
        }
        self.tries.wrong(address, Instant::now());
        Verdict::Wrong
    }
}

impl User {
    fn let_in(&self) -> Verdict {
        Verdict::Allowed(Visitor {
            name: Some(Arc::clone(&self.name)),
            may_change: self.role == Role::Admin,
        })
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

#[cfg(test)]
mod tests;
