//! What an agent says, in one line of words (configuration.txt, "agent-check").

use std::fmt;

use crate::checks::conversation::Parsed;
use crate::checks::finding::{excerpt, words};

/// What an agent said of its server. What it did not mention stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentAnswer {
    /// Whether the server works.
    pub health: Option<AgentHealth>,
    /// Whether the server is wanted.
    pub mode: Option<AgentMode>,
    /// The server's new weight.
    pub weight: Option<AgentWeight>,
    /// The server's new limit of connections.
    pub maxconn: Option<u32>,
    /// The first word that has no meaning, in printable form; the others count all the same.
    pub unknown: Option<String>,
}

/// Whether a server works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentHealth {
    /// `up`: it is, as far as the check agrees.
    Up,
    /// `down`, `fail` or `stopped`.
    Down {
        /// Which of the three.
        word: DownWord,
        /// What followed a `#`; empty if nothing did.
        reason: String,
    },
}

/// The words by which an agent says that a server is down. They mean the same to the proxy and
/// differ for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownWord {
    /// It does not work.
    Down,
    /// It fails a test.
    Fail,
    /// It was stopped on purpose.
    Stopped,
}

/// Whether a server is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentMode {
    /// It may get sessions, if it is up.
    Ready,
    /// It gets no new sessions.
    Drain,
    /// It gets no sessions and no checks.
    Maint,
}

/// A server's new weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentWeight {
    /// Of the configured weight; may be more than 100.
    Percent(u32),
    /// 0 to 256.
    Absolute(u16),
}

impl AgentWeight {
    /// The weight that this means for a server whose configured weight is `configured`.
    pub fn of(self, configured: u16) -> u16 {
        match self {
            Self::Percent(percent) => {
                let weight = u64::from(configured) * u64::from(percent) / 100;
                weight.min(256) as u16
            }
            Self::Absolute(weight) => weight,
        }
    }
}

/// The answer is the first line; what follows is ignored.
pub(in crate::checks) fn line(received: &[u8]) -> Parsed<AgentAnswer> {
    match received.iter().position(|byte| b"\r\n".contains(byte)) {
        Some(end) => Parsed::Done(AgentAnswer::parse(&received[..end]), end + 1),
        None => Parsed::More,
    }
}

impl AgentAnswer {
    /// Reads a line without its end. Of words that say the same kind of thing the last counts,
    /// as in HAProxy; capitals do not matter. A `#` begins the reason of a `down`, `fail` or
    /// `stopped`, up to the end of the line.
    pub fn parse(line: &[u8]) -> Self {
        let (said, reason) = match line.iter().position(|&byte| byte == b'#') {
            Some(at) => (&line[..at], words(&line[at + 1..])),
            None => (line, String::new()),
        };
        let mut answer = Self::default();
        for word in said.split(|byte| b" \t,".contains(byte)) {
            answer.take(word, &reason);
        }
        answer
    }

    fn take(&mut self, word: &[u8], reason: &str) {
        let known = str::from_utf8(word)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let down = |word| {
            let reason = reason.to_owned();
            Some(AgentHealth::Down { word, reason })
        };
        match known.as_str() {
            _ if word.is_empty() => {}
            "up" => self.health = Some(AgentHealth::Up),
            "down" => self.health = down(DownWord::Down),
            "fail" => self.health = down(DownWord::Fail),
            "stopped" => self.health = down(DownWord::Stopped),
            "ready" => self.mode = Some(AgentMode::Ready),
            "drain" => self.mode = Some(AgentMode::Drain),
            "maint" => self.mode = Some(AgentMode::Maint),
            other => {
                if let Some(weight) = weight(other) {
                    self.weight = Some(weight);
                } else if let Some(maxconn) = maxconn(other) {
                    self.maxconn = Some(maxconn);
                } else {
                    self.unknown.get_or_insert_with(|| excerpt(word));
                }
            }
        }
    }
}

/// `75%`, `weight:75%` or `weight:10`. A bare number is not a weight, as in HAProxy.
fn weight(word: &str) -> Option<AgentWeight> {
    let named = word.strip_prefix("weight:");
    let value = named.unwrap_or(word);
    if let Some(percent) = value.strip_suffix('%') {
        return number(percent).map(AgentWeight::Percent);
    }
    let absolute = u16::try_from(number(named?)?).ok()?;
    (absolute <= 256).then_some(AgentWeight::Absolute(absolute))
}

