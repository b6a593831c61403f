//! `balance`, and what its words are elsewhere.

use toml::de::DeValue;

use crate::config::fields::{Item, Reader};
use crate::config::report::Problem;
use crate::config::{Balance, closest};

const WORDS: [(&str, Balance); 2] = [
    ("roundrobin", Balance::RoundRobin),
    ("leastconn", Balance::LeastConn),
];

/// How a backend chooses a server.
pub(super) fn balance(r: &mut Reader<'_>, item: Item<'_>) -> Option<Balance> {
    let words = WORDS.map(|(word, _)| format!("{word:?}"));
    let forms = format!("one of {}", words.join(", "));
    let DeValue::String(_) = item.value else {
        return r.wrong_type(item, &forms);
    };
    let text = r.text(item)?;
    let word = text.value.as_str();
    if let Some((_, balance)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Some(*balance);
    }
    let help = elsewhere(word).unwrap_or_else(|| {
        match closest(word, WORDS.iter().map(|(known, _)| *known)) {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!("write {forms}"),
        }
    });
    let title = format!("{word:?} is not a value of `balance`");
    r.problems
        .push(Problem::error(title).at(text.span).help(help));
    None
}

/// What a word of HAProxy (configuration.txt, "balance"), nginx or Envoy is here, or why it is
/// not here.
fn elsewhere(word: &str) -> Option<String> {
    let (name, arguments) = word.split_once([' ', '(']).unwrap_or((word, ""));
    let help = match name {
        "static-rr" => "write \"roundrobin\": its weights may change at any time",
        "uri" | "url_param" | "hdr" | "rdp-cookie" | "hash" if !arguments.contains("src") => {
            "Backstop forwards bytes and does not look at them, so nothing in them can choose a server"
        }
        "least_conn" | "LEAST_REQUEST" => "write \"leastconn\"",
        "round_robin" | "ROUND_ROBIN" | "wrr" => "write \"roundrobin\"",
        _ => return None,
    };
    Some(help.to_owned())
}
