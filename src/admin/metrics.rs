//! `/metrics`: what Prometheus reads (OpenMetrics text).
//!
//! Names, types and labels of what begins with `haproxy_` are those of HAProxy's own exporter
//! (`addons/promex`), so that dashboards and alert rules made for it work here. What it does not
//! have begins with `backstop_`. A name that the exporter has and that is missing here has no
//! meaning for a TCP proxy.
//!
//! - [`families`]: every metric, its help and where its values come from.

mod families;

use std::fmt;
use std::time::Instant;

use hyper::header::HeaderValue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue,
    GaugeValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::Running;
use crate::counters::{Counters, Shard, Total};
use crate::sys::courtesy::offer_core;
use crate::topology::{Backend, Frontend, Server};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' older text, in which HAProxy writes.
    Text,
}

impl Exposition {
    /// The form that a request's `Accept` header asks for; the older one unless it says more.
    pub fn wanted(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|accept| accept.to_str().ok());
        match accept {
            Some(types) if types.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Everything, a metric of all servers at a time: a million lines at once would keep other
/// requests waiting.
pub fn pieces(running: Running, form: Exposition) -> impl Iterator<Item = String> + Send + 'static {
    let now = Instant::now();
    let family = move |family: Family| {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            running: running.clone(),
            now,
            family,
        }));
        // Writing to a string fails only if a value cannot be written as text.
        let mut text = String::new();
        let written = encode_registry(&mut text, &registry);
        let text = written.map_or_else(|_| String::new(), |()| text);
        match (form, family.kind) {
            (Exposition::Text, Kind::Counter) => older(&text, family.name),
            _ => text,
        }
    };
    let mut end = String::new();
    if form == Exposition::OpenMetrics {
        let _ = encode_eof(&mut end);
    }
    families::all().map(family).chain(std::iter::once(end))
}

/// In the older text the help and the type are those of the samples' name, `_total` included.
fn older(text: &str, name: &str) -> String {
    let mut text = text.to_owned();
    for line in ["# HELP ", "# TYPE "] {
        let head = format!("{line}{name} ");
        text = text.replacen(&head, &format!("{line}{name}_total "), 1);
    }
    text
}

/// One metric at one moment.
#[derive(Debug)]
struct Scrape {
    running: Running,
    now: Instant,
    family: Family,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// Without the `_total` that counters end in.
    name: &'static str,
    help: &'static str,
    kind: Kind,
    of: Of,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// Of which of the things with counters.
#[derive(Debug, Clone, Copy)]
enum Scope {
    Frontends,
    Backends,
    Servers,
}

/// What a metric has values of.
#[derive(Debug, Clone, Copy)]
enum Of {
    Process(fn(&Running) -> Value),
    Totals(Scope, fn(&Shard) -> &Total),
    Levels(Scope, fn(&Counters) -> u32),
    Backends(fn(&Backend, Instant) -> Value),
    /// Those for which there is a value.
    Servers(fn(&Server, Instant) -> Option<Value>),
    /// 1 for the state that is, 0 for the others.
    FrontendStates(&'static [&'static str], fn(&Frontend) -> &'static str),
    BackendStates(&'static [&'static str], fn(&Backend) -> &'static str),
    ServerStates(&'static [&'static str], fn(&Server) -> Option<&'static str>),
    /// With labels of its own.
    Others(fn(&Running, &mut Samples<'_>) -> fmt::Result),
}

/// A sample's value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Whole(u64),
    Real(f64),
}

/// Where samples go.
struct Samples<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
}

impl Samples<'_> {
    fn put(&mut self, labels: &[(&str, &str)], value: Value) -> fmt::Result {
        if labels.is_empty() {
            return write(&mut self.encoder, self.kind, value);
        }
        write(&mut self.encoder.encode_family(&labels)?, self.kind, value)
    }

    /// 1 for the state that `is`, 0 for the others, as HAProxy writes it.
    fn put_states<'l>(
        &mut self,
        labels: &[(&'l str, &'l str)],
        states: &[&'l str],
        is: &str,
    ) -> fmt::Result {
        let mut labels = [labels, &[("state", "")]].concat();
        let last = labels.len() - 1;
        states.iter().try_for_each(|state| {
            labels[last].1 = state;
            self.put(&labels, Value::Whole(u64::from(*state == is)))
        })
    }
}

fn write(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match kind {
        Kind::Counter => encoder.encode_counter(&value, NO_EXEMPLAR),
        Kind::Gauge => encoder.encode_gauge(&value),
    }
}

/// In place of an example of what was counted, which there is none of.
const NO_EXEMPLAR: Option<&Exemplar<Vec<(&str, &str)>, u64>> = None;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let family = self.family;
        let kind = match family.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let encoder = encoder.encode_descriptor(family.name, family.help, None, kind)?;
        let mut samples = Samples {
            encoder,
            kind: family.kind,
        };
        self.collect(&mut samples)
    }
}