fn maxconn(word: &str) -> Option<u32> {
    number(word.strip_prefix("maxconn:")?)
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl fmt::Display for AgentAnswer {
    /// The health and its reason, else what was not understood.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.health {
            Some(AgentHealth::Up) => "up",
            Some(AgentHealth::Down { word, .. }) => match word {
                DownWord::Down => "down",
                DownWord::Fail => "fail",
                DownWord::Stopped => "stopped",
            },
            None => "",
        };
        let reason = match (&self.health, &self.unknown) {
            (Some(AgentHealth::Down { reason, .. }), _) if !reason.is_empty() => reason.clone(),
            (_, Some(unknown)) => format!("unknown word {unknown:?}"),
            _ => String::new(),
        };
        match (word, reason.as_str()) {
            ("", reason) => f.write_str(reason),
            (word, "") => write!(f, "via agent : {word}"),
            (word, reason) => write!(f, "via agent : {word} ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> AgentAnswer {
        AgentAnswer::parse(line.as_bytes())
    }

    fn down(line: &str, word: DownWord, reason: &str) {
        let reason = reason.to_owned();
        assert_eq!(parse(line).health, Some(AgentHealth::Down { word, reason }));
    }

    #[test]
    fn every_word() {
        assert_eq!(parse("up").health, Some(AgentHealth::Up));
        assert_eq!(parse("UP").health, Some(AgentHealth::Up));
        down("down", DownWord::Down, "");
        down("fail#disk full", DownWord::Fail, "disk full");
        down(
            "stopped # by hand, later up",
            DownWord::Stopped,
            "by hand, later up",
        );
        assert_eq!(parse("ready").mode, Some(AgentMode::Ready));
        assert_eq!(parse("drain").mode, Some(AgentMode::Drain));
        assert_eq!(parse("maint").mode, Some(AgentMode::Maint));
        assert_eq!(parse("75%").weight, Some(AgentWeight::Percent(75)));
        assert_eq!(parse("weight:150%").weight, Some(AgentWeight::Percent(150)));
        assert_eq!(parse("weight:256").weight, Some(AgentWeight::Absolute(256)));
        assert_eq!(parse("maxconn:30").maxconn, Some(30));
    }

    #[test]
    fn words_of_each_kind_and_the_last_counts() {
        let answer = parse(" up,ready\t50% maxconn:9, 75% drain");
        let wanted = AgentAnswer {
            health: Some(AgentHealth::Up),
            mode: Some(AgentMode::Drain),
            weight: Some(AgentWeight::Percent(75)),
            maxconn: Some(9),
            unknown: None,
        };
        assert_eq!(answer, wanted);
    }

    #[test]
    fn words_without_meaning_change_nothing() {
        for word in [
            "75",
            "-5%",
            "+5%",
            "weight:257",
            "maxconn:",
            "maxconn:x",
            "%",
            "upp",
        ] {
            let wanted = AgentAnswer {
                unknown: Some(word.to_owned()),
                ..AgentAnswer::default()
            };
            assert_eq!(parse(word), wanted);
        }
        assert_eq!(parse("what up").health, Some(AgentHealth::Up));
        assert_eq!(parse(""), AgentAnswer::default());
        assert_eq!(parse("# up"), AgentAnswer::default());
    }

    #[test]
    fn shown_as_haproxy_does() {
        assert_eq!(parse("fail#disk").to_string(), "via agent : fail (disk)");
        assert_eq!(parse("up").to_string(), "via agent : up");
        assert_eq!(
            parse("up x").to_string(),
            "via agent : up (unknown word \"x\")"
        );
    }

    #[test]
    fn only_the_first_line_is_read() {
        assert_eq!(line(b"up"), Parsed::More);
        assert_eq!(line(b"up\r\ndown\n"), Parsed::Done(parse("up"), 3));
    }

    proptest! {
        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = AgentAnswer::parse(&line).to_string();
        }

        #[test]
        fn nearly_right_words(line in "((weight:|maxconn:|up|down)?[0-9+-]{0,12}[%#, ]{0,2}){0,4}") {
            let _ = parse(&line).to_string();
        }
    }
}
