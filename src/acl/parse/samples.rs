//! One test of a condition: a sample with what it is compared with, or an ACL's name.

use std::ops::Range;

use ipnet::IpNet;

use super::{EXAMPLE, Expression, Name, Parser, SyntaxError};
use super::{comparison, is_keyword, one_or, starts_with_digit};
use crate::acl::lex::Token;
use crate::acl::{Comparison, SampleKind};
use crate::networks::network;

impl Parser<'_> {
    pub(super) fn test(&mut self) -> Result<Expression, SyntaxError> {
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
        if network(word).is_ok() {
            let form = format!("write `src {word}`");
            return Err(wrong(format!("`{word}` alone is not a test"), &form));
        }
        if word.contains('/') || starts_with_digit(word) {
            return Err(wrong(format!("`{word}` is not a test"), EXAMPLE));
        }
        // With a space in between, what follows is a group beside the ACL.
        if self.peek() == Some(Token::Open) && self.here().start == range.end {
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
