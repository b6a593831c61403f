//! Values as types, with the mistakes in them.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::{At, Fields, Item, Text, elements};
use crate::config::hints::{self, Kind, closest};
use crate::config::report::{Problem, Span};
use crate::config::value::{self, Fault};

/// Reads values; what every reading step shares.
pub(in crate::config) struct Reader<'r> {
    source: &'r str,
    env: &'r dyn Fn(&str) -> Option<String>,
    /// Whether all of the file could be read; else what seems to be missing may only be unread.
    pub(super) whole: bool,
    pub(in crate::config) problems: Vec<Problem>,
}

impl<'r> Reader<'r> {
    pub(in crate::config) fn new(
        source: &'r str,
        env: &'r dyn Fn(&str) -> Option<String>,
        whole: bool,
    ) -> Self {
        Self {
            source,
            env,
            whole,
            problems: Vec::new(),
        }
    }

    /// Records that the item is not what it should be.
    pub(in crate::config) fn wrong_type<T>(&mut self, item: Item<'_>, wanted: &str) -> Option<T> {
        let found = found(item.value);
        let each = if item.listed { "each of " } else { "" };
        let title = format!("{each}`{}` must be {wanted}, not {found}", item.key);
        let mut problem = Problem::error(title)
            .at(item.span)
            .label(format!("this is {found}"));
        if let Some(help) = hints::wrong_type(item.key, item.value) {
            problem = problem.help(help);
        }
        self.problems.push(problem);
        None
    }

    pub(in crate::config) fn fault<T>(&mut self, text: &Text, fault: Fault) -> Option<T> {
        let span = fault.range.map_or(text.span, |range| text.part(&range));
        let problem = Problem::error(fault.title).at(span);
        self.problems.push(match fault.help {
            Some(help) => problem.help(help),
            None => problem,
        });
        None
    }

    /// A string that is not empty, with its variables replaced.
    pub(in crate::config) fn text(&mut self, item: Item<'_>) -> Option<Text> {
        let text = self.any_text(item)?;
        if text.value.trim().is_empty() {
            let written =
                matches!(item.value, DeValue::String(written) if !written.trim().is_empty());
            let what = if written {
                "is empty once its variables are replaced"
            } else {
                "is empty"
            };
            let title = format!("`{}` {what}", item.key);
            self.problems.push(Problem::error(title).at(item.span));
            return None;
        }
        Some(text)
    }

    /// A string with its variables replaced, which may be empty.
    pub(in crate::config) fn any_text(&mut self, item: Item<'_>) -> Option<Text> {
        let DeValue::String(string) = item.value else {
            return self.wrong_type(item, "a string");
        };
        let raw = Text {
            value: String::new(),
            span: item.span,
            verbatim: self.verbatim(item.span, string),
        };
        let value = match value::expand(string, self.env) {
            Err(fault) => return self.fault(&raw, fault),
            Ok(value) => value,
        };
        let verbatim = raw.verbatim.filter(|_| matches!(value, Cow::Borrowed(_)));
        Some(Text {
            value: value.into_owned(),
            verbatim,
            ..raw
        })
    }

