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
use super::refusals::Refusals;
use super::style::STYLE;
use super::view::View;
use super::{Report, csv, page};
use crate::config::StatsConfig;
use crate::topology::Topology;

/// An answer's body.
pub type Body = Either<Full<Bytes>, Pieces>;

/// Everything that answers are made from.
#[derive(Debug)]
pub struct Site {
    settings: Arc<StatsConfig>,
    topology: Arc<Topology>,
    gate: Gate,
    challenge: HeaderValue,
    /// Those of every answer.
    headers: HeaderMap,
    /// Who was refused.
    pub refusals: Refusals,
}

impl Site {
    /// The site of `topology`.
    pub fn new(settings: Arc<StatsConfig>, topology: Arc<Topology>) -> Self {
        Self {
            gate: Gate::new(settings.auth.as_ref()),
            challenge: challenge(&settings.realm),
            headers: strict_headers(),
            refusals: Refusals::default(),
            settings,
            topology,
        }
    }

    /// Answers a request of `peer`. The request's body is never read.
    pub fn answer(&self, request: &http::request::Parts, peer: SocketAddr) -> Response<Body> {
        let mut response = self.respond(request, peer);
        response.headers_mut().extend(self.headers.clone());
        response
    }

    fn respond(&self, request: &http::request::Parts, peer: SocketAddr) -> Response<Body> {
        match self.gate.judge(request.headers.get(header::AUTHORIZATION)) {
            Verdict::Allowed => {}
            Verdict::NothingOffered => return self.unauthorized(),
            Verdict::Wrong => {
                self.refusals
                    .tell(format_args!("{peer}: wrong user name or password"));
                return self.unauthorized();
            }
        }
        let target = request
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let Some(view) = View::of(target, &self.settings.uri) else {
            let place = format!("The stats page is at {}\n", self.settings.uri);
            return text(StatusCode::NOT_FOUND, place);
        };
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let refusal = "Only GET and HEAD are answered here.\n";
            let response = text(StatusCode::METHOD_NOT_ALLOWED, refusal.into());
            return with(
                response,
                header::ALLOW,
                HeaderValue::from_static("GET, HEAD"),
            );
        }
        self.view(view)
    }

    fn view(&self, view: View) -> Response<Body> {
        let report = Report {
            topology: self.topology.clone(),
            settings: self.settings.clone(),
            view,
            now: Instant::now(),
        };
        // `text/plain` as in HAProxy: browsers show it instead of saving it.
        let (kind, pieces) = if view.csv {
            (
                "text/plain; charset=utf-8",
                Pieces::new(csv::pieces(report)),
            )
        } else {
            (
                "text/html; charset=utf-8",
                Pieces::new(page::pieces(report)),
            )
        };
        let response = Response::new(Either::Right(pieces));
        with(
            response,
            header::CONTENT_TYPE,
            HeaderValue::from_static(kind),
        )
    }

    fn unauthorized(&self) -> Response<Body> {
        let refusal = "The stats page needs a user name and a password.\n";
        let response = text(StatusCode::UNAUTHORIZED, refusal.into());
        with(response, header::WWW_AUTHENTICATE, self.challenge.clone())
    }
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
