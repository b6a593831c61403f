//! `${VAR}` and `${VAR:-default}` from the environment.

use std::borrow::Cow;
use std::ops::Range;

use super::Fault;

/// The text with every variable replaced; `$$` is a dollar sign. A variable that is unset or
/// empty takes its default; without a default it is an error to be unset.
pub fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, Fault> {
    if !text.contains('$') {
        return Ok(Cow::Borrowed(text));
    }
    let mut expanded = String::new();
    let mut at = 0;
    while let Some(literal) = text[at..].find('$') {
        expanded.push_str(&text[at..at + literal]);
        at += literal;
        if text[at..].starts_with("$$") {
            expanded.push('$');
            at += 2;
        } else {
            let inner = braced(text, at)?;
            expanded.push_str(&variable(text, inner.clone(), env)?);
            at = inner.end + 1;
        }
    }
    expanded.push_str(&text[at..]);
    Ok(Cow::Owned(expanded))
}

/// Where the inside of the `${…}` that begins at `at` is.
fn braced(text: &str, at: usize) -> Result<Range<usize>, Fault> {
    if !text[at..].starts_with("${") {
        return Err(Fault::new("a `$` that stands alone")
            .help("write `${NAME}` for an environment variable, or `$$` for a dollar sign")
            .at(at..at + 1));
    }
    let start = at + 2;
    match text[start..].find('}') {
        Some(length) => Ok(start..start + length),
        None => Err(Fault::new("this `${` has no `}`").at(at..start)),
    }
}

fn variable(
    text: &str,
    inner: Range<usize>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let (name, default) = match text[inner.clone()].split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (&text[inner.clone()], None),
    };
    let range = inner.start..inner.start + name.len();
    let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| !c.is_ascii_digit());
    if !valid {
        return Err(Fault::new(format!(
            "{name:?} is not the name of an environment variable"
        ))
        .help(
            "names are made of letters, digits and `_`; a default follows as in `${NAME:-default}`",
        )
        .at(inner));
    }
    match (env(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => Err(
            Fault::new(format!("the environment variable `{name}` is not set"))
                .help(format!("set it, or give a default: `${{{name}:-default}}`"))
                .at(range),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("web1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn ok(text: &str) -> String {
        expand(text, &env).unwrap().into_owned()
    }

    #[test]
    fn variables_defaults_and_dollars() {
        assert_eq!(ok("${HOST}:${PORT:-80}"), "web1:80");
        assert_eq!(ok("${HOST:-other}"), "web1");
        assert_eq!(ok("a$$b$${HOST}"), "a$b${HOST}");
        assert_eq!(ok("[${EMPTY}][${EMPTY:-x}][${UNSET:-}]"), "[][x][]");
        assert!(matches!(expand("plain", &env), Ok(Cow::Borrowed("plain"))));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let at = |text| expand(text, &env).unwrap_err().range.unwrap();
        assert_eq!(at("x${UNSET}"), 3..8);
        assert_eq!(at("pa$word"), 2..3);
        assert_eq!(at("${HOST"), 0..2);
        assert_eq!(at("${a b}"), 2..5);
        assert_eq!(at("${}"), 2..2);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}:a é-]{0,24}") {
            let _ = expand(&text, &env);
        }
    }
}
