//! What a file says, table by table, with the place of everything that may turn out wrong.
//!
//! Each value by itself is valid here; how values go together is checked in [`super::validate`].

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::clients::{AcceptProxy, ClientLimits};
use super::fields::{At, Field, Fields, Item, Reader, Text, entries, one_or_list};
use super::hints::Kind;
use super::operation::{ApiConfig, EventsConfig, PrivilegesConfig, StateConfig};
use super::report::{Problem, Span};
use super::session_format::SessionFormat;
use super::value;
use super::{Balance, ClientTimeouts, LogConfig, ServerTimeouts, SpliceMode};
use crate::acl::parse::{self, Expression};
use crate::sys::options::ListenOptions;

mod agent;
mod balance;
mod check;
mod clients;
mod hooks;
mod log;
mod operation;
mod policy;
mod process;
mod resolve;
mod servers;
mod socket;
mod stats;

use self::balance::balance;
pub(super) use self::check::RawCheck;
use self::check::check_settings;
pub(super) use self::hooks::RawHook;
pub(super) use self::policy::{RawFailover, RawPolicy, SendProxy};
pub(super) use self::resolve::RawResolve;
use self::servers::backend;
pub(super) use self::servers::{RawBackend, RawServer};
pub(super) use self::stats::{RawStats, RawUser};

/// A whole file.
pub(super) struct RawConfig {
    pub(super) threads: Option<NonZeroUsize>,
    pub(super) maxconn: Option<u32>,
    pub(super) pin_threads: Option<bool>,
    pub(super) grace: Option<Duration>,
    pub(super) reload_on_change: Option<bool>,
    pub(super) spread_checks: Option<u8>,
    pub(super) log: LogConfig,
    pub(super) defaults: RawDefaults,
    pub(super) frontends: Field<Vec<RawFrontend>>,
    pub(super) backends: Vec<RawBackend>,
    pub(super) stats: Option<RawStats>,
    pub(super) events: Option<EventsConfig>,
    pub(super) api: Option<ApiConfig>,
    pub(super) state: Option<StateConfig>,
    pub(super) privileges: PrivilegesConfig,
    pub(super) hooks: Vec<RawHook>,
    pub(super) upgrade_socket: Option<PathBuf>,
}

/// `[defaults]`.
#[derive(Default)]
pub(super) struct RawDefaults {
    /// Of frontends, as in HAProxy.
    pub(super) maxconn: Option<u32>,
    pub(super) client: ClientTimeouts,
    pub(super) server: ServerTimeouts,
    pub(super) balance: Option<Balance>,
    pub(super) allbackups: Option<bool>,
    pub(super) splice: Option<SpliceMode>,
    pub(super) log_format: Option<SessionFormat>,
    pub(super) log_health_checks: Option<bool>,
    pub(super) retries: Option<u32>,
    pub(super) failover: RawFailover,
    pub(super) policy: RawPolicy,
    pub(super) resolve: RawResolve,
    pub(super) check: RawCheck,
}

/// `[frontends.NAME]`.
pub(super) struct RawFrontend {
    pub(super) name: At<String>,
    pub(super) bind: Vec<At<SocketAddr>>,
    pub(super) maxconn: Option<u32>,
    pub(super) clients: ClientLimits,
    pub(super) accept_proxy: Option<AcceptProxy>,
    pub(super) acls: Vec<RawAcl>,
    pub(super) rules: Field<Vec<RawRule>>,
    pub(super) default_backend: Field<At<String>>,
    pub(super) timeout: ClientTimeouts,
    pub(super) splice: Option<SpliceMode>,
    pub(super) log_format: Option<SessionFormat>,
    pub(super) socket: ListenOptions,
}

/// One line of `acl`.
pub(super) struct RawAcl {
    pub(super) name: At<String>,
    /// `None` if it does not parse.
    pub(super) condition: Option<RawCondition>,
}

/// A condition that parses.
pub(super) struct RawCondition {
    pub(super) text: Text,
    pub(super) expression: Expression,
}

/// One entry of `use_backend`.
pub(super) struct RawRule {
    pub(super) span: Span,
    pub(super) backend: Option<At<String>>,
    pub(super) when: Field<RawCondition>,
    pub(super) unless: Field<RawCondition>,
    pub(super) until: Field<RawCondition>,
}

impl RawConfig {
    /// The frontends that could be read.
    pub(super) fn frontends(&self) -> &[RawFrontend] {
        self.frontends.as_ref().given().map_or(&[], Vec::as_slice)
    }
}

