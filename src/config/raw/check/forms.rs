//! What may stand in the settings of checks.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use toml::de::DeValue;

use crate::config::check::CaFile;
use crate::config::fields::{Item, Reader, entries, one_or_list};
use crate::config::report::Problem;
use crate::config::value::Fault;

/// More than this is no file of CA certificates; those of all the web's are 250 KiB.
const CA_FILE: u64 = 16 * 1024 * 1024;

fn fault(title: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault {
        title: title.into(),
        help: Some(help.into()),
        range: None,
    }
}

pub(super) fn source(text: &str) -> Result<IpAddr, Fault> {
    let help = "write an address of this machine without a port, such as \"10.0.0.9\"";
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Err(fault(
            "this is no particular address",
            "leave `source` out for any address",
        )),
        Ok(ip) => Ok(ip),
        Err(_) => Err(fault("this is not an IP address", help)),
    }
}

pub(super) fn server_name(text: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        fault(
            "this is not a host name",
            "write a name such as \"db.example.org\"",
        )
    })
}

pub(in crate::config::raw) fn ca_file(text: &str) -> Result<CaFile, Fault> {
    let form = "name a file of CA certificates in PEM, such as \"/etc/ssl/certs/internal-ca.pem\"";
    let mut pem = Vec::new();
    File::open(text)
        .and_then(|file| file.take(CA_FILE).read_to_end(&mut pem))
        .map_err(|error| fault(format!("this file cannot be read: {error}"), form))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(CaFile {
            path: PathBuf::from(text),
            certificates,
        }),
        Ok(_) => Err(fault("there is no certificate in this file", form)),
        Err(error) => Err(fault(format!("this file is not PEM: {error}"), form)),
    }
}

pub(super) fn method(text: &str) -> Result<Method, Fault> {
    let method = Method::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| text == text.to_uppercase());
    method.ok_or_else(|| {
        fault(
            "this is not an HTTP method",
            "write \"GET\" or \"HEAD\" or the like",
        )
    })
}

pub(super) fn path(text: &str) -> Result<PathAndQuery, Fault> {
    let help = "write what follows the host, such as \"/health?full=1\"";
    if !text.starts_with('/') {
        return Err(fault("a path begins with `/`", help));
    }
    text.parse().map_err(|_| fault("this is not a path", help))
}

/// The value of a `Host` header.
pub(super) fn host_header(text: &str) -> Result<String, Fault> {
    let authority = text.parse::<hyper::http::uri::Authority>();
    match authority {
        Ok(_) if !text.contains('@') => Ok(text.to_owned()),
        _ => Err(fault(
            "this is not a host",
            "write a name, with a port if it is not the usual one; a check of another address has \
             `address`",
        )),
    }
}

pub(super) fn domain(text: &str) -> Result<String, Fault> {
    if text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(fault(
            "this is not a domain",
            "write a name such as \"proxy.example.org\"",
        ))
    }
}

pub(in crate::config::raw) fn no_zero_byte(text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        Err(fault("a zero byte may not stand here", "remove `\\u0000`"))
    } else {
        Ok(text.to_owned())
    }
}

pub(in crate::config::raw) fn arguments(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<String>> {
    let items = r.list(item, "strings")?;
    let argument = |item| {
        let text = r.any_text(item)?;
        match no_zero_byte(&text.value) {
            Ok(argument) => Some(argument),
            Err(fault) => r.fault(&text, fault),
        }
    };
    Some(items.into_iter().filter_map(argument).collect())
}

pub(in crate::config::raw) fn headers(r: &mut Reader<'_>, item: Item<'_>) -> Option<HeaderMap> {
    let DeValue::Table(table) = item.value else {
        return r.wrong_type(item, "a table such as `{ X-Check = \"backstop\" }`");
    };
    let mut headers = HeaderMap::new();
    for item in entries(table) {
        let name = HeaderName::from_bytes(item.key.as_bytes());
        if name.is_err() {
            let title = format!("`{}` is not the name of a header", item.key);
            r.problems.push(Problem::error(title).at(item.key_span));
        }
        if let (Ok(name), Some(value)) = (name, r.parsed(item, header_value)) {
            headers.append(name, value.value);
        }
    }
    Some(headers)
}

fn header_value(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        fault(
            "a header may not hold line breaks or control characters",
            "remove them",
        )
    })?;
    // It may be a password or a token.
    value.set_sensitive(true);
    Ok(value)
}

/// `200`, `"200-399"`, `"200,204"`, or a list of them.
pub(super) fn statuses(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let mut ranges = Vec::new();
    for item in one_or_list(item) {
        match item.value {
            DeValue::Integer(_) => {
                let code = r.number(item, 100..=599)?.value as u16;
                ranges.push(code..=code);
            }
            _ => ranges.extend(r.parsed(item, status_ranges)?.value),
        }
    }
    if ranges.is_empty() {
        let problem = Problem::error("`status` is an empty list").at(item.span);
        r.problems
            .push(problem.help("write what passes, such as \"200-399\""));
        return None;
    }
    Some(ranges)
}

fn status_ranges(text: &str) -> Result<Vec<RangeInclusive<u16>>, Fault> {
    let wrong = || {
        fault(
            "these are not HTTP status codes",
            "write codes from 100 to 599 and ranges, such as \"200-399\" or \"200,204\"",
        )
    };
    let code = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|code| (100..=599).contains(code))
    };
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (code(first)?, code(last)?);
        (first <= last).then_some(first..=last)
    };
    text.split(',')
        .map(|part| range(part).ok_or_else(wrong))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn status_codes() {
        assert_eq!(status_ranges("200-399").unwrap(), [200..=399]);
        assert_eq!(
            status_ranges("200, 204,300-399").unwrap(),
            [200..=200, 204..=204, 300..=399]
        );
        for wrong in [
            "", "99", "600", "399-200", "2xx", "200-", "-200", "200,,204",
        ] {
            assert!(status_ranges(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_and_paths() {
        assert!(host_header("app.example.org:8080").is_ok());
        assert!(host_header("[::1]:80").is_ok());
        for wrong in ["a b", "user@host", "http://x", "a\r\nb"] {
            assert!(host_header(wrong).is_err(), "{wrong}");
        }
        assert!(path("/health?x=1").is_ok());
        for wrong in ["health", "http://x/", "/a b", "/a\r\n"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert!(method("get").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,24}") {
            let _ = (status_ranges(&text), host_header(&text), path(&text), method(&text));
            let _ = (header_value(&text), server_name(&text), source(&text), domain(&text));
        }
    }
}
