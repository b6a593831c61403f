//! What the TOML parser says, in words that help.

use toml::de::Error;

use super::report::{Problem, Span};

/// The parser's errors, and where the file stops being read as it was meant.
pub(super) struct Syntax {
    pub(super) problems: Vec<Problem>,
    /// The beginning of the first line that could not be read. `None` if keys given twice are
    /// all that is wrong, since everything was read then.
    pub(super) broken_from: Option<usize>,
}

impl Syntax {
    pub(super) fn of(text: &str, errors: &[Error]) -> Self {
        let place = |error: &Error| error.span().map_or(Span { start: 0, end: 0 }, Span::from);
        let fatal = errors.iter().filter(|error| error.message() != DUPLICATE);
        let first = fatal.map(|error| place(error).start.min(text.len())).min();
        let line_start = |at: usize| {
            let bytes = &text.as_bytes()[..at];
            bytes
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |newline| newline + 1)
        };
        let mut problems: Vec<_> = Vec::new();
        for error in errors {
            let problem = problem(text, error.message(), place(error));
            // After one mistake the parser may stumble over the same line again.
            if problems
                .last()
                .is_none_or(|last: &Problem| !same_line(text, last, &problem))
            {
                problems.push(problem);
            }
        }
        Self {
            problems,
            broken_from: first.map(line_start),
        }
    }
}

const DUPLICATE: &str = "duplicate key";

fn same_line(text: &str, a: &Problem, b: &Problem) -> bool {
    let start = |problem: &Problem| problem.span().map_or(0, |span| span.start).min(text.len());
    let (first, last) = (start(a).min(start(b)), start(a).max(start(b)));
    !text.as_bytes()[first..last].contains(&b'\n')
}

fn problem(text: &str, message: &str, span: Span) -> Problem {
    Problem::error(message).at(span)
}
