//! Posting an event to a URL.

use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::Failure;
use crate::checks::finding::describe;
use crate::checks::target::Deadline;
use crate::checks::tls::TlsClient;
use crate::config::hook::Webhook;
use crate::events::Record;

/// An answer's headers may be no larger.
const HEADERS: usize = 16_384;

/// Posts to one URL, by a connection each.
pub(super) struct Poster {
    webhook: Webhook,
    tls: Option<TlsClient>,
}

impl Poster {
    pub(super) fn new(webhook: &Webhook) -> Self {
        Self {
            webhook: webhook.clone(),
            tls: webhook.tls.as_ref().map(TlsClient::new),
        }
    }

    /// Posts an event once. Returns the answer's status.
    pub(super) async fn post(
        &self,
        hook: &str,
        record: &Record,
        limit: Duration,
    ) -> Result<String, Failure> {
        let deadline = Deadline::after(limit);
        let posted = deadline
            .wait(self.exchange(body(hook, record), deadline))
            .await;
        let status = posted.unwrap_or_else(|| Err(again(deadline.passed("no answer"))))?;
        if status.is_success() {
            return Ok(status.to_string());
        }
        // Others say that the same request will be answered the same again (RFC 9110, 15.5).
        let again = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        let info = format!("it answered {status}");
        Err(Failure { info, again })
    }

    async fn exchange(&self, body: Vec<u8>, deadline: Deadline) -> Result<StatusCode, Failure> {
        let request = self.request(body)?;
        let stream = self
            .connect()
            .await
            .map_err(|error| again(describe(&error)))?;
        match &self.tls {
            None => send(stream, request).await,
            Some(tls) => {
                let secured = tls.connect(stream, self.webhook.url.host(), deadline);
                let stream = secured.await.map_err(|finding| again(finding.info))?;
                send(stream, request).await
            }
        }
    }

    /// A connection to the first of the host's addresses that accepts one.
    async fn connect(&self) -> io::Result<TcpStream> {
        let url = &self.webhook.url;
        let mut result = Err(io::Error::other("its name has no address"));
        for address in lookup_host((url.host(), url.port())).await? {
            result = TcpStream::connect(address).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn request(&self, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
        let url = &self.webhook.url;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(url.path.reveal().clone());
        let host = HeaderValue::try_from(url.authority.as_str()).map_err(|_| Failure {
            info: "its host cannot stand in a `Host` header".to_owned(),
            again: false,
        })?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let agent = concat!("backstop/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in &self.webhook.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }
}

fn again(info: String) -> Failure {
    Failure { info, again: true }
}

/// The event as JSON, with the name of the hook.
fn body(hook: &str, record: &Record) -> Vec<u8> {
    let mut event = record.value();
    event["hook"] = Value::from(hook);
    let mut body = event.to_string().into_bytes();
    body.push(b'\n');
    body
}

/// Sends the request and waits for the status of its answer, whose body nobody reads.
async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: hyper::Error| again(format!("no answer: {error}"));
    let mut client = http1::Builder::new();
    let client = client.max_buf_size(HEADERS);
    let handshake = client.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(failed)?;
    let asked = sender.send_request(request);
    tokio::pin!(asked, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut asked => answer,
        // It ends when the receiver closes, which does not spoil an answer that came before.
        _ = &mut connection => asked.await,
    };
    answer.map(|answer| answer.status()).map_err(failed)
}
