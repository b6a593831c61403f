//! Typed access to TOML tables that records mistakes instead of stopping at the first.

mod reader;

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use self::reader::Reader;
use super::hints::{self, Kind, closest};
use super::report::{Problem, Span};

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
    /// Whether it is one of a list.
    pub(super) listed: bool,
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

    /// Whether something stands under `key`, wrong or right.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` stands, if it does.
    pub(super) fn place(&self, key: &str) -> Option<Span> {
        let (key, _) = self.table.get_key_value(key)?;
        Some(key.span().into())
    }

    /// How many keys there are, known or not.
    pub(super) fn count(&self) -> usize {
        self.table.len()
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

    /// Reads what stands under `key`. If only a misspelling of it stands there, which will be
    /// told as an unknown key, the field is broken rather than absent.
    pub(super) fn read_or_misspelt<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Item<'t>) -> Option<T>,
    ) -> Field<T> {
        let misspelt = |name: &str| closest(name, std::iter::once(key)).is_some();
        match self.read(key, read) {
            Field::Absent if self.table.keys().any(|name| misspelt(name.get_ref())) => {
                Field::Broken
            }
            field => field,
        }
    }

    /// Reads what must stand under `key`.
    pub(super) fn require<'r, T>(
        &mut self,
        reader: &mut Reader<'r>,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'r>, Item<'t>) -> Option<T>,
    ) -> Field<T> {
        let field = self.read_or_misspelt(key, |item| read(reader, item));
        if reader.whole && field.is_absent() {
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
        listed: false,
    }
}

/// The items of a list, or the one that stands there without a list.
pub(super) fn one_or_list(item: Item<'_>) -> Vec<Item<'_>> {
    match item.value {
        DeValue::Array(values) => elements(item, values).collect(),
        _ => vec![item],
    }
}

fn elements<'t>(
    list: Item<'t>,
    values: &'t [Spanned<DeValue<'t>>],
) -> impl Iterator<Item = Item<'t>> {
    values.iter().map(move |value| Item {
        value: value.get_ref(),
        span: value.span().into(),
        listed: true,
        ..list
    })
}
