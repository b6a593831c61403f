//! What a check found, and how it is told to people.

use std::error::Error;
use std::{fmt, io};

use crate::topology::status::CheckStatus;

/// A check's result before it is known how long the check took.
///
/// Checks end early by `?`, so a [`Finding`] is what stands in both sides of their `Result`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(super) status: CheckStatus,
    pub(super) code: Option<u16>,
    pub(crate) info: String,
}

impl Finding {
    pub(super) fn new(status: CheckStatus, info: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            info: info.into(),
        }
    }

    pub(super) fn code(self, code: u16) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// The answer is not one of the protocol.
    pub(super) fn garbage(info: impl Into<String>) -> Self {
        Self::new(CheckStatus::L7Response, info)
    }

    /// The answer says that the server is not what is wanted.
    pub(super) fn refused(info: impl Into<String>) -> Self {
        Self::new(CheckStatus::L7Status, info)
    }

    pub(super) fn passed(info: impl Into<String>) -> Self {
        Self::new(CheckStatus::L7Ok, info)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.info)
    }
}

/// So that it can pass through crates that call back here.
impl Error for Finding {}

/// The system's own words, without the number that the standard library adds.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// More of an answer than this is not shown.
const SHOWN: usize = 80;

/// The beginning of what a server sent, in printable ASCII and on one line: it may come from
/// anyone and goes to logs and pages.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.len().min(SHOWN);
    let mut text = bytes[..shown].trim_ascii().escape_ascii().to_string();
    if bytes.len() > shown {
        text.push('…');
    }
    text
}

/// Like [`excerpt`], for what a protocol declares to be text. Line breaks and other control
/// characters become spaces.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.trim().chars().take(2 * SHOWN).collect();
    if shown.len() < text.trim().len() {
        shown.push('…');
    }
    shown.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn excerpts() {
        assert_eq!(excerpt(b"+OK\r\n"), "+OK");
        assert_eq!(excerpt(b"a\x1b[2J\xff"), "a\\x1b[2J\\xff");
        assert_eq!(words(b"try\r\nagain "), "try  again");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_short_and_holds_no_control_characters(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            for shown in [excerpt(&bytes), words(&bytes)] {
                prop_assert!(!shown.contains(char::is_control));
                prop_assert!(shown.chars().count() <= 4 * SHOWN + 1);
            }
        }
    }
}