/// Reads the whole file.
pub(super) fn file(r: &mut Reader<'_>, table: &DeTable<'_>) -> RawConfig {
    let mut fields = Fields::new(Kind::File, Span { start: 0, end: 0 }, table);
    let threads = fields
        .read("threads", |item| r.number(item, 1..=1024))
        .given();
    let maxconn = fields.read("maxconn", |item| count(r, item)).given();
    let pin_threads = fields.read("pin_threads", |item| r.boolean(item)).given();
    let reload_on_change = fields
        .read("reload_on_change", |item| r.boolean(item))
        .given();
    let spread_checks = fields
        .read("spread_checks", |item| r.number(item, 0..=50))
        .given();
    let grace = fields
        .read("grace", |item| r.duration_or_zero(item))
        .given();
    let config = RawConfig {
        threads: threads.and_then(|threads| NonZeroUsize::new(threads.value as usize)),
        maxconn,
        pin_threads,
        grace: grace.map(|grace| grace.value),
        reload_on_change,
        spread_checks: spread_checks.map(|percent| percent.value as u8),
        log: fields
            .read("log", |item| log::read(r, item))
            .given()
            .unwrap_or_default(),
        defaults: fields
            .read("defaults", |item| defaults(r, item))
            .given()
            .unwrap_or_default(),
        frontends: named(r, &mut fields, "frontends", Kind::Frontends, frontend),
        backends: named(r, &mut fields, "backends", Kind::Backends, backend)
            .given()
            .unwrap_or_default(),
        stats: fields.read("stats", |item| stats::read(r, item)).given(),
        events: fields
            .read("events", |item| operation::events(r, item))
            .given(),
        api: fields.read("api", |item| operation::api(r, item)).given(),
        state: process::state(r, &mut fields),
        privileges: process::privileges(r, &mut fields),
        hooks: named(r, &mut fields, "hooks", Kind::Hooks, hooks::hook)
            .given()
            .unwrap_or_default(),
        upgrade_socket: process::upgrade_socket(r, &mut fields),
    };
    fields.finish(r);
    config
}

