//! Passwords in a file's text, which are not repeated where a mistake is shown in its line.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A key that names something secret, and a string or list after it, whether or not that has an
/// end: the file may be broken.
static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let secret = r#"(?xi)
    (?<key> [\w-]* (?: password | auth | secret | token ) [\w-]* ["']? \s* = \s* )
    (?<value> "(?: [^"\\\n] | \\. )* | '[^'\n]* | \[ [^\]\n]* )"#;
    Regex::new(secret).ok()
});

/// The text with stars in place of every byte of a secret; each byte keeps its place. Variables
/// such as `${NAME}` are no secrets.
pub(super) fn hidden(text: &str) -> Cow<'_, str> {
    let Some(secret) = SECRET.as_ref() else {
        return Cow::Borrowed(text);
    };
    secret.replace_all(text, |found: &Captures<'_>| {
        let (key, value) = (&found["key"], &found["value"]);
        let is_path = key.to_lowercase().contains("_file");
        if is_path || value.contains("${") {
            return found[0].to_owned();
        }
        // The quote or bracket stays.
        let (quote, inside) = value.split_at(1);
        format!("{key}{quote}{}", "*".repeat(inside.len()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (text, shown) in [
            (
                "auth = \"admin:hunter2\" # x",
                "auth = \"*************\" # x",
            ),
            ("auth = \"admin", "auth = \"*****"),
            ("auth = [\"a:b\", \"c:d\"]", "auth = [************]"),
            ("{ password = 'é', x = 1 }", "{ password = '**', x = 1 }"),
            (
                "\"Authorization\" = \"Bearer x\"",
                "\"Authorization\" = \"********\"",
            ),
            (
                "password_hash = \"$argon2id$\"",
                "password_hash = \"**********\"",
            ),
            ("password = \"a\\\"b\"", "password = \"****\""),
        ] {
            assert_eq!(hidden(text), shown);
        }
        for text in [
            "auth = \"admin:${STATS_PASSWORD}\"",
            "password_file = \"/etc/backstop/password\"",
            "bind = \"127.0.0.1:8711\"",
            "auth = 5",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    proptest! {
        #[test]
        fn every_byte_keeps_its_place(text in "(auth|password| = |\"|'|\\[|é|a|\n|\\\\){0,12}") {
            let shown = hidden(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.lines().count(), text.lines().count());
        }
    }
}
