//! Typed access to TOML tables that records mistakes instead of stopping at the first.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::hints::{self, Kind, closest};
use super::report::{Problem, Span};
use super::value::{self, Fault};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// What a table says under one key.
#[derive(Debug, Clone)]
pub(super) enum Field<T> {
    /// Nothing.
    Absent,
    /// Something wrong, which was recorded.
    Broken,
    /// A value.
    Given(T),
}

impl<T> Field<T> {
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Broken => None,
        }
    }

    pub(super) fn as_ref(&self) -> Field<&T> {
        match self {
            Self::Absent => Field::Absent,
            Self::Broken => Field::Broken,
            Self::Given(value) => Field::Given(value),
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A string after its variables were replaced.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) value: String,
    /// The whole string, quotes included.
    pub(super) span: Span,
    /// Where its first byte stands, if every byte of `value` stands in the file as it is.
    verbatim: Option<usize>,
}

impl Text {
    /// Where a part of the value stands; the whole string if escapes or variables moved it.
    pub(super) fn part(&self, range: &Range<usize>) -> Span {
        match self.verbatim {
            Some(start) => Span {
                start: start + range.start,
                end: start + range.end,
            },
            None => self.span,
        }
    }
}

/// A value of a table or list that is not read yet.
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    /// The key that it, or its list, stands under.
    pub(super) key: &'t str,
    pub(super) key_span: Span,
    pub(super) value: &'t DeValue<'t>,
    pub(super) span: Span,
}

/// Reads values; what every reading step shares.
pub(super) struct Reader<'r> {
    source: &'r str,
    env: &'r dyn Fn(&str) -> Option<String>,
    /// Whether all of the file could be read; else what seems to be missing may only be unread.
    whole: bool,
    pub(super) problems: Vec<Problem>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(
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
    pub(super) fn wrong_type<T>(&mut self, item: Item<'_>, wanted: &str) -> Option<T> {
        let found = found(item.value);
        let mut problem = Problem::error(format!("`{}` must be {wanted}, not {found}", item.key))
            .at(item.span)
            .label(format!("this is {found}"));
        if let Some(help) = hints::wrong_type(item.key, item.value) {
            problem = problem.help(help);
        }
        self.problems.push(problem);
        None
    }

    pub(super) fn fault<T>(&mut self, text: &Text, fault: Fault) -> Option<T> {
        let span = fault.range.map_or(text.span, |range| text.part(&range));
        let problem = Problem::error(fault.title).at(span);
        self.problems.push(match fault.help {
            Some(help) => problem.help(help),
            None => problem,
        });
        None
    }

    /// A string that is not empty, with its variables replaced.
    pub(super) fn text(&mut self, item: Item<'_>) -> Option<Text> {
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
            Ok(value) if value.trim().is_empty() => {
                let what = match value.is_empty() && string.is_empty() {
                    true => "is empty",
                    false => "is empty once its variables are replaced and spaces left out",
                };
                let title = format!("`{}` {what}", item.key);
                self.problems.push(Problem::error(title).at(item.span));
                return None;
            }
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
        (inner == content).then_some(span.start + quotes)
    }

    /// A string that `parse` makes something of.
    pub(super) fn parsed<T>(
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

    pub(super) fn name(&mut self, item: Item<'_>) -> Option<At<String>> {
        self.parsed(item, value::name)
    }

    /// A duration, which may be zero.
    pub(super) fn duration_or_zero(&mut self, item: Item<'_>) -> Option<At<Duration>> {
        if let DeValue::Integer(_) | DeValue::Float(_) = item.value {
            let number = &self.source[item.span.start..item.span.end];
            let fault = value::unitless(number);
            let problem = Problem::error(fault.title).at(item.span);
            self.problems.push(match fault.help {
                Some(help) if number.bytes().all(|b| b.is_ascii_digit()) => problem.help(help),
                _ => problem.help("write a string such as \"200ms\" or \"30s\""),
            });
            return None;
        }
        self.parsed(item, value::duration)
    }

    /// A duration above zero.
    pub(super) fn duration(&mut self, item: Item<'_>) -> Option<Duration> {
        let duration = self.duration_or_zero(item)?;
        if duration.value.is_zero() {
            let help = match item.key {
                "interval" | "fast_interval" | "down_interval" | "refresh" => {
                    "write how long to wait in between, such as \"2s\""
                }
                _ => "leave the key out if there shall be no limit",
            };
            let title = format!("`{}` may not be zero", item.key);
            self.problems
                .push(Problem::error(title).at(duration.span).help(help));
            return None;
        }
        Some(duration.value)
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, item: Item<'_>, range: RangeInclusive<u64>) -> Option<At<u64>> {
        let DeValue::Integer(integer) = item.value else {
            return self.wrong_type(item, "a whole number");
        };
        let digits = integer.as_str();
        let value = u64::from_str_radix(digits, integer.radix()).ok();
        match value.filter(|value| range.contains(value)) {
            Some(value) => Some(At {
                value,
                span: item.span,
            }),
            None => {
                let (least, most) = range.into_inner();
                let title = format!("`{}` must be between {least} and {most}", item.key);
                self.problems.push(Problem::error(title).at(item.span));
                None
            }
        }
    }

    /// A port, which some take for a string.
    pub(super) fn port(&mut self, item: Item<'_>) -> Option<u16> {
        self.number(item, 1..=65535).map(|port| port.value as u16)
    }

    pub(super) fn boolean(&mut self, item: Item<'_>) -> Option<bool> {
        match item.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(item, "`true` or `false`"),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, item: Item<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(item)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let help = match closest(&text.value, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean {word:?}?"),
            None => format!("write {}", list.join(" or ")),
        };
        let title = format!("{:?} is not a value of `{}`", text.value, item.key);
        self.problems
            .push(Problem::error(title).at(text.span).help(help));
        None
    }

    /// The items of a list.
    pub(super) fn list<'t>(&mut self, item: Item<'t>, of: &str) -> Option<Vec<Item<'t>>> {
        match item.value {
            DeValue::Array(values) => Some(elements(item, values).collect()),
            _ => self.wrong_type(item, &format!("a list of {of}")),
        }
    }

    /// The items of a list, or the one that stands there without a list.
    pub(super) fn one_or_list<'t>(&mut self, item: Item<'t>) -> Vec<Item<'t>> {
        match item.value {
            DeValue::Array(values) => elements(item, values).collect(),
            _ => vec![item],
        }
    }

    pub(super) fn table<'t>(&mut self, item: Item<'t>, kind: Kind) -> Option<Fields<'t>> {
        match item.value {
            DeValue::Table(table) => Some(Fields::new(kind, item.span, table)),
            _ => self.wrong_type(item, kind.form()),
        }
    }
}