    /// Where the string's content begins in the file, if it stands there without escapes.
    fn verbatim(&self, span: Span, content: &str) -> Option<usize> {
        let raw = self.source.get(span.start..span.end)?;
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") {
            3
        } else {
            1
        };
        let inner = raw.get(quotes..raw.len().checked_sub(quotes)?)?;
        // A line break right after three quotes does not belong to the string.
        let skipped = usize::from(quotes == 3 && inner.starts_with('\n'));
        (&inner[skipped..] == content).then_some(span.start + quotes + skipped)
    }

    /// A string that `parse` makes something of.
    pub(in crate::config) fn parsed<T>(
        &mut self,
        item: Item<'_>,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<At<T>> {
        let text = self.text(item)?;
        match parse(&text.value) {
            Ok(value) => Some(At {
                value,
                span: text.span,
            }),
            Err(fault) => self.fault(&text, fault),
        }
    }

    pub(in crate::config) fn name(&mut self, item: Item<'_>) -> Option<At<String>> {
        self.parsed(item, value::name)
    }

    /// A duration, which may be zero.
    pub(in crate::config) fn duration_or_zero(&mut self, item: Item<'_>) -> Option<At<Duration>> {
        if let DeValue::Integer(_) | DeValue::Float(_) = item.value {
            let number = &self.source[item.span.start..item.span.end];
            let help = match number.bytes().all(|byte| byte.is_ascii_digit()) {
                // Nobody means milliseconds by these.
                true if matches!(item.key, "grace" | "refresh") => format!("write \"{number}s\""),
                true => value::with_unit(number),
                false => "write a string such as \"200ms\" or \"30s\"".to_owned(),
            };
            let problem = Problem::error("a duration needs a unit").at(item.span);
            self.problems.push(problem.help(help));
            return None;
        }
        self.parsed(item, value::duration)
    }

    /// A duration above zero.
    pub(in crate::config) fn duration(&mut self, item: Item<'_>) -> Option<Duration> {
        let duration = self.duration_or_zero(item)?;
        if duration.value.is_zero() {
            let help = match item.key {
                "interval" | "fast_interval" | "down_interval" | "refresh" => {
                    "write how long to wait in between, such as \"2s\""
                }
                "connect" | "client" | "server" | "client_fin" | "server_fin" | "tunnel" => {
                    "leave the key out if there shall be no limit"
                }
                _ => "write a time above zero, or leave the key out",
            };
            let title = format!("`{}` may not be zero", item.key);
            self.problems
                .push(Problem::error(title).at(duration.span).help(help));
            return None;
        }
        Some(duration.value)
    }

    /// A whole number within a range.
    pub(in crate::config) fn number(
        &mut self,
        item: Item<'_>,
        range: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let DeValue::Integer(integer) = item.value else {
            return self.wrong_type(item, "a whole number");
        };
        let digits = integer.as_str();
        let value = u64::from_str_radix(digits, integer.radix()).ok();
        if let Some(value) = value.filter(|value| range.contains(value)) {
            let span = item.span;
            return Some(At { value, span });
        }
        let (least, most) = range.into_inner();
        let title = format!("`{}` must be between {least} and {most}", item.key);
        self.problems.push(Problem::error(title).at(item.span));
        None
    }

    /// A port, which some take for a string.
    pub(in crate::config) fn port(&mut self, item: Item<'_>) -> Option<u16> {
        self.number(item, 1..=65535).map(|port| port.value as u16)
    }

    pub(in crate::config) fn boolean(&mut self, item: Item<'_>) -> Option<bool> {
        match item.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(item, "`true` or `false`"),
        }
    }

    /// One of a few words.
    pub(in crate::config) fn choice<T: Copy>(
        &mut self,
        item: Item<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.choice_or(item, words, "")
    }

    /// One of a few words; `otherwise` says what else could stand here.
    pub(in crate::config) fn choice_or<T: Copy>(
        &mut self,
        item: Item<'_>,
        words: &[(&str, T)],
        otherwise: &str,
    ) -> Option<T> {
        let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let one_of = if list.len() > 1 { "one of " } else { "" };
        let forms = format!("{one_of}{}{otherwise}", list.join(", "));
        let DeValue::String(_) = item.value else {
            return self.wrong_type(item, &forms);
        };
        let text = self.text(item)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let help = match closest(&text.value, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean {word:?}?"),
            None => format!("write {forms}"),
        };
        let title = format!("{:?} is not a value of `{}`", text.value, item.key);
        self.problems
            .push(Problem::error(title).at(text.span).help(help));
        None
    }

    /// The items of a list.
    pub(in crate::config) fn list<'t>(
        &mut self,
        item: Item<'t>,
        of: &str,
    ) -> Option<Vec<Item<'t>>> {
        match item.value {
            DeValue::Array(values) => Some(elements(item, values).collect()),
            _ => self.wrong_type(item, &format!("a list of {of}")),
        }
    }

    pub(in crate::config) fn table<'t>(
        &mut self,
        item: Item<'t>,
        kind: Kind,
    ) -> Option<Fields<'t>> {
        match item.value {
            DeValue::Table(table) => Some(Fields::new(kind, item.span, table)),
            _ => self.wrong_type(item, kind.form()),
        }
    }
}

/// What a value is, with its article.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "`true`",
        DeValue::Boolean(false) => "`false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
