//! From a condition's text to an [`Expression`], whose names are not looked up yet.
//!
//! ```text
//! condition = all { ("or" | "||") all }
//! all       = one { ["and" | "&&"] one }
//! one       = ("not" | "!") one | "(" condition ")" | test
//! test      = ("nbsrv" | "be_conn" | "fe_conn") "(" NAME ")" comparison NUMBER
//!           | "dst_port" (comparison PORT | PORT { [","] PORT })
//!           | "src" ADDRESS { [","] ADDRESS }
//!           | "srv_is_up" "(" BACKEND "/" SERVER ")"
//!           | NAME of an ACL
//! ```
//!
//! Samples and the meaning of two tests side by side are HAProxy's (configuration.txt, "Using
//! ACLs to form conditions"); `and`, `or`, parentheses and comparisons as symbols are added.

mod samples;

use std::ops::Range;

use ipnet::IpNet;

use super::lex::{Token, lex};
use super::{Comparison, SampleKind};

/// How deep parentheses and `not` may be nested, so that no text can exhaust the stack.
const DEEPEST: u32 = 64;

const EXAMPLE: &str = "a condition is one such as `nbsrv(BACKEND) lt 2`, `src 10.0.0.0/8`, \
                       `dst_port 443`, `srv_is_up(BACKEND/SERVER)` or the name of an ACL";

/// A condition as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// All of them hold.
    All(Vec<Expression>),
    /// At least one holds.
    Any(Vec<Expression>),
    /// The inner one does not hold.
    Not(Box<Expression>),
    /// An ACL by its name.
    Named(Name),
    /// A sample that belongs to a backend or frontend, compared with a number.
    Compare(SampleKind, Name, Comparison, u64, Range<usize>),
    /// The port that the client connected to, compared with a number.
    Port(Comparison, u16),
    /// The client's address is in one of the networks.
    Source(Vec<IpNet>),
    /// A server is up.
    ServerIsUp {
        /// The server's backend.
        backend: Name,
        /// The server.
        server: Name,
    },
}

/// A name in a condition and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// As written.
    pub text: String,
    /// Bytes of the condition's text.
    pub range: Range<usize>,
}

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong, in one line.
    pub title: String,
    /// Bytes of the condition's text.
    pub range: Range<usize>,
    /// What to write instead.
    pub help: String,
}

/// Words that mean something in a condition, so that no ACL can have their name.
pub fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "and" | "or" | "not" | "src" | "dst_port" | "srv_is_up"
    ) || SampleKind::of(word).is_some()
        || comparison(word).is_some()
}

/// Reads a condition. Never panics and never recurses more than a bounded number of times,
/// whatever the text.
pub fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let mut parser = Parser {
        tokens: lex(text),
        next: 0,
        end: text.trim_end().len(),
    };
    let expression = parser.condition(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(Token::Close) => Err(parser.error("this `)` closes nothing", "remove it")),
        Some(_) => Err(parser.unexpected("expected `and`, `or` or the end", EXAMPLE)),
    }
}

struct Parser<'t> {
    tokens: Vec<(Token<'t>, Range<usize>)>,
    next: usize,
    /// Where the text ends, for what is missing there.
    end: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).map(|(token, _)| *token)
    }

    /// The place of the next token, or of the end.
    fn here(&self) -> Range<usize> {
        let token = self.tokens.get(self.next);
        token.map_or(self.end..self.end, |(_, range)| range.clone())
    }

    fn accept(&mut self, wanted: &[Token<'_>]) -> bool {
        let found = self.peek().is_some_and(|token| wanted.contains(&token));
        self.next += usize::from(found);
        found
    }

    fn word(&mut self) -> Option<(&'t str, Range<usize>)> {
        match self.tokens.get(self.next) {
            Some((Token::Word(word), range)) => {
                self.next += 1;
                Some((word, range.clone()))
            }
            _ => None,
        }
    }

    fn error(&self, title: impl Into<String>, help: impl Into<String>) -> SyntaxError {
        SyntaxError {
            title: title.into(),
            range: self.here(),
            help: help.into(),
        }
    }

    /// An error at the next token, with what is known of mistakes that begin with it.
    fn unexpected(&self, expected: &str, help: &str) -> SyntaxError {
        match self.peek() {
            None => self.error(format!("the condition ends too early: {expected}"), help),
            Some(Token::Stray('{' | '}')) => self.error(
                "braces do not belong in a condition",
                "a test needs no `{ }` around it; to group tests, write parentheses",
            ),
            Some(Token::Stray(c)) => {
                self.error(format!("{c:?} does not belong in a condition"), help)
            }
            Some(_) => self.error(expected, help),
        }
    }

    fn condition(&mut self, depth: u32) -> Result<Expression, SyntaxError> {
        if depth > DEEPEST {
            return Err(self.error(
                format!("more than {DEEPEST} parentheses and negations inside each other"),
                "give parts of the condition names of their own, as ACLs",
            ));
        }
        let mut any = vec![self.all(depth)?];
        while self.accept(&[Token::Bars, Token::Word("or")]) {
            any.push(self.all(depth)?);
        }
        Ok(one_or(any, Expression::Any))
    }

    fn all(&mut self, depth: u32) -> Result<Expression, SyntaxError> {
        let mut all = vec![self.one(depth)?];
        while self.accept(&[Token::Ampersands, Token::Word("and")]) || self.at_test() {
            all.push(self.one(depth)?);
        }
        Ok(one_or(all, Expression::All))
    }

    /// Whether another test follows with nothing in between.
    fn at_test(&self) -> bool {
        match self.peek() {
            Some(Token::Word(word)) => {
                word != "or" && comparison(word).is_none() && !starts_with_digit(word)
            }
            Some(Token::Open | Token::Bang) => true,
            _ => false,
        }
    }

    fn one(&mut self, depth: u32) -> Result<Expression, SyntaxError> {
        if self.accept(&[Token::Bang, Token::Word("not")]) {
            // The depth is checked where parentheses are; negations alone need it too.
            if depth >= DEEPEST {
                return self.condition(DEEPEST + 1);
            }
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.peek() == Some(Token::Open) {
            let opened = self.here();
            self.next += 1;
            let inner = self.condition(depth + 1)?;
            return match self.accept(&[Token::Close]) {
                true => Ok(inner),
                false if self.peek().is_none() => Err(SyntaxError {
                    title: "this `(` is never closed".to_owned(),
                    range: opened,
                    help: "add `)` where the group ends".to_owned(),
                }),
                false => Err(self.unexpected("expected `and`, `or` or `)`", EXAMPLE)),
            };
        }
        self.test()
    }
}

fn one_or(
    mut expressions: Vec<Expression>,
    several: fn(Vec<Expression>) -> Expression,
) -> Expression {
    match expressions.len() {
        1 => expressions.swap_remove(0),
        _ => several(expressions),
    }
}

fn comparison(word: &str) -> Option<Comparison> {
    Comparison::ALL.into_iter().find(|c| c.keyword() == word)
}

fn starts_with_digit(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
