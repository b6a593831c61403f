//! A condition's text as tokens with their places.

use std::ops::Range;

use super::Comparison;

/// A piece of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name, number, address or keyword; keywords are words so that a backend may have their
    /// name.
    Word(&'t str),
    /// A comparison written as a symbol.
    Symbol(Comparison),
    Open,
    Close,
    Comma,
    /// `!`
    Bang,
    /// `&&`
    Ampersands,
    /// `||`
    Bars,
    /// Anything that no condition contains.
    Stray(char),
}

const SYMBOLS: [(&str, Token<'static>); 15] = [
    ("==", Token::Symbol(Comparison::Equal)),
    ("!=", Token::Symbol(Comparison::NotEqual)),
    ("<=", Token::Symbol(Comparison::LessOrEqual)),
    (">=", Token::Symbol(Comparison::GreaterOrEqual)),
    ("&&", Token::Ampersands),
    ("||", Token::Bars),
    ("=", Token::Symbol(Comparison::Equal)),
    ("<", Token::Symbol(Comparison::Less)),
    (">", Token::Symbol(Comparison::Greater)),
    ("≤", Token::Symbol(Comparison::LessOrEqual)),
    ("≥", Token::Symbol(Comparison::GreaterOrEqual)),
    ("!", Token::Bang),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

/// All tokens of the text.
pub(super) fn lex(text: &str) -> Vec<(Token<'_>, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let (token, length) = token(&text[at..], next);
        tokens.push((token, at..at + length));
        at += length;
    }
    tokens
}

fn token(rest: &str, next: char) -> (Token<'_>, usize) {
    let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
    if word > 0 {
        return (Token::Word(&rest[..word]), word);
    }
    let symbol = SYMBOLS.iter().find(|(text, _)| rest.starts_with(text));
    match symbol {
        Some(&(text, token)) => (token, text.len()),
        None => (Token::Stray(next), next.len_utf8()),
    }
}

/// The characters of names and those of addresses.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:/".contains(c)
}
