//! The check that asks by HTTP/1.1 (`option httpchk`).

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::finding::{Finding, describe, excerpt};
use super::target::Target;
use super::tls::TlsClient;
use crate::config::check::HttpCheck;

/// Headers larger than this are an error, as in HAProxy (`tune.bufsize`).
const HEADERS: usize = 16_384;

/// The most of a body that is searched.
const BODY: usize = 65_536;

pub(super) async fn check(
    target: &Target<'_>,
    check: &HttpCheck,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let (stream, deadline) = target.open(tls).await?;
    let request = request(check, target, tls.is_some())?;
    let what = format!("no answer to {} {}", check.method, check.path);
    deadline
        .answer(&what, exchange(TokioIo::new(stream), request, check))
        .await?
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    check: &HttpCheck,
) -> Result<Finding, Finding>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let mut client = http1::Builder::new();
    let client = client.max_buf_size(HEADERS);
    let (mut sender, connection) = client.handshake(stream).await.map_err(not_http)?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(not_http)?;
        judge(response, check).await
    };
    tokio::pin!(asked, connection);
    tokio::select! {
        biased;
        finding = &mut asked => finding,
        // It ends when the server closes, which does not spoil an answer that came before.
        _ = &mut connection => asked.await,
    }
}

fn request(
    check: &HttpCheck,
    target: &Target<'_>,
    by_tls: bool,
) -> Result<Request<Empty<Bytes>>, Finding> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = check.method.clone();
    *request.uri_mut() = check.path.clone().into();
    let host = match &check.host {
        Some(host) => host.clone(),
        None => authority(target.host, target.address, by_tls),
    };
    let host = HeaderValue::try_from(host)
        .map_err(|_| Finding::garbage("the host cannot stand in a `Host` header"))?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static("backstop"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for name in check.headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &check.headers {
        headers.append(name, value.clone());
    }
    Ok(request)
}

/// `host:port` as it stands in a `Host` header: brackets around IPv6, no default port.
fn authority(host: &str, address: SocketAddr, by_tls: bool) -> String {
    let port = address.port();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match (by_tls, port) {
        (false, 80) | (true, 443) => host,
        _ => format!("{host}:{port}"),
    }
}

async fn judge(response: Response<Incoming>, check: &HttpCheck) -> Result<Finding, Finding> {
    let status = response.status();
    let words = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    if !check.status.iter().any(|range| range.contains(&code)) {
        return Err(Finding::refused(format!("{code} {words}").trim_end()).code(code));
    }
    if let Some(wanted) = &check.body_contains {
        let body = body(response.into_body()).await?;
        if !contains(&body, wanted.as_bytes()) {
            let info = if body.is_empty() {
                format!("the body is empty and does not contain {wanted:?}")
            } else {
                format!("the body does not contain {wanted:?}: {}", excerpt(&body))
            };
            // What HAProxy says of an `expect string` that is not met.
            return Err(Finding::garbage(info).code(code));
        }
    }
    Ok(Finding::passed(words).code(code))
}

/// The beginning of the body.
async fn body(mut body: Incoming) -> Result<Vec<u8>, Finding> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(not_http)?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() >= BODY {
            bytes.truncate(BODY);
            break;
        }
    }
    Ok(bytes)
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// What went wrong with the answer; the connection stands, so it is the answer's fault.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_http(error: hyper::Error) -> Finding {
    use std::error::Error;
    let cause = error.source().and_then(|source| source.downcast_ref());
    let info = if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "the connection was closed instead of an answer".to_owned()
    } else if error.is_parse_too_large() {
        format!("the answer's headers are larger than {HEADERS} bytes")
    } else if error.is_parse() {
        format!("the answer is not HTTP: {error}")
    } else if let Some(cause) = cause {
        format!("{} instead of an answer", describe(cause))
    } else {
        error.to_string()
    };
    Finding::garbage(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(authority("web1", address(81), false), "web1:81");
        assert_eq!(authority("web1", address(80), false), "web1");
        assert_eq!(authority("web1", address(443), true), "web1");
        assert_eq!(authority("::1", address(80), true), "[::1]:80");
    }
}