fn elements<'t>(
    list: Item<'t>,
    values: &'t [Spanned<DeValue<'t>>],
) -> impl Iterator<Item = Item<'t>> {
    values.iter().map(move |value| Item {
        value: value.get_ref(),
        span: value.span().into(),
        ..list
    })
}

/// What a value is, with its article.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table of which fixed keys are read.
pub(super) struct Fields<'t> {
    kind: Kind,
    pub(super) span: Span,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    pub(super) fn new(kind: Kind, span: Span, table: &'t DeTable<'t>) -> Self {
        Self {
            kind,
            span,
            table,
            known: Vec::new(),
        }
    }

    fn item(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some(item(name, value))
    }

    /// Reads what stands under `key`.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Item<'t>) -> Option<T>,
    ) -> Field<T> {
        match self.item(key) {
            None => Field::Absent,
            Some(item) => read(item).map_or(Field::Broken, Field::Given),
        }
    }

    /// Reads what must stand under `key`.
    pub(super) fn require<'r, T>(
        &mut self,
        reader: &mut Reader<'r>,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'r>, Item<'t>) -> Option<T>,
    ) -> Field<T> {
        let field = self.read(key, |item| read(reader, item));
        // Under another spelling it is an unknown key, which is told already.
        let misspelt = |name: &str| closest(name, [key].into_iter()).is_some();
        if reader.whole
            && field.is_absent()
            && !self.table.keys().any(|name| misspelt(name.get_ref()))
        {
            let problem = Problem::error(format!("{} has no `{key}`", self.kind.subject()))
                .at(self.span)
                .help(format!("add `{}`", self.kind.example(key)));
            reader.problems.push(problem);
        }
        field
    }

    /// Records every key that was not asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        let unknown = |name: &str| !self.known.contains(&name);
        for (key, value) in self.table {
            if unknown(key.get_ref()) {
                let item = item(key, value);
                reader
                    .problems
                    .push(hints::unknown_key(self.kind, item.key, &self.known).at(item.key_span));
            }
        }
    }
}

/// The entries of a table whose keys are names of the user's choice, in the order of the file.
pub(super) fn entries<'t>(table: &'t DeTable<'t>) -> Vec<Item<'t>> {
    let mut items: Vec<_> = table.iter().map(|(key, value)| item(key, value)).collect();
    // A table that is opened again after one of its inner tables has moved to the end.
    items.sort_by_key(|item| item.key_span);
    items
}

fn item<'t>(key: &'t Spanned<Cow<'t, str>>, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
    Item {
        key: key.get_ref(),
        key_span: key.span().into(),
        value: value.get_ref(),
        span: value.span().into(),
    }
}
