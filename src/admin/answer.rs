//! One request to one answer.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, http};
use tokio::time::timeout;

use super::auth::{Gate, Verdict, Visitor, challenge};
use super::body::Pieces;
use super::deadline::Deadline;
use super::health::Point;
use super::metrics::Exposition;
use super::orders::{Orders, Outcome};
use super::refusals::{Refusals, Refused};
use super::rows::Selection;
use super::script::SCRIPT;
use super::style::STYLE;
use super::view::{Format, Resource, View};
use super::{Report, Running, csv, form, json, metrics, origin, page};
use crate::config::StatsConfig;
use crate::sys::courtesy::offer_core;

/// An answer's body.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The longest form that is read, in bytes: two thousand servers with long names.
const LONGEST_FORM: usize = 64 * 1024;

/// How long a form may take to come.
const FORM_PATIENCE: Duration = Duration::from_secs(5);

/// Marks the answer to somebody who may see more than whether the process lives.
#[derive(Debug, Clone, Copy)]
pub struct LetIn;

/// Everything that answers are made from.
#[derive(Debug)]
pub struct Site {
    settings: Arc<StatsConfig>,
    running: Running,
    /// Where orders go, if any are taken.
    orders: Option<Orders>,
    gate: Gate,
    challenge: HeaderValue,
    /// Those of every answer.
    headers: HeaderMap,
}

impl Site {
    /// The site of a running proxy; `orders` leads to whoever changes servers.
    pub fn new(settings: Arc<StatsConfig>, running: Running, orders: Option<Orders>) -> Self {
        Self {
            gate: Gate::new(&settings),
            challenge: challenge(&settings.realm),
            headers: strict_headers(),
            orders: orders.filter(|_| settings.admin),
            settings,
            running,
        }
    }

    /// Who was refused.
    pub fn refusals(&self) -> &Refusals {
        &self.running.refusals
    }

