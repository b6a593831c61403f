//! What the TOML parser says, in words that help.

use toml::de::Error;

use super::report::{Problem, Span};

/// The parser's errors, and where the file stops being read as it was meant.
pub(super) struct Syntax {
    pub(super) problems: Vec<Problem>,
    /// The beginning of the first line that could not be read. `None` if keys given twice and
    /// values without quotes are all that is wrong, since everything else was read then.
    pub(super) broken_from: Option<usize>,
}

const DUPLICATE: &str = "duplicate key";

/// How much of what is read after a mistake cannot be relied on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbs {
    /// The value alone.
    Value,
    /// The rest of the line.
    Line,
    /// The rest of the file.
    File,
}

impl Syntax {
    pub(super) fn of(text: &str, errors: &[Error]) -> Self {
        let mut syntax = Self {
            problems: Vec::new(),
            broken_from: None,
        };
        let place = |error: &Error| error.span().map_or(Span { start: 0, end: 0 }, Span::from);
        let mut ordered: Vec<_> = errors.iter().map(|error| (place(error), error)).collect();
        ordered.sort_by_key(|(span, _)| *span);
        let mut last_line = None;
        for (span, error) in ordered {
            let line = line_start(text, span.start);
            let (problem, disturbs) = explain(text, error.message(), span);
            if disturbs != Disturbs::Value {
                syntax.broken_from = syntax.broken_from.or(Some(line));
            }
            let consequence = last_line == Some(line) && disturbs != Disturbs::Value;
            if !consequence && syntax.problems.last() != Some(&problem) {
                syntax.problems.push(problem);
            }
            last_line = Some(line);
            if disturbs == Disturbs::File {
                break;
            }
        }
        syntax
    }

    /// Whether something is wrong with this very part of the file already.
    pub(super) fn covers(&self, span: Span) -> bool {
        let places = || self.problems.iter().filter_map(Problem::span);
        span.end == 0 || places().any(|place| place.start < span.end && span.start < place.end)
    }
}

fn line_start(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    let newline = before.iter().rposition(|&byte| byte == b'\n');
    newline.map_or(0, |newline| newline + 1)
}

fn line(text: &str, at: usize) -> &str {
    let start = line_start(text, at);
    text.get(start..)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default()
}

fn explain(text: &str, message: &str, span: Span) -> (Problem, Disturbs) {
    let line = line(text, span.start);
    let start = line_start(text, span.start) + line.len() - line.trim_start().len();
    let whole = Span {
        start,
        end: start + line.trim().len(),
    };
    if is_haproxy(line) {
        let problem = Problem::error("this is a configuration file of HAProxy").at(whole);
        return (problem.help(HAPROXY), Disturbs::File);
    }
    if is_header(line) && !message.starts_with(DUPLICATE) {
        let problem = Problem::error("a list before this line is never closed").at(whole);
        return (problem.help("add `]` where the list ends"), Disturbs::File);
    }
    in_line(text, message, span)
}

const HAPROXY: &str = "write it as TOML: `frontend www` is `[frontends.www]`, `bind 0.0.0.0:81` is \
                       `bind = \"0.0.0.0:81\"`, and all `server` lines of a backend are one list \
                       `servers = [{ name = \"web1\", address = \"10.0.0.1:80\", check = true }]`";

/// Whether the line begins a section of a configuration of HAProxy.
fn is_haproxy(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("global" | "defaults") => words.next().is_none(),
        Some("frontend" | "backend" | "listen") => {
            words.next().is_some_and(|name| !name.starts_with('='))
        }
        _ => false,
    }
}

/// Whether the line looks like `[name]`.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let inside = line.trim_start_matches('[').trim_end_matches(']');
    let in_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    line.starts_with('[')
        && line.ends_with(']')
        && inside.starts_with(|c: char| c.is_ascii_alphabetic())
        && inside.chars().all(in_name)
}

fn in_line(text: &str, message: &str, span: Span) -> (Problem, Disturbs) {
    let reason = message
        .split_once(", expected")
        .map_or(message, |(reason, _)| reason);
    let say = |title: &str, help: &str| Problem::error(title).at(span).help(help);
    let problem = match reason {
        DUPLICATE => return (twice(text, span), Disturbs::Value),
        "key with no value" => say(
            "there is no `=` after this key",
            "write `key = value`, one on each line",
        ),
        "missing escaped value" => say(
            "a `\\` in a string begins an escape, and this is none",
            "leave the `\\` out, write `\\\\`, or put the string into single quotes",
        ),
        "invalid basic string" | "invalid literal string" => say(
            "this string is not closed on its line",
            "add the quote that closes it",
        ),
        "unexpected key or value" => say(
            "something follows on the same line",
            "begin a new line before it, or put the value into quotes if it belongs to it",
        ),
        "unclosed table" | "unclosed array table" => {
            say("this header is not closed", "add `]` after the name")
        }
        "unclosed array" => say("this list is never closed", "add `]` where it ends"),
        "unclosed inline table" => say("this table is never closed", "add `}` where it ends"),
        "missing comma between array elements" | "missing comma between key-value pairs" => {
            say("a `,` is missing before this", "put `,` between two values")
        }
        _ if line_before(text, span.start).ends_with('=') && ends_here(text, span.start) => {
            say("there is no value after `=`", "write `key = value`")
        }
        _ => match unquoted(text, span) {
            Some(problem) => return (problem, Disturbs::Value),
            None => Problem::error(message).at(span),
        },
    };
    (problem, Disturbs::Line)
}

/// What stands on the line before `at`, without spaces at its end.
fn line_before(text: &str, at: usize) -> &str {
    let before = text.get(line_start(text, at)..at).unwrap_or_default();
    before.trim_end()
}

/// Whether nothing but a comment follows on the line.
fn ends_here(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default().trim_start();
    line.is_empty() || line.starts_with('#')
}

fn twice(text: &str, span: Span) -> Problem {
    let key = text.get(span.start..span.end).unwrap_or_default();
    let line = line(text, span.start);
    let (what, help) = if is_header(line) {
        let help = "put everything under one header, or change the name in one of them";
        (line.trim(), help)
    } else {
        (key, "remove one of them")
    };
    Problem::error(format!("`{what}` is given twice"))
        .at(span)
        .help(help)
}

/// The error for a value that stands without quotes, or `None` if there is something else.
fn unquoted(text: &str, span: Span) -> Option<Problem> {
    let ends = |c: char| c.is_whitespace() || ",={}[]\"'#".contains(c);
    let before = text.get(..span.start)?;
    let start = before.rfind(ends).map_or(0, |at| {
        at + before[at..].chars().next().map_or(0, char::len_utf8)
    });
    let length = text[start..].find(ends).unwrap_or(text.len() - start);
    let word = &text[start..start + length];
    let value = before.get(..start)?.trim_end().ends_with(['=', '[', ',']);
    let span = Span {
        start,
        end: start + length,
    };
    let problem = match word {
        "" => return None,
        _ if !value => return None,
        _ => match word.to_lowercase().as_str() {
            "true" | "yes" | "on" => neither(word, "true"),
            "false" | "no" | "off" => neither(word, "false"),
            _ => Problem::error("this value needs quotes").help(format!("write \"{word}\"")),
        },
    };
    Some(problem.at(span))
}

fn neither(word: &str, meant: &str) -> Problem {
    let title = format!("`{word}` is neither `true` nor `false`");
    Problem::error(title).help(format!("write `{meant}`"))
}
