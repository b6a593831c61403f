//! One request to one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode, http};

use super::auth::{Gate, Verdict, challenge};
use super::body::Pieces;
use super::health::Point;
use super::metrics::Exposition;
use super::refusals::Refusals;
use super::rows::Selection;
use super::style::STYLE;
use super::view::{Format, Resource, View};
use super::{Report, Running, csv, json, metrics, page};
use crate::config::StatsConfig;

/// An answer's body.
pub type Body = Either<Full<Bytes>, Pieces>;

/// Everything that answers are made from.
#[derive(Debug)]
pub struct Site {
    settings: Arc<StatsConfig>,
    running: Running,
    gate: Gate,
    challenge: HeaderValue,
    /// Those of every answer.
    headers: HeaderMap,
    /// Who was refused.
    pub refusals: Refusals,
}

impl Site {
    /// The site of a running proxy.
    pub fn new(settings: Arc<StatsConfig>, running: Running) -> Self {
        Self {
            gate: Gate::new(settings.auth.as_ref()),
            challenge: challenge(&settings.realm),
            headers: strict_headers(),
            refusals: Refusals::default(),
            settings,
            running,
        }
    }

    /// Answers a request of `peer`. The request's body is never read.
    pub fn answer(&self, request: &http::request::Parts, peer: SocketAddr) -> Response<Body> {
        let mut response = self.respond(request, peer);
        response.headers_mut().extend(self.headers.clone());
        response
    }

    fn respond(&self, request: &http::request::Parts, peer: SocketAddr) -> Response<Body> {
        let target = request.uri.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let resource = Resource::of(target, &self.settings.uri);
        if !resource.is_some_and(Resource::is_open)
            && let Some(refusal) = self.refusal(request, peer)
        {
            return refusal;
        }
        let Some(resource) = resource else {
            let place = format!("The stats page is at {}\n", self.settings.uri);
            return text(StatusCode::NOT_FOUND, place);
        };
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let refusal = "Only GET and HEAD are answered here.\n";
            let response = text(StatusCode::METHOD_NOT_ALLOWED, refusal.into());
            let allowed = HeaderValue::from_static("GET, HEAD");
            return with(response, header::ALLOW, allowed);
        }
        self.resource(resource, request.headers.get(header::ACCEPT))
    }

    /// The answer to who may not ask; `None` to who may.
    fn refusal(&self, request: &http::request::Parts, peer: SocketAddr) -> Option<Response<Body>> {
        match self.gate.judge(request.headers.get(header::AUTHORIZATION)) {
            Verdict::Allowed => return None,
            Verdict::NothingOffered => {}
            Verdict::Wrong => {
                self.refusals
                    .tell(format_args!("{peer}: wrong user name or password"));
            }
        }
        Some(self.unauthorized())
    }

    fn resource(&self, resource: Resource, accept: Option<&HeaderValue>) -> Response<Body> {
        let running = self.running.latest();
        match resource {
            Resource::Page(view) => self.view(view),
            Resource::Metrics => {
                let form = Exposition::wanted(accept);
                long(form.media_type(), metrics::pieces(running, form))
            }
            Resource::Events(after) => long(JSON, json::events(&running.journal, after)),
            Resource::Health => text(StatusCode::OK, "alive\n".into()),
            Resource::Readiness => {
                let point = running.readiness.point();
                let status = match point {
                    Point::Ready => StatusCode::OK,
                    Point::Starting | Point::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                };
                text(status, format!("{}\n", point.word()))
            }
        }
    }

    fn view(&self, view: View) -> Response<Body> {
        let (topology, now) = (self.running.latest().topology, Instant::now());
        let selection = Selection {
            view,
            ..Selection::all(Arc::clone(&topology), now)
        };
        match view.format {
            // As in HAProxy: browsers show plain text instead of saving it.
            Format::Csv => return long("text/plain; charset=utf-8", csv::pieces(selection)),
            Format::Json => return long(JSON, json::pieces(selection)),
            Format::Html => {}
        }
        let report = Report {
            topology,
            settings: self.settings.clone(),
            view,
            now,
        };
        long("text/html; charset=utf-8", page::pieces(report))
    }

    fn unauthorized(&self) -> Response<Body> {
        let refusal = "The stats page needs a user name and a password.\n";
        let response = text(StatusCode::UNAUTHORIZED, refusal.into());
        with(response, header::WWW_AUTHENTICATE, self.challenge.clone())
    }
}

const JSON: &str = "application/json";

/// An answer that is written while it is sent.
fn long(
    kind: &'static str,
    pieces: impl Iterator<Item = String> + Send + 'static,
) -> Response<Body> {
    let response = Response::new(Either::Right(Pieces::new(pieces)));
    let kind = HeaderValue::from_static(kind);
    with(response, header::CONTENT_TYPE, kind)
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    with(response, header::CONTENT_TYPE, kind)
}

fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

/// Nothing may be stored, guessed at, framed or fetched; only the page's own style applies.
fn strict_headers() -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        STYLE.source
    );
    let policy = HeaderValue::try_from(policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    HeaderMap::from_iter([
        (header::CONTENT_SECURITY_POLICY, policy),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}