impl Scrape {
    fn collect(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let Self {
            running,
            now,
            family,
        } = self;
        let topology = &running.topology;
        let mut frontends = topology.frontends.iter();
        let mut backends = topology.backends.iter();
        match family.of {
            Of::Process(value) => samples.put(&[], value(running)),
            Of::Totals(scope, total) => self.counters(scope, |labels, c| {
                samples.put(labels, Value::Whole(c.total(total)))
            }),
            Of::Levels(scope, level) => self.counters(scope, |labels, counters| {
                samples.put(labels, Value::Whole(level(counters).into()))
            }),
            Of::Backends(value) => {
                backends.try_for_each(|b| samples.put(&[proxy(&b.config.name)], value(b, *now)))
            }
            Of::Servers(value) => self.servers(|labels, server| match value(server, *now) {
                Some(value) => samples.put(labels, value),
                None => Ok(()),
            }),
            Of::FrontendStates(states, is) => frontends
                .try_for_each(|f| samples.put_states(&[proxy(&f.config.name)], states, is(f))),
            Of::BackendStates(states, is) => backends
                .try_for_each(|b| samples.put_states(&[proxy(&b.config.name)], states, is(b))),
            Of::ServerStates(states, is) => self.servers(|labels, server| match is(server) {
                Some(is) => samples.put_states(labels, states, is),
                None => Ok(()),
            }),
            Of::Others(put) => put(running, samples),
        }
    }

    /// The counters of each frontend, backend or server, with its labels.
    fn counters(
        &self,
        scope: Scope,
        mut put: impl FnMut(&[(&str, &str)], &Counters) -> fmt::Result,
    ) -> fmt::Result {
        let topology = &self.running.topology;
        match scope {
            Scope::Frontends => (topology.frontends.iter())
                .try_for_each(|f| put(&[proxy(&f.config.name)], &f.counters)),
            Scope::Backends => (topology.backends.iter())
                .try_for_each(|b| put(&[proxy(&b.config.name)], &b.counters)),
            Scope::Servers => self.servers(|labels, server| put(labels, &server.counters)),
        }
    }

    /// Each server with its labels.
    fn servers(&self, mut put: impl FnMut(&[(&str, &str)], &Server) -> fmt::Result) -> fmt::Result {
        self.running
            .topology
            .backends
            .iter()
            .try_for_each(|backend| {
                let proxy = proxy(&backend.config.name);
                let mut servers = backend.servers.iter();
                servers.try_for_each(|s| {
                    offer_core();
                    put(&[proxy, ("server", &s.config.name)], s)
                })
            })
    }
}

fn proxy(name: &str) -> (&str, &str) {
    ("proxy", name)
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Real(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => EncodeCounterValue::encode(value, encoder),
            Self::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::topology::sample::{pass_check, single_farm, take_down};

    fn text(form: Exposition) -> String {
        let running = Running::of(single_farm(false));
        let topology = &running.topology;
        pass_check(topology, 0, 0, 4);
        take_down(topology, 0, 1);
        let frontend = &topology.frontends[0];
        frontend.counters.enter(0, 4_300);
        frontend.counters.shard(0).bytes_in.add(70);
        frontend.endings.count(0, Outcome::NORMAL);
        topology.backends[0].counters.shard(0).hedges.add(3);
        pieces(running, form).collect()
    }

    #[track_caller]
    fn assert_lines(text: &str, wanted: &str) {
        for line in wanted
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn samples_are_those_of_haproxys_exporter() {
        assert_lines(
            &text(Exposition::Text),
            r#"
            # HELP haproxy_frontend_bytes_in_total Bytes from clients.
            # TYPE haproxy_frontend_bytes_in_total counter
            haproxy_frontend_bytes_in_total{proxy="ft"} 70
            haproxy_process_current_connections 1
            haproxy_frontend_status{proxy="ft",state="UP"} 1
            haproxy_frontend_status{proxy="ft",state="DOWN"} 0
            haproxy_backend_active_servers{proxy="bk"} 1
            haproxy_server_status{proxy="bk",server="s2",state="DOWN"} 1
            haproxy_server_status{proxy="bk",server="s2",state="UP"} 0
            haproxy_server_check_status{proxy="bk",server="s2",state="L4CON"} 1
            haproxy_server_check_status{proxy="bk",server="s1",state="L4CON"} 0
            haproxy_server_check_duration_seconds{proxy="bk",server="s2"} 0.002
            haproxy_server_check_failures_total{proxy="bk",server="s2"} 1
            "#,
        );
    }

    #[test]
    fn samples_of_its_own() {
        assert_lines(
            &text(Exposition::OpenMetrics),
            r#"
            # TYPE backstop_sessions_ended counter
            backstop_sessions_ended_total{proxy="ft",termination="--"} 1
            backstop_backend_hedges_total{proxy="bk"} 3
            backstop_backend_usable_servers{proxy="bk"} 1
            backstop_events_total{kind="server_down"} 0
            backstop_worker_sessions_total{worker="0"} 1
            backstop_worker_current_sessions{worker="0"} 0
            backstop_worker_sessions_handed_on_total{worker="0"} 0
            backstop_frontend_route{proxy="ft",backend="bk"} 1
            # EOF
            "#,
        );
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_and_one_type_line() {
        let text = text(Exposition::OpenMetrics);
        let mut types: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE ")).collect();
        assert_eq!(types.len(), families::all().count());
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), families::all().count());
        assert_eq!(text.matches("# EOF").count(), 1);
    }

    #[test]
    fn the_form_is_the_one_that_is_asked_for() {
        let wanted = |accept| Exposition::wanted(Some(&HeaderValue::from_static(accept)));
        assert_eq!(Exposition::wanted(None), Exposition::Text);
        assert_eq!(wanted("*/*"), Exposition::Text);
        // As Prometheus asks.
        assert_eq!(
            wanted("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2"),
            Exposition::OpenMetrics
        );
        assert!(!text(Exposition::Text).contains("EOF"));
    }
}
