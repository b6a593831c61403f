//! Colours, and text in columns.

use super::servers::{Index, NAMES};

/// How a text looks where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// What the demo does.
    Demo,
    /// A change of the traffic.
    Traffic,
    /// Something failed.
    Failure,
    /// The proxy's warnings.
    Warning,
    /// The proxy's other lines.
    Proxy,
    /// A server of the first rank.
    Primary,
    /// A backup server.
    Backup,
    /// A server of the second farm.
    Farm,
}

impl Style {
    /// The style of a server's name.
    pub(super) fn server(server: Index) -> Self {
        match NAMES[server].split('-').next() {
            Some("web") => Self::Primary,
            Some("spare") => Self::Backup,
            _ => Self::Farm,
        }
    }

    pub(super) fn paint(self, text: &str, color: bool) -> String {
        if !color {
            return text.to_owned();
        }
        let code = match self {
            Self::Demo => "1",
            Self::Traffic | Self::Primary => "32",
            Self::Failure => "31",
            Self::Warning => "33",
            Self::Proxy => "2",
            Self::Backup => "34",
            Self::Farm => "35",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The rows of a text that may be `width` columns wide; one row if there is no limit.
///
/// A word that is wider than a row gets one of its own.
pub(super) fn wrap(text: &str, width: Option<usize>) -> Vec<&str> {
    let Some(width) = width else {
        return vec![text];
    };
    let mut rows = Vec::new();
    let (mut start, mut end) = (0, 0);
    for word in text.split_inclusive(' ') {
        let word_end = end + word.len();
        let row = text[start..word_end].trim_end();
        if row.chars().count() > width && end > start {
            rows.push(text[start..end].trim_end());
            start = end;
        }
        end = word_end;
    }
    rows.push(text[start..].trim_end());
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_broken_at_spaces() {
        assert_eq!(
            wrap("Server main/web-1 is DOWN", Some(14)),
            ["Server", "main/web-1 is", "DOWN"]
        );
        assert_eq!(wrap("one two", None), ["one two"]);
        assert_eq!(wrap("", Some(10)), [""]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_row_too_wide(text in "[a-zé]{1,9}( [a-zé]{1,9}){0,20}", width in 9usize..40) {
            let rows = wrap(&text, Some(width));
            prop_assert!(rows.iter().all(|row| row.chars().count() <= width));
            prop_assert_eq!(rows.join(" "), text);
        }
    }

    #[test]
    fn without_colour_text_stays_as_it_is() {
        assert_eq!(Style::Failure.paint("no", false), "no");
        assert_eq!(
            Style::server(2).paint("spare-1", true),
            "\x1b[34mspare-1\x1b[0m"
        );
    }
}
