//! What is embedded in the page, and how its content security policy allows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A style sheet or a script.
#[derive(Debug)]
pub struct Embedded {
    /// What goes between `<style>` and `</style>`, or `<script>` and `</script>`.
    pub text: String,
    /// `'sha256-…'` (CSP level 3, "hash-source"): no other text is let in.
    pub source: String,
}

impl Embedded {
    /// A style sheet or a script with this text.
    pub fn new(text: String) -> Self {
        let source = format!("'sha256-{}'", STANDARD.encode(Sha256::digest(&text)));
        Self { text, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_the_hash_of_the_text() {
        // The example of the specification (CSP level 3, 8.2).
        let embedded = Embedded::new("alert('Hello, world.');".into());
        let hash = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert_eq!(embedded.source, hash);
    }
}