    /// Answers a request of `peer`. Its body is read only if it is an order of somebody who may
    /// give orders. An answer without an end puts off `deadline` for as long as it is taken.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: SocketAddr,
        deadline: &Deadline,
    ) -> Response<Body>
    where
        B: hyper::body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // Reading the request was work as well.
        offer_core();
        let mut response = self.respond(request, peer, deadline).await;
        response.headers_mut().extend(self.headers.clone());
        response
    }

    async fn respond<B>(
        &self,
        request: Request<B>,
        peer: SocketAddr,
        deadline: &Deadline,
    ) -> Response<Body>
    where
        B: hyper::body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let resource = Resource::of(target, &self.settings.uri);
        if let Some(resource) = resource.filter(|resource| resource.is_open()) {
            return self
                .given(resource, &head, body, Visitor::ANYONE, peer, deadline)
                .await;
        }
        let visitor = match self.let_in(&head, peer).await {
            Ok(visitor) => visitor,
            Err(refusal) => return refusal,
        };
        let Some(resource) = resource else {
            let place = format!("The stats page is at {}\n", self.settings.uri);
            return text(StatusCode::NOT_FOUND, place);
        };
        let mut response = self
            .given(resource, &head, body, visitor, peer, deadline)
            .await;
        response.extensions_mut().insert(LetIn);
        response
    }

    /// The answer to who may ask for `resource`.
    async fn given<B>(
        &self,
        resource: Resource,
        head: &http::request::Parts,
        body: B,
        visitor: Visitor,
        peer: SocketAddr,
        deadline: &Deadline,
    ) -> Response<Body>
    where
        B: hyper::body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match (&head.method, resource, &self.orders) {
            (&Method::GET, Resource::Page(view), _) if view.format == Format::Live => {
                self.live(deadline)
            }
            (&(Method::GET | Method::HEAD), ..) => {
                self.resource(resource, visitor, head.headers.get(header::ACCEPT))
            }
            (&Method::POST, Resource::Page(view), Some(orders)) => {
                let refusal = self.may_not_change(head, &visitor, peer);
                match refusal {
                    Some(refusal) => refusal,
                    None => self.change(orders, body, view, &visitor, peer).await,
                }
            }
            (_, Resource::Page(_), Some(_)) => not_allowed("GET, HEAD, POST"),
            _ => not_allowed("GET, HEAD"),
        }
    }

    /// Who asks, or the answer to who may not.
    async fn let_in(
        &self,
        head: &http::request::Parts,
        peer: SocketAddr,
    ) -> Result<Visitor, Response<Body>> {
        let authorization = head.headers.get(header::AUTHORIZATION);
        let refuse = |why, what| self.refusals().tell(why, format_args!("{peer}: {what}"));
        match self.gate.judge(authorization, peer.ip()).await {
            Verdict::Allowed(visitor) => Ok(visitor),
            Verdict::NothingOffered => Err(self.unauthorized()),
            Verdict::Wrong => {
                refuse(Refused::Password, "wrong user name or password");
                Err(self.unauthorized())
            }
            Verdict::TooMany(wait) => {
                refuse(Refused::Tries, "too many wrong passwords");
                let refusal = "Too many wrong passwords from your address; try again later.\n";
                let response = text(StatusCode::TOO_MANY_REQUESTS, refusal.into());
                Err(after(response, wait))
            }
            Verdict::Busy => {
                refuse(Refused::Busy, "too many passwords to verify");
                let refusal = "Too many passwords are being verified; try again.\n";
                let response = text(StatusCode::SERVICE_UNAVAILABLE, refusal.into());
                Err(after(response, Duration::from_secs(1)))
            }
        }
    }

    /// The answer to who may not change servers, or not in this way; `None` to who may.
    fn may_not_change(
        &self,
        head: &http::request::Parts,
        visitor: &Visitor,
        peer: SocketAddr,
    ) -> Option<Response<Body>> {
        let refuse = |why, what: &str| {
            self.refusals().tell(why, format_args!("{peer}: {what}"));
            Some(text(StatusCode::FORBIDDEN, format!("Refused: {what}.\n")))
        };
        if !visitor.may_change {
            return refuse(Refused::Role, "this user may not change servers");
        }
        if !origin::is_own(&head.headers, self.settings.tls.is_some()) {
            return refuse(
                Refused::Origin,
                "a change that does not come from the page itself",
            );
        }
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(FORM) {
            let wanted = format!("A change is sent as {FORM}.\n");
            return Some(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted));
        }
        None
    }

    /// Has the order in a form carried out, and leads to the page that tells what became of it
    /// (303, so that reloading that page does not repeat it).
    async fn change<B>(
        &self,
        orders: &Orders,
        body: B,
        view: View,
        visitor: &Visitor,
        peer: SocketAddr,
    ) -> Response<Body>
    where
        B: hyper::body::Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let form = Limited::new(body, LONGEST_FORM).collect();
        let outcome = match timeout(FORM_PATIENCE, form).await {
            Err(_) => {
                return text(
                    StatusCode::REQUEST_TIMEOUT,
                    "The form did not come.\n".into(),
                );
            }
            Ok(Err(_)) => Err(Outcome::TooLong),
            Ok(Ok(form)) => {
                let name = visitor.name.as_deref().unwrap_or("somebody");
                let who = format!("{name} on the stats page ({})", peer.ip().to_canonical());
                form::order(&form.to_bytes(), &who)
            }
        };
        let outcome = match outcome {
            Ok(order) => orders.give(order).await,
            Err(outcome) => outcome,
        };
        let path = format!("{};st={}", view.path(&self.settings.uri), outcome.word());
        let response = text(StatusCode::SEE_OTHER, format!("{}\n", outcome.told()));
        match HeaderValue::try_from(path) {
            Ok(path) => with(response, header::LOCATION, path),
            Err(_) => response,
        }
    }

    fn resource(
        &self,
        resource: Resource,
        visitor: Visitor,
        accept: Option<&HeaderValue>,
    ) -> Response<Body> {
        let running = self.running.latest();
        match resource {
            Resource::Page(view) => self.view(view, visitor),
            Resource::Metrics => {
                let form = Exposition::wanted(accept);
                long(form.media_type(), metrics::pieces(running, form))
            }
            Resource::Events(after) => long(JSON, json::events(&running.journal, after)),
            Resource::Health if running.readiness.is_alive(Instant::now()) => {
                text(StatusCode::OK, "alive\n".into())
            }
            Resource::Health => text(StatusCode::SERVICE_UNAVAILABLE, "stuck\n".into()),
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

    fn view(&self, view: View, visitor: Visitor) -> Response<Body> {
        let running = self.running.latest();
        let selection = Selection {
            view,
            ..Selection::all(Arc::clone(&running.topology), Instant::now())
        };
        match view.format {
            // As in HAProxy: browsers show plain text instead of saving it.
            Format::Csv => return long("text/plain; charset=utf-8", csv::pieces(selection)),
            Format::Json => return long(JSON, json::pieces(selection)),
            Format::Html | Format::Live => {}
        }
        let report = Report::of(&running, self.settings.clone(), view, visitor);
        long("text/html; charset=utf-8", page::pieces(report))
    }

    /// A stream of what changes on the page. What only some may see is no part of it.
    fn live(&self, deadline: &Deadline) -> Response<Body> {
        let (running, settings) = (self.running.clone(), self.settings.clone());
        let (view, visitor) = (View::default(), Visitor::ANYONE);
        let report = move || Report::of(&running.latest(), settings.clone(), view, visitor.clone());
        let running = &self.running;
        let Some(stream) = running
            .live
            .stream(&running.journal, deadline.clone(), report)
        else {
            let refusal = "Too many pages are live already.\n";
            return text(StatusCode::SERVICE_UNAVAILABLE, refusal.into());
        };
        let response = Response::new(stream.boxed_unsync());
        let kind = HeaderValue::from_static("text/event-stream");
        let response = with(response, header::CONTENT_TYPE, kind);
        // A proxy in front of it must not keep messages back.
        let name = HeaderName::from_static("x-accel-buffering");
        with(response, name, HeaderValue::from_static("no"))
    }

    fn unauthorized(&self) -> Response<Body> {
        let refusal = "The stats page needs a user name and a password.\n";
        let response = text(StatusCode::UNAUTHORIZED, refusal.into());
        with(response, header::WWW_AUTHENTICATE, self.challenge.clone())
    }
}

/// The type of a form, which browsers send.
const FORM: &str = "application/x-www-form-urlencoded";

const JSON: &str = "application/json";

/// An answer that is written while it is sent.
fn long(
    kind: &'static str,
    pieces: impl Iterator<Item = String> + Send + 'static,
) -> Response<Body> {
    let response = Response::new(Pieces::new(pieces).boxed_unsync());
    let kind = HeaderValue::from_static(kind);
    with(response, header::CONTENT_TYPE, kind)
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    with(response, header::CONTENT_TYPE, kind)
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let refusal = format!("Only {methods} are answered here.\n");
    let response = text(StatusCode::METHOD_NOT_ALLOWED, refusal);
    with(response, header::ALLOW, HeaderValue::from_static(methods))
}

/// Says when to try again, in whole seconds.
fn after(response: Response<Body>, wait: Duration) -> Response<Body> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    with(response, header::RETRY_AFTER, HeaderValue::from(seconds))
}

fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

/// Nothing may be stored, guessed at, framed or fetched from elsewhere; only the page's own style
/// and script apply, and forms go to the page alone. Its address is told to itself only, which a form must: without a
/// referrer its `Origin` would be `null` (Fetch, "append a request `Origin` header").
fn strict_headers() -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        STYLE.source, SCRIPT.source
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
            HeaderValue::from_static("same-origin"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}
