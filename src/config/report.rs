//! What is wrong with a configuration, shown in the file's own lines.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// A range of bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One after the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used but probably does something unwanted.
    Warning,
}

/// One mistake, where it is and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    title: String,
    span: Option<Span>,
    label: Option<String>,
    related: Option<(Span, String)>,
    help: Option<String>,
}

impl Problem {
    fn new(severity: Severity, title: impl Into<String>) -> Self {
        Self {
            severity,
            title: title.into(),
            span: None,
            label: None,
            related: None,
            help: None,
        }
    }

    /// An error of the whole file until [`Problem::at`] says where.
    pub fn error(title: impl Into<String>) -> Self {
        Self::new(Severity::Error, title)
    }

    /// A warning of the whole file until [`Problem::at`] says where.
    pub fn warning(title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, title)
    }

    /// Where the caret goes.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// What stands beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Another place that has to do with it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    /// What to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, in one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is; `None` if it is the whole file's.
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

/// All problems of one file, in the order of its lines.
///
/// `Display` is [`Report::render`] without colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: String,
    source: String,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Report {
    /// A report about `source`, which `file` names to people.
    pub fn new(
        file: impl Into<String>,
        source: impl Into<String>,
        mut problems: Vec<Problem>,
    ) -> Self {
        let source = source.into();
        problems.sort_by_key(|problem| problem.span);
        let line_starts = std::iter::once(0)
            .chain(source.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            file: file.into(),
            source,
            line_starts,
            problems,
        }
    }

    /// The name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many problems are errors.
    pub fn errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count()
    }

    /// The errors in one line: how many, and the line and the title of the first.
    pub fn short(&self) -> String {
        let mut errors = self.problems.iter();
        let first = errors.find(|problem| problem.severity == Severity::Error);
        let place = first.and_then(Problem::span).map_or_else(
            || self.file.clone(),
            |span| format!("{}:{}", self.file, self.line_of(self.clip(span).start) + 1),
        );
        let title = first.map_or("", Problem::title);
        match self.errors() {
            0 | 1 => format!("{place}: {title}"),
            count => format!("{place}: {title} (and {} more)", count - 1),
        }
    }

    /// Every problem as a terminal shows it, with ANSI colours if `colour` is set. Empty without
    /// problems, else ends in a line break.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        self.problems
            .iter()
            .map(|problem| renderer.render(&[self.group(problem)]) + "\n\n")
            .collect()
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(&problem.title));
        let group = match problem.span {
            Some(span) => group.element(self.snippet(problem, span)),
            None => group.element(Origin::path(&self.file)),
        };
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }

    /// The lines from the first to the last place of the problem. Only those are given to the
    /// renderer, which would else go through the whole file for each problem.
    fn snippet<'a>(
        &'a self,
        problem: &'a Problem,
        span: Span,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let span = self.clip(span);
        let related = problem.related.as_ref().map(|(s, l)| (self.clip(*s), l));
        let first = related.map_or(span.start, |(s, _)| s.start.min(span.start));
        let last = related.map_or(span.end, |(s, _)| s.end.max(span.end));
        let line = self.line_of(first);
        let from = self.line_starts[line];
        let text = &self.source[from..self.line_end(last)];
        let within = |span: Span| span.start - from..span.end - from;
        Snippet::source(text)
            .path(&self.file)
            .line_start(line + 1)
            .annotation(
                AnnotationKind::Primary
                    .span(within(span))
                    .label(problem.label.as_deref()),
            )
            .annotations(related.map(|(span, label)| {
                AnnotationKind::Context
                    .span(within(span))
                    .label(label.as_str())
            }))
    }

    fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset) - 1
    }

    /// The end of the line that `offset` is on, without its line break.
    fn line_end(&self, offset: usize) -> usize {
        let next = self.line_starts.get(self.line_of(offset) + 1);
        let end = next.map_or(self.source.len(), |next| next - 1);
        end - usize::from(self.source[..end].ends_with('\r') && end > offset)
    }

    /// The part of the span on its first line: a caret under one line points better than a
    /// bracket beside twenty. Also keeps a wrong span from being more than a misplaced caret.
    fn clip(&self, span: Span) -> Span {
        let floor = |offset: usize| {
            let mut offset = offset.min(self.source.len());
            while !self.source.is_char_boundary(offset) {
                offset -= 1;
            }
            offset
        };
        let start = floor(span.start);
        let end = floor(span.end).max(start).min(self.line_end(start));
        Span {
            start,
            end: end.max(start),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_the_caret_and_the_help() {
        let problem = Problem::error("unknown key `b`")
            .at(Span { start: 6, end: 7 })
            .label("here")
            .help("write `a`");
        let report = Report::new("x.toml", "a = 1\nb = 2\n", vec![problem]);
        assert_eq!(
            report.to_string(),
            "error: unknown key `b`\n --> x.toml:2:1\n  |\n2 | b = 2\n  | ^ here\n  |\n  = help: write `a`\n\n"
        );
    }

    #[test]
    fn any_span_can_be_shown() {
        let source = "ä = \"ö\"\r\n\tüü\r\n";
        for start in 0..source.len() + 3 {
            for end in 0..source.len() + 3 {
                let problem = Problem::error("x").at(Span { start, end }).related(
                    Span {
                        start: end,
                        end: start,
                    },
                    "y",
                );
                assert_ne!(Report::new("f", source, vec![problem]).render(true), "");
            }
        }
        let problem = Problem::error("x").at(Span { start: 0, end: 1 });
        assert_ne!(Report::new("f", "", vec![problem]).render(false), "");
    }

    #[test]
    fn colour_is_only_there_if_asked_for() {
        let report = Report::new("f", "", vec![Problem::warning("x")]);
        assert_eq!(report.errors(), 0);
        assert!(report.render(true).contains('\u{1b}'));
        assert!(!report.render(false).contains('\u{1b}'));
    }
}