fn defaults(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawDefaults> {
    let mut fields = r.table(item, Kind::Defaults)?;
    let timeouts = fields
        .read("timeout", |item| default_timeouts(r, item))
        .given();
    let (client, server) = timeouts.unwrap_or_default();
    let defaults = RawDefaults {
        maxconn: fields.read("maxconn", |item| count(r, item)).given(),
        client,
        server,
        balance: fields.read("balance", |item| balance(r, item)).given(),
        allbackups: fields.read("allbackups", |item| r.boolean(item)).given(),
        splice: fields.read("splice", |item| splice(r, item)).given(),
        log_format: fields
            .read("log_format", |item| log::session_format(r, item))
            .given(),
        log_health_checks: fields
            .read("log_health_checks", |item| r.boolean(item))
            .given(),
        retries: fields.read("retries", |item| retries(r, item)).given(),
        failover: policy::failover(r, &mut fields),
        policy: policy::policy(r, &mut fields),
        resolve: fields
            .read("resolve", |item| resolve::resolve(r, item))
            .given()
            .unwrap_or_default(),
        check: fields
            .read("check", |item| check_settings(r, item))
            .given()
            .unwrap_or_default(),
    };
    fields.finish(r);
    Some(defaults)
}

fn default_timeouts(
    r: &mut Reader<'_>,
    item: Item<'_>,
) -> Option<(ClientTimeouts, ServerTimeouts)> {
    let mut fields = r.table(item, Kind::DefaultTimeouts)?;
    let client = client_timeouts(r, &mut fields);
    let server = server_timeouts(r, &mut fields);
    fields.finish(r);
    Some((client, server))
}

fn client_timeouts(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> ClientTimeouts {
    let mut read = |key| fields.read(key, |item| r.duration(item)).given();
    ClientTimeouts {
        client: read("client"),
        client_fin: read("client_fin"),
    }
}

fn server_timeouts(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> ServerTimeouts {
    let mut read = |key| fields.read(key, |item| r.duration(item)).given();
    ServerTimeouts {
        queue: read("queue"),
        connect: read("connect"),
        server: read("server"),
        server_fin: read("server_fin"),
        tunnel: read("tunnel"),
        check: read("check"),
    }
}

fn retries(r: &mut Reader<'_>, item: Item<'_>) -> Option<u32> {
    r.number(item, 0..=1000).map(|retries| retries.value as u32)
}

/// How many there may be of something.
fn count(r: &mut Reader<'_>, item: Item<'_>) -> Option<u32> {
    let most = u64::from(u32::MAX >> 1);
    r.number(item, 1..=most).map(|count| count.value as u32)
}

fn splice(r: &mut Reader<'_>, item: Item<'_>) -> Option<SpliceMode> {
    let words = [
        ("auto", SpliceMode::Auto),
        ("off", SpliceMode::Off),
        ("always", SpliceMode::Always),
    ];
    r.choice(item, &words)
}

/// Reads a table of tables whose keys are names.
fn named<'t, T>(
    r: &mut Reader<'_>,
    fields: &mut Fields<'t>,
    key: &'static str,
    kind: Kind,
    read: fn(&mut Reader<'_>, At<String>, Item<'t>) -> Option<T>,
) -> Field<Vec<T>> {
    fields.read_or_misspelt(key, |item| {
        let DeValue::Table(table) = item.value else {
            return r.table(item, kind).and(None);
        };
        let named = entries(table).into_iter().filter_map(|item| {
            let name = key_name(r, item);
            read(r, name, item)
        });
        Some(named.collect())
    })
}

/// A key that is a name. A wrong one is recorded and used as it is, so that what stands under
/// it is checked all the same.
fn key_name(r: &mut Reader<'_>, item: Item<'_>) -> At<String> {
    if let Err(fault) = value::name(item.key) {
        let problem = Problem::error(fault.title).at(item.key_span);
        let help = fault.help.unwrap_or_else(|| "give it a name".to_owned());
        r.problems.push(problem.help(help));
    }
    At {
        value: item.key.to_owned(),
        span: item.key_span,
    }
}

fn frontend(r: &mut Reader<'_>, name: At<String>, item: Item<'_>) -> Option<RawFrontend> {
    let mut fields = r.table(item, Kind::Frontend)?;
    let frontend = RawFrontend {
        name,
        bind: fields.require(r, "bind", binds).given().unwrap_or_default(),
        maxconn: fields.read("maxconn", |item| count(r, item)).given(),
        clients: clients::limits(r, &mut fields),
        accept_proxy: fields
            .read("accept_proxy", |item| clients::accept_proxy(r, item))
            .given(),
        acls: fields
            .read("acl", |item| acls(r, item))
            .given()
            .unwrap_or_default(),
        rules: fields.read_or_misspelt("use_backend", |item| rules(r, item)),
        default_backend: fields.read_or_misspelt("default_backend", |item| r.name(item)),
        timeout: fields
            .read("timeout", |item| frontend_timeouts(r, item))
            .given()
            .unwrap_or_default(),
        splice: fields.read("splice", |item| splice(r, item)).given(),
        log_format: fields
            .read("log_format", |item| log::session_format(r, item))
            .given(),
        socket: fields
            .read("socket", |item| socket::listen(r, item))
            .given()
            .unwrap_or_default(),
    };
    fields.finish(r);
    Some(frontend)
}

fn frontend_timeouts(r: &mut Reader<'_>, item: Item<'_>) -> Option<ClientTimeouts> {
    let mut fields = r.table(item, Kind::ClientTimeouts)?;
    let timeouts = client_timeouts(r, &mut fields);
    fields.finish(r);
    Some(timeouts)
}

/// The addresses of `bind`, without those that are wrong; `None` if none is right.
fn binds(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<At<SocketAddr>>> {
    let items = one_or_list(item);
    if items.is_empty() {
        r.problems
            .push(empty_list(item, "add an address, such as \"0.0.0.0:81\""));
    }
    let addresses = items.into_iter();
    let addresses: Vec<_> = addresses
        .filter_map(|item| r.parsed(item, value::bind_address))
        .collect();
    (!addresses.is_empty()).then_some(addresses)
}

fn empty_list(item: Item<'_>, help: &str) -> Problem {
    let title = format!("`{}` is an empty list", item.key);
    Problem::error(title).at(item.span).help(help)
}

fn acls(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RawAcl>> {
    let DeValue::Table(table) = item.value else {
        return r.table(item, Kind::Acls).and(None);
    };
    let acls = entries(table).into_iter().map(|item| RawAcl {
        name: acl_name(r, item),
        condition: condition(r, item),
    });
    Some(acls.collect())
}

/// An ACL's name may not be what a condition takes for something else.
fn acl_name(r: &mut Reader<'_>, item: Item<'_>) -> At<String> {
    let name = key_name(r, item);
    let word = name.value.as_str();
    let taken = parse::is_keyword(word);
    if taken || word.starts_with(|c: char| c.is_ascii_digit()) || word.parse::<IpAddr>().is_ok() {
        let title = if taken {
            format!("`{word}` means something else in conditions")
        } else {
            format!("an ACL called `{word}` would be taken for a number or an address")
        };
        let problem = Problem::error(title).at(name.span);
        r.problems
            .push(problem.help("give the ACL another name, which begins with a letter"));
    }
    name
}

fn condition(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawCondition> {
    let text = r.text(item)?;
    match parse::parse(&text.value) {
        Ok(expression) => Some(RawCondition { text, expression }),
        Err(error) => {
            let span = text.part(&error.range);
            let problem = Problem::error(error.title).at(span).help(error.help);
            r.problems.push(problem);
            None
        }
    }
}

/// The rules, without those that are no tables.
fn rules(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RawRule>> {
    let items = r.list(
        item,
        "tables such as `{ backend = \"NAME\", if = \"CONDITION\" }`",
    )?;
    Some(items.into_iter().filter_map(|item| rule(r, item)).collect())
}

fn rule(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawRule> {
    let mut fields = r.table(item, Kind::Rule)?;
    let rule = RawRule {
        span: item.span,
        backend: fields.require(r, "backend", Reader::name).given(),
        when: fields.read("if", |item| condition(r, item)),
        unless: fields.read("unless", |item| condition(r, item)),
        until: fields.read("until", |item| condition(r, item)),
    };
    fields.finish(r);
    Some(rule)
}
