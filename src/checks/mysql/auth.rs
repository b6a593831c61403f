//! How a MySQL user proves to know the password.

use ring::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// `caching_sha2_password`: the proof was right, and OK follows.
pub(super) const FAST_OK: &[u8] = &[3];

/// `caching_sha2_password`: the server has to see the password itself.
pub(super) const FULL: &[u8] = &[4];

/// What to send when a server asks for a proof.
pub(super) enum Answer {
    Bytes(Vec<u8>),
    /// The way is not known, or not over a connection that others can read.
    Unsupported,
}

/// The proof by `plugin` for the number that the server made up.
pub(super) fn answer(plugin: &str, password: &str, nonce: &[u8], secured: bool) -> Answer {
    let empty = password.is_empty();
    match plugin {
        "mysql_native_password" | "caching_sha2_password" if empty => Answer::Bytes(Vec::new()),
        "mysql_native_password" => Answer::Bytes(native(password.as_bytes(), nonce)),
        "caching_sha2_password" => Answer::Bytes(caching_sha2(password.as_bytes(), nonce)),
        "mysql_clear_password" | "sha256_password" if secured => Answer::Bytes(clear(password)),
        _ => Answer::Unsupported,
    }
}

/// The password itself, as sent over TLS.
pub(super) fn clear(password: &str) -> Vec<u8> {
    [password.as_bytes(), b"\0"].concat()
}

/// SHA1(password) xor SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha1 = &SHA1_FOR_LEGACY_USE_ONLY;
    let once = digest(sha1, password);
    let twice = digest(sha1, once.as_ref());
    xor(once.as_ref(), &concatenated(sha1, &[nonce, twice.as_ref()]))
}

/// SHA256(password) xor SHA256(SHA256(SHA256(password)), nonce).
fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = digest(&SHA256, password);
    let twice = digest(&SHA256, once.as_ref());
    xor(
        once.as_ref(),
        &concatenated(&SHA256, &[twice.as_ref(), nonce]),
    )
}

fn concatenated(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter()
        .zip(right)
        .map(|(left, right)| left ^ right)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server does: from the stored double hash and the proof to the single hash, whose
    /// hash must be the stored one.
    #[test]
    fn a_server_can_verify_the_proofs() {
        let nonce = b"12345678901234567890";
        let sha1 = &SHA1_FOR_LEGACY_USE_ONLY;
        let stored = digest(sha1, digest(sha1, b"secret").as_ref());
        let mask = concatenated(sha1, &[nonce, stored.as_ref()]);
        let once = xor(&native(b"secret", nonce), &mask);
        assert_eq!(digest(sha1, &once).as_ref(), stored.as_ref());

        let stored = digest(&SHA256, digest(&SHA256, b"secret").as_ref());
        let mask = concatenated(&SHA256, &[stored.as_ref(), nonce]);
        let once = xor(&caching_sha2(b"secret", nonce), &mask);
        assert_eq!(digest(&SHA256, &once).as_ref(), stored.as_ref());
    }

    #[test]
    fn a_password_goes_in_clear_only_over_tls() {
        let answer = |secured| answer("mysql_clear_password", "secret", b"", secured);
        assert!(matches!(answer(false), Answer::Unsupported));
        assert!(matches!(answer(true), Answer::Bytes(bytes) if bytes == b"secret\0"));
    }
}
