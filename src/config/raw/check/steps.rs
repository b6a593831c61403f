//! The steps of a TCP check.

use regex::bytes::Regex;

use crate::config::check::{Pattern, Secret, TcpStep};
use crate::config::fields::{Fields, Item, Reader};
use crate::config::hints::Kind;
use crate::config::report::Problem;
use crate::config::value::Fault;

const FORM: &str = "tables such as `{ send = \"PING\\r\\n\" }` and `{ expect = \"+PONG\" }`";

const ONE_KEY: &str = "write one of `connect`, `send`, `send_hex`, `expect`, `expect_hex` and \
                       `expect_regex`";

pub(super) fn steps(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<TcpStep>> {
    let items = r.list(item, FORM)?;
    if items.is_empty() {
        let problem = Problem::error("`steps` is an empty list").at(item.span);
        r.problems
            .push(problem.help("leave it out if the connection alone is enough"));
    }
    Some(items.into_iter().filter_map(|item| step(r, item)).collect())
}

fn step(r: &mut Reader<'_>, item: Item<'_>) -> Option<TcpStep> {
    let mut fields = r.table(item, Kind::Step)?;
    let given = [
        read(&mut fields, "connect", |item| {
            r.port(item).map(TcpStep::Connect)
        }),
        read(&mut fields, "send", |item| bytes(r, item, text).map(send)),
        read(&mut fields, "send_hex", |item| {
            bytes(r, item, hex).map(send)
        }),
        read(&mut fields, "expect", |item| {
            bytes(r, item, text).map(TcpStep::Expect)
        }),
        read(&mut fields, "expect_hex", |item| {
            bytes(r, item, hex).map(TcpStep::Expect)
        }),
        read(&mut fields, "expect_regex", |item| {
            r.parsed(item, regex)
                .map(|at| TcpStep::ExpectRegex(at.value))
        }),
    ];
    let count = fields.count();
    fields.finish(r);
    if count != 1 {
        let what = if count == 0 {
            "nothing"
        } else {
            "more than one thing"
        };
        let problem = Problem::error(format!("this step says {what} to do")).at(item.span);
        r.problems.push(problem.help(ONE_KEY));
        return None;
    }
    given.into_iter().flatten().next()
}

fn read<'t>(
    fields: &mut Fields<'t>,
    key: &'static str,
    read: impl FnOnce(Item<'t>) -> Option<TcpStep>,
) -> Option<TcpStep> {
    fields.read(key, read).given()
}

fn send(bytes: Vec<u8>) -> TcpStep {
    TcpStep::Send(Secret::new(bytes))
}

/// A string that may be all spaces or line breaks, but not empty.
fn bytes(
    r: &mut Reader<'_>,
    item: Item<'_>,
    parse: fn(&str) -> Result<Vec<u8>, Fault>,
) -> Option<Vec<u8>> {
    let written = r.any_text(item)?;
    match parse(&written.value) {
        Ok(bytes) if bytes.is_empty() => {
            let title = format!("`{}` is empty", item.key);
            r.problems.push(Problem::error(title).at(item.span));
            None
        }
        Ok(bytes) => Some(bytes),
        Err(fault) => r.fault(&written, fault),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "beside `hex`")]
fn text(text: &str) -> Result<Vec<u8>, Fault> {
    Ok(text.as_bytes().to_vec())
}

/// Pairs of hexadecimal digits, with or without spaces between them.
fn hex(text: &str) -> Result<Vec<u8>, Fault> {
    let fault = |title: &str| Fault {
        title: title.to_owned(),
        help: Some(
            "write two digits a byte, such as \"50494e470d0a\" or \"50 49 4e 47\"".to_owned(),
        ),
        range: None,
    };
    let digits: Option<Vec<_>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.ok_or_else(|| fault("these are not hexadecimal digits"))?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
    } else {
        Err(fault("half a byte is left over"))
    }
}

fn regex(text: &str) -> Result<Pattern, Fault> {
    Regex::new(text).map(Pattern).map_err(|error| {
        // The crate's message repeats the expression; its last line says what is wrong.
        let message = error.to_string();
        let last = message.lines().last().unwrap_or_default();
        Fault {
            title: format!(
                "this is not a regular expression: {}",
                last.trim_start_matches("error: ")
            ),
            help: Some("see https://docs.rs/regex for what it may be".to_owned()),
            range: None,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hexadecimal_bytes() {
        assert_eq!(hex("50 49\n4E47").unwrap(), b"PING");
        for wrong in ["5", "5x", "0x50", "é"] {
            assert!(hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression() {
        let title = regex("role:(master").unwrap_err().title;
        assert_eq!(title, "this is not a regular expression: unclosed group");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,24}") {
            let _ = (hex(&text), regex(&text));
        }
    }
}
