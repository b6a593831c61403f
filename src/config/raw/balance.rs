//! `balance`, and what its words are elsewhere.

use toml::de::DeValue;

use crate::config::fields::{Item, Reader};
use crate::config::report::Problem;
use crate::config::{Balance, closest};

const WORDS: [(&str, Balance); 5] = [
    ("roundrobin", Balance::RoundRobin),
    ("leastconn", Balance::LeastConn),
    ("source", Balance::Source),
    (
        "random",
        Balance::Random {
            draws: Balance::DRAWS,
        },
    ),
    ("first", Balance::First),
];

/// What `random(N)` may draw: more is `leastconn`, made slow.
const DRAWS: std::ops::RangeInclusive<u32> = 1..=32;

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
    let draws = word
        .strip_prefix("random(")
        .and_then(|rest| rest.strip_suffix(')'));
    let draws = draws.and_then(|draws| draws.parse().ok());
    if let Some(draws) = draws.filter(|draws| DRAWS.contains(draws)) {
        return Some(Balance::Random { draws });
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
        "hash"
            if ["src", "remote_addr"]
                .iter()
                .any(|by| arguments.contains(by)) =>
        {
            "write \"source\", which is always consistent"
        }
        "ip_hash" | "RING_HASH" | "MAGLEV" => "write \"source\", which is always consistent",
        "uri" | "url_param" | "hdr" | "rdp-cookie" | "hash" => {
            "Backstop forwards bytes and does not look at them, so nothing in them can choose a server"
        }
        "random" if arguments.starts_with("two") => {
            "write \"random\": it draws two and takes the one with fewer sessions"
        }
        "random" => "write \"random\", or how many servers are drawn, 1 to 32: \"random(3)\"",
        "RANDOM" => "write \"random(1)\"",
        "least_conn" | "LEAST_REQUEST" => "write \"leastconn\"",
        "round_robin" | "ROUND_ROBIN" | "wrr" => "write \"roundrobin\"",
        _ => return None,
    };
    Some(help.to_owned())
}
