//! Whether a request that changes something comes from the page itself.
//!
//! A browser sends the password that it knows with every request to the page's address, whatever
//! site made it. So what another site may have made is refused, and what does not say where it
//! comes from as well.

use hyper::header::{self, AsHeaderName, HeaderMap};

/// Whether a request with these headers was made by the page at the address that it was sent to;
/// `tls` tells whether that begins with `https`.
///
/// A proxy in front of the page may speak TLS in its place, so a page without TLS takes both
/// schemes. A page with TLS does not take what a forged page without it has made.
pub fn is_own(headers: &HeaderMap, tls: bool) -> bool {
    // Browsers send it to addresses that nobody can listen in on (Fetch Metadata).
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let (Some(origin), Some(host)) = (only(headers, header::ORIGIN), only(headers, header::HOST))
    else {
        return false;
    };
    let from = match origin.split_once("://") {
        Some(("https", from)) => from,
        Some(("http", from)) if !tls => from,
        _ => return false,
    };
    !host.is_empty() && from.eq_ignore_ascii_case(host)
}

/// A header that is there once.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn is_own_by(headers: &[(&str, &'static str)], tls: bool) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_static(value));
        }
        is_own(&map, tls)
    }

    const HOST: (&str, &str) = ("host", "proxy.example:8711");
    const OWN: (&str, &str) = ("origin", "http://proxy.example:8711");
    const OWN_TLS: (&str, &str) = ("origin", "https://proxy.example:8711");

    #[test]
    fn what_the_page_made_is_its_own() {
        let site = ("sec-fetch-site", "same-origin");
        assert!(is_own_by(&[HOST, OWN], false));
        assert!(is_own_by(&[HOST, OWN, site], false));
        assert!(is_own_by(&[("host", "PROXY.example:8711"), OWN], false));
        assert!(is_own_by(&[HOST, OWN_TLS], true));
        assert!(
            is_own_by(&[HOST, OWN_TLS], false),
            "a proxy in front speaks TLS"
        );
    }

    #[test]
    fn what_another_site_made_is_refused() {
        for origin in [
            "http://evil.example",
            "http://proxy.example",
            "http://proxy.example:8712",
            "http://proxy.example:8711.evil.example",
            "http://evil.example/proxy.example:8711",
            "http://user@proxy.example:8711",
            "proxy.example:8711",
            "ftp://proxy.example:8711",
            "null",
            "",
        ] {
            assert!(!is_own_by(&[HOST, ("origin", origin)], false), "{origin}");
        }
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(
                !is_own_by(&[HOST, OWN, ("sec-fetch-site", site)], false),
                "{site}"
            );
        }
        assert!(!is_own_by(&[HOST, OWN], true), "made by a page without TLS");
    }

    #[test]
    fn what_does_not_say_where_it_comes_from_is_refused() {
        assert!(!is_own_by(&[HOST], false));
        assert!(!is_own_by(
            &[HOST, ("sec-fetch-site", "same-origin")],
            false
        ));
        assert!(!is_own_by(&[OWN], false));
        assert!(!is_own_by(&[("host", ""), ("origin", "http://")], false));
        assert!(!is_own_by(&[HOST, OWN, OWN], false));
        assert!(!is_own_by(&[HOST, HOST, OWN], false));
    }
}
