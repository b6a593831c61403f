//! Passwords and their argon2 hashes, which take some 20 MiB and milliseconds each on purpose.
//!
//! So a hash is verified away from the thread that serves the page, a few at a time, and each
//! user's last right password is remembered, as its digest under a key that only this process
//! knows: a page that is looked at all day costs one verification.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::config::stats::Password;

/// Verifications at once.
const AT_ONCE: usize = 1;

/// Verifications that may wait for their turn.
const WAITING: usize = 32;

/// The hash of a password, with a salt of its own, in the PHC form.
///
/// # Errors
/// When the system has no random numbers.
pub fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

/// The digest of a text: equal digests mean equal texts, and comparing them takes the same time
/// whatever the texts.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// What one user has to know.
#[derive(Debug)]
pub(super) enum Secret {
    Plain(Digest),
    Hash(Box<PasswordHash>, Remembered),
}

/// The last password that was right, under this process's key.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Option<Digest>>);

impl Secret {
    pub(super) fn new(password: &Password) -> Self {
        match password {
            Password::Plain(plain) => Self::Plain(digest(plain.reveal().as_bytes())),
            Password::Hash(hash) => Self::Hash(hash.reveal().clone(), Remembered::default()),
        }
    }
}

/// Whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Right,
    Wrong,
    /// Too many are waiting to be verified.
    Busy,
}

/// Verifies passwords.
#[derive(Debug)]
pub(super) struct Verifier {
    key: hmac::Key,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Verifier {
    /// # Panics
    /// When the system has no random numbers.
    pub(super) fn new() -> Self {
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        Self {
            key: key.expect("the system has random numbers"),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::default(),
        }
    }

    /// Whether `password` is known to be right, without verifying a hash.
    pub(super) fn knows(&self, secret: &Secret, password: &[u8]) -> bool {
        match secret {
            Secret::Plain(wanted) => digest(password).ct_eq(wanted).into(),
            Secret::Hash(_, remembered) => {
                let last = remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
                last.is_some_and(|last| self.digest(password).ct_eq(&last).into())
            }
        }
    }

    /// Whether `password` is right, for the length of a verification if there is a hash.
    /// `may_try` is asked when its turn has come.
    pub(super) async fn verify(
        &self,
        hash: &PasswordHash,
        password: Vec<u8>,
        may_try: impl FnOnce() -> bool,
    ) -> Answer {
        let _waiting = Waiting::new(&self.waiting);
        if self.waiting.load(Relaxed) > WAITING {
            return Answer::Busy;
        }
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Answer::Busy;
        };
        if !may_try() {
            return Answer::Busy;
        }
        let hash = hash.clone();
        // The place stays taken until the thread is done, even if nobody waits for it any more.
        let verified = tokio::task::spawn_blocking(move || {
            let _place = place;
            Argon2::default().verify_password(&password, &hash).is_ok()
        });
        match verified.await {
            Ok(true) => Answer::Right,
            Ok(false) | Err(_) => Answer::Wrong,
        }
    }

    /// Takes note that `password` is right.
    pub(super) fn remember(&self, remembered: &Remembered, password: &[u8]) {
        let mut last = remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(self.digest(password));
    }

    fn digest(&self, password: &[u8]) -> Digest {
        let tag = hmac::sign(&self.key, password);
        let mut digest = Digest::default();
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

/// One that is counted as waiting until it is dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn new(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_its_password_alone() {
        let written = hash("correct horse").unwrap();
        assert!(
            written.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{written}"
        );
        let read = PasswordHash::new(&written).unwrap();
        let argon = Argon2::default();
        assert!(argon.verify_password(b"correct horse", &read).is_ok());
        assert!(argon.verify_password(b"correct horsf", &read).is_err());
        assert_ne!(
            written,
            hash("correct horse").unwrap(),
            "each has a salt of its own"
        );
    }
}
