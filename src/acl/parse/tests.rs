use proptest::prelude::*;

use super::*;

/// The expression with its structure in brackets: `[a b]` is all, `<a b>` any, `!a` not.
fn structure(expression: &Expression) -> String {
    let each = |inner: &[Expression]| {
        let inner: Vec<_> = inner.iter().map(structure).collect();
        inner.join(" ")
    };
    match expression {
        Expression::All(inner) => format!("[{}]", each(inner)),
        Expression::Any(inner) => format!("<{}>", each(inner)),
        Expression::Not(inner) => format!("!{}", structure(inner)),
        Expression::Named(name) => name.text.clone(),
        Expression::Compare(kind, name, comparison, value, _) => {
            let (kind, comparison) = (kind.keyword(), comparison.keyword());
            format!("{kind}({}){comparison}{value}", name.text)
        }
        Expression::Port(comparison, port) => format!("port{}{port}", comparison.keyword()),
        Expression::Source(networks) => {
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            format!("src({})", networks.join(","))
        }
        Expression::ServerIsUp { backend, server } => {
            format!("up({},{})", backend.text, server.text)
        }
    }
}

fn read(text: &str) -> String {
    parse(text).map_or_else(|error| format!("{text}: {error:?}"), |e| structure(&e))
}

#[test]
fn not_binds_closer_than_and_and_that_closer_than_or() {
    assert_eq!(read("a or b and not c"), "<a [b !c]>");
    assert_eq!(read("a || b && !c"), "<a [b !c]>");
    assert_eq!(read("(a or b) and c"), "[<a b> c]");
    assert_eq!(read("not (a or b)"), "!<a b>");
    assert_eq!(read("not not a"), "!!a");
    assert_eq!(read("((a))"), "a");
}

#[test]
fn side_by_side_means_and() {
    assert_eq!(read("a b !c or d (e or f)"), "<[a b !c] [d <e f>]>");
    assert_eq!(read("nbsrv(x) lt 2 b"), "[nbsrv(x)lt2 b]");
    assert_eq!(
        read("src 10.0.0.0/8 fe80::1 local"),
        "[src(10.0.0.0/8,fe80::1/128) local]"
    );
    assert_eq!(read("dst_port 80 443 a"), "[<porteq80 porteq443> a]");
    assert_eq!(read("a not b"), "[a !b]");
}

#[test]
fn comparisons_are_words_or_symbols() {
    for (symbol, word) in [
        ("==", "eq"),
        ("=", "eq"),
        ("!=", "ne"),
        ("<", "lt"),
        ("<=", "le"),
        (">", "gt"),
        (">=", "ge"),
    ] {
        assert_eq!(
            read(&format!("nbsrv(b){symbol}2")),
            format!("nbsrv(b){word}2")
        );
        assert_eq!(
            read(&format!("dst_port {word} 80")),
            format!("port{word}80")
        );
    }
    assert_eq!(read("nbsrv(b)le 2"), "nbsrv(b)le2");
}

#[test]
fn every_test() {
    assert_eq!(read("be_conn(b) gt 10"), "be_conn(b)gt10");
    assert_eq!(read("fe_conn( f ) gt 10"), "fe_conn(f)gt10");
    assert_eq!(read("srv_is_up(b.1/s-1:80)"), "up(b.1,s-1:80)");
    assert_eq!(
        read("src 10.0.0.1, 10.1.2.3/16"),
        "src(10.0.0.1/32,10.1.0.0/16)"
    );
    assert_eq!(read("dst_port 80,443"), "<porteq80 porteq443>");
    assert_eq!(read("dst_port 443"), "porteq443");
}

#[test]
fn keywords_are_names_where_only_a_name_can_stand() {
    assert_eq!(
        read("nbsrv(and) lt 1 and fe_conn(nbsrv) lt 1"),
        "[nbsrv(and)lt1 fe_conn(nbsrv)lt1]"
    );
    assert!(is_keyword("and") && is_keyword("nbsrv") && is_keyword("le"));
    assert!(!is_keyword("local"));
}

#[test]
fn errors_point_at_what_is_wrong() {
    let at = |text: &str| parse(text).unwrap_err().range;
    assert_eq!(at(""), 0..0);
    assert_eq!(at("a and "), 5..5);
    assert_eq!(at("nbsrv(b) le x"), 12..13);
    assert_eq!(at("a (b or c"), 2..3);
    assert_eq!(at("a) or b"), 1..2);
    assert_eq!(at("src 10.0.0.300"), 4..14);
    assert_eq!(at("é"), 0..2);
    assert_eq!(at("a & b"), 2..3);
}

#[test]
fn no_depth_of_nesting_exhausts_the_stack() {
    for piece in ["(", "!", "not ", "(!", "a and ("] {
        let error = parse(&piece.repeat(100_000)).unwrap_err();
        assert!(
            error.title.starts_with("more than 64"),
            "{piece}: {error:?}"
        );
    }
    assert_eq!(read(&format!("{}a{}", "(".repeat(64), ")".repeat(64))), "a");
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn never_panics_on_what_looks_like_a_condition(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "nbsrv", "(", ")", "b", "le", "2", "and", "or", "not", "!", "&&", "||", "src",
                "10.0.0.0/8", ",", "dst_port", "srv_is_up", "b/s", "<=", "=", "/", "é", "{", " ",
            ]),
            0..16,
        ),
    ) {
        let text = words.concat();
        if let Err(error) = parse(&text) {
            prop_assert!(text.get(error.range.clone()).is_some(), "{:?}", error);
        }
        let _ = parse(&words.join(" "));
    }
}
