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
//! Samples and the meaning of two tests side by side are `HAProxy`'s (configuration.txt, "Using
//! ACLs to form conditions"); `and`, `or`, parentheses and comparisons as symbols are added.

use std::ops::Range;

use ipnet::IpNet;

use super::lex::{Token, lex};
use super::networks::network;
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

    fn test(&mut self) -> Result<Expression, SyntaxError> {
        let Some((word, range)) = self.word() else {
            return Err(self.unexpected("expected a test", EXAMPLE));
        };
        if let Some(kind) = SampleKind::of(word) {
            return self.compare(kind);
        }
        match word {
            "dst_port" => self.ports(),
            "src" => self.source(),
            "srv_is_up" => self.server_is_up(),
            _ => self.named(word, range),
        }
    }

    fn named(&mut self, word: &str, range: Range<usize>) -> Result<Expression, SyntaxError> {
        let wrong = |title: String, help: &str| SyntaxError {
            title,
            range: range.clone(),
            help: help.to_owned(),
        };
        if is_keyword(word) {
            return Err(wrong(format!("`{word}` cannot begin a test"), EXAMPLE));
        }
        if word.contains('/') || starts_with_digit(word) {
            return Err(wrong(format!("`{word}` is not a test"), EXAMPLE));
        }
        if self.peek() == Some(Token::Open) {
            let known = "known are `nbsrv`, `be_conn`, `fe_conn`, `srv_is_up`, `src`, `dst_port`";
            return Err(wrong(format!("there is no test called `{word}`"), known));
        }
        Ok(Expression::Named(Name {
            text: word.to_owned(),
            range,
        }))
    }

    /// What stands in the parentheses after a sample.
    fn argument(&mut self, sample: &str, what: &str) -> Result<Name, SyntaxError> {
        let form = format!("write `{sample}({what})`");
        if !self.accept(&[Token::Open]) {
            return Err(self.unexpected(&format!("expected `(` after `{sample}`"), &form));
        }
        let Some((word, range)) = self.word() else {
            return Err(self.unexpected("expected a name", &form));
        };
        if !self.accept(&[Token::Close]) {
            return Err(self.unexpected("expected `)` after the name", &form));
        }
        Ok(Name {
            text: word.to_owned(),
            range,
        })
    }

    fn compare(&mut self, kind: SampleKind) -> Result<Expression, SyntaxError> {
        let sample = kind.keyword();
        let name = self.argument(sample, kind.argument())?;
        let form = format!("write `{sample}({}) le 2` or `… <= 2`", name.text);
        let Some(comparison) = self.comparison() else {
            return Err(self.unexpected("expected a comparison", &form));
        };
        let range = self.here();
        let value = self.number(u64::MAX, &form)?;
        Ok(Expression::Compare(kind, name, comparison, value, range))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let found = match self.peek()? {
            Token::Symbol(comparison) => comparison,
            Token::Word(word) => comparison(word)?,
            _ => return None,
        };
        self.next += 1;
        Some(found)
    }

    fn number(&mut self, largest: u64, form: &str) -> Result<u64, SyntaxError> {
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.unexpected("expected a number", form));
        };
        let number = word.parse::<u64>().ok().filter(|n| *n <= largest);
        match number.filter(|_| starts_with_digit(word)) {
            Some(number) => {
                self.next += 1;
                Ok(number)
            }
            None if word.bytes().all(|b| b.is_ascii_digit()) => {
                Err(self.error(format!("{word} is too large"), form))
            }
            None => Err(self.error(format!("`{word}` is not a whole number from 0"), form)),
        }
    }

    fn port(&mut self) -> Result<u16, SyntaxError> {
        let form = "write `dst_port 443`, `dst_port 80 443` or `dst_port ge 8000`";
        if matches!(self.peek(), Some(Token::Word(w)) if w.contains([':', '-']) && starts_with_digit(w))
        {
            let range = "write `dst_port ge FIRST and dst_port le LAST`";
            return Err(self.error("a range of ports is written as two comparisons", range));
        }
        match self.number(65535, form) {
            Ok(0) => {
                self.next -= 1;
                Err(self.error("there is no port 0", form))
            }
            port => port.map(|port| port as u16),
        }
    }

    fn ports(&mut self) -> Result<Expression, SyntaxError> {
        if let Some(comparison) = self.comparison() {
            return Ok(Expression::Port(comparison, self.port()?));
        }
        let mut any = vec![Expression::Port(Comparison::Equal, self.port()?)];
        while self.accept(&[Token::Comma]) || self.at_digit() {
            any.push(Expression::Port(Comparison::Equal, self.port()?));
        }
        Ok(one_or(any, Expression::Any))
    }

    fn at_digit(&self) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if starts_with_digit(word))
    }

    fn source(&mut self) -> Result<Expression, SyntaxError> {
        let mut networks = vec![self.network()?];
        while self.accept(&[Token::Comma]) || self.at_network() {
            networks.push(self.network()?);
        }
        Ok(Expression::Source(networks))
    }

    fn at_network(&self) -> bool {
        let looks_like_one = |word: &str| starts_with_digit(word) || word.contains('/');
        matches!(self.peek(), Some(Token::Word(w)) if looks_like_one(w) || network(w).is_ok())
    }

    fn network(&mut self) -> Result<IpNet, SyntaxError> {
        let form = "write `src 10.0.0.0/8`, or several: `src 10.0.0.0/8 2001:db8::/32`";
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.unexpected("expected an address", form));
        };
        let network = network(word).map_err(|title| self.error(title, form))?;
        self.next += 1;
        Ok(network)
    }

    fn server_is_up(&mut self) -> Result<Expression, SyntaxError> {
        let Name { text, range } = self.argument("srv_is_up", "BACKEND/SERVER")?;
        let Some((backend, server)) = text.split_once('/') else {
            return Err(SyntaxError {
                title: "expected a backend and a server".to_owned(),
                range,
                help: format!("write `srv_is_up(BACKEND/SERVER)`, not only `{text}`"),
            });
        };
        let slash = range.start + backend.len();
        Ok(Expression::ServerIsUp {
            backend: Name {
                text: backend.to_owned(),
                range: range.start..slash,
            },
            server: Name {
                text: server.to_owned(),
                range: slash + 1..range.end,
            },
        })
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
