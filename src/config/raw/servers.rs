//! `[backends.NAME]` with its servers and their checks.

use toml::de::DeValue;

use super::agent::agent;
use super::balance::balance;
use super::check::{RawCheck, check_settings};
use super::policy::{self, RawFailover, RawPolicy};
use super::resolve::{self, RawResolve};
use super::socket;
use super::{count, empty_list, retries, server_timeouts, splice};
use crate::config::fields::{At, Fields, Item, Reader};
use crate::config::hints::Kind;
use crate::config::report::{Problem, Span};
use crate::config::{
    AgentConfig, Balance, ServerAddress, ServerTimeouts, SlotConfig, SpliceMode, value,
};
use crate::sys::options::ConnectOptions;

/// `[backends.NAME]`.
pub(in crate::config) struct RawBackend {
    pub(in crate::config) name: At<String>,
    pub(in crate::config) balance: Option<Balance>,
    pub(in crate::config) allbackups: Option<bool>,
    pub(in crate::config) splice: Option<SpliceMode>,
    pub(in crate::config) log_health_checks: Option<bool>,
    pub(in crate::config) socket: ConnectOptions,
    pub(in crate::config) retries: Option<u32>,
    pub(in crate::config) maxqueue: Option<u32>,
    pub(in crate::config) timeout: ServerTimeouts,
    pub(in crate::config) failover: RawFailover,
    /// What its servers have in common.
    pub(in crate::config) policy: RawPolicy,
    pub(in crate::config) resolve: RawResolve,
    /// What its servers' checks have in common, and where that is said.
    pub(in crate::config) check: Option<At<RawCheck>>,
    pub(in crate::config) servers: Vec<RawServer>,
}

/// One entry of `servers`, or one of those that an entry with `count` stands for.
#[derive(Clone)]
pub(in crate::config) struct RawServer {
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Option<At<String>>,
    pub(in crate::config) address: Option<ServerAddress>,
    pub(in crate::config) resolve: RawResolve,
    pub(in crate::config) slot: Option<SlotConfig>,
    pub(in crate::config) backup: bool,
    pub(in crate::config) maxconn: Option<u32>,
    pub(in crate::config) weight: Option<At<u64>>,
    pub(in crate::config) tier: Option<At<u64>>,
    pub(in crate::config) zone: Option<At<String>>,
    pub(in crate::config) policy: RawPolicy,
    /// `None` if it is not checked.
    pub(in crate::config) check: Option<RawCheck>,
    pub(in crate::config) agent: Option<AgentConfig>,
    /// `backend/server`, or a server of the same backend.
    pub(in crate::config) track: Option<At<String>>,
}

pub(super) fn backend(r: &mut Reader<'_>, name: At<String>, item: Item<'_>) -> Option<RawBackend> {
    let mut fields = r.table(item, Kind::Backend)?;
    let check = |r: &mut Reader<'_>, item: Item<'_>| {
        check_settings(r, item).map(|value| At {
            value,
            span: item.key_span,
        })
    };
    let mut failover = policy::failover(r, &mut fields);
    policy::tiers(r, &mut fields, &mut failover);
    let backend = RawBackend {
        name,
        balance: fields.read("balance", |item| balance(r, item)).given(),
        allbackups: fields.read("allbackups", |item| r.boolean(item)).given(),
        splice: fields.read("splice", |item| splice(r, item)).given(),
        log_health_checks: fields
            .read("log_health_checks", |item| r.boolean(item))
            .given(),
        socket: fields
            .read("socket", |item| socket::connect(r, item))
            .given()
            .unwrap_or_default(),
        retries: fields.read("retries", |item| retries(r, item)).given(),
        maxqueue: fields.read("maxqueue", |item| count(r, item)).given(),
        timeout: fields
            .read("timeout", |item| backend_timeouts(r, item))
            .given()
            .unwrap_or_default(),
        failover,
        policy: policy::policy(r, &mut fields),
        resolve: resolution(r, &mut fields),
        check: fields.read("check", |item| check(r, item)).given(),
        servers: fields
            .require(r, "servers", servers)
            .given()
            .unwrap_or_default(),
    };
    fields.finish(r);
    Some(backend)
}

fn backend_timeouts(r: &mut Reader<'_>, item: Item<'_>) -> Option<ServerTimeouts> {
    let mut fields = r.table(item, Kind::ServerTimeouts)?;
    let timeouts = server_timeouts(r, &mut fields);
    fields.finish(r);
    Some(timeouts)
}

/// The servers, without those that are no tables.
fn servers(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RawServer>> {
    let form = "tables such as `{ name = \"web1\", address = \"10.0.0.1:80\" }`";
    let items = r.list(item, form)?;
    if items.is_empty() {
        let help =
            "add one: `servers = [{ name = \"web1\", address = \"10.0.0.1:80\", check = true }]`";
        r.problems.push(empty_list(item, help));
    }
    Some(
        items
            .into_iter()
            .filter_map(|item| server(r, item))
            .flatten()
            .collect(),
    )
}

fn resolution(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> RawResolve {
    let resolve = fields.read("resolve", |item| resolve::resolve(r, item));
    resolve.given().unwrap_or_default()
}

/// The server, or the servers if there is a `count`.
fn server(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RawServer>> {
    let mut fields = r.table(item, Kind::Server)?;
    let address = |r: &mut Reader<'_>, item: Item<'_>| r.parsed(item, value::server_address);
    let slots = fields
        .read("count", |item| r.number(item, 1..=1000))
        .given();
    let server = RawServer {
        span: item.span,
        name: fields.require(r, "name", Reader::name).given(),
        address: fields
            .require(r, "address", address)
            .given()
            .map(|at| at.value),
        resolve: resolution(r, &mut fields),
        slot: None,
        backup: fields.read("backup", |item| r.boolean(item)).given() == Some(true),
        maxconn: fields.read("maxconn", |item| count(r, item)).given(),
        weight: fields
            .read("weight", |item| r.number(item, 0..=256))
            .given(),
        tier: fields.read("tier", |item| r.number(item, 0..=1000)).given(),
        zone: fields.read("zone", |item| r.name(item)).given(),
        policy: policy::policy(r, &mut fields),
        check: fields.read("check", |item| server_check(r, item)).given(),
        agent: fields.read("agent", |item| agent(r, item)).given(),
        track: fields.read("track", |item| r.parsed(item, tracked)).given(),
    };
    fields.finish(r);
    Some(expanded(r, server, slots.as_ref()))
}

/// The servers that an entry stands for: as many as `count` says, or one for an SRV name.
fn expanded(r: &mut Reader<'_>, server: RawServer, count: Option<&At<u64>>) -> Vec<RawServer> {
    let srv = server.address.as_ref().is_some_and(ServerAddress::is_srv);
    let (Some(name), true) = (&server.name, count.is_some() || srv) else {
        return vec![server];
    };
    if let (Some(address), Some(count)) = (&server.address, count)
        && !address.is_name()
    {
        let title = format!(
            "`{}` is one address, which several servers cannot share",
            address.host
        );
        let problem = Problem::error(title).at(count.span);
        let help = "write a name in `address`, or remove `count`";
        r.problems.push(problem.help(help));
    }
    let slot = |number: u32| {
        let mut slot = server.clone();
        if count.is_some() {
            let value = format!("{}{number}", name.value);
            slot.name = Some(At {
                value,
                ..name.clone()
            });
        }
        slot.slot = Some(SlotConfig {
            template: name.value.clone(),
            number,
        });
        slot
    };
    (1..=count.map_or(1, |count| count.value as u32))
        .map(slot)
        .collect()
}

/// `check = true` or a table, which both mean that the server is checked; `None` also for
/// `check = false`.
fn server_check(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawCheck> {
    match item.value {
        DeValue::Boolean(checked) => checked.then(RawCheck::default),
        DeValue::Table(_) => check_settings(r, item),
        _ => r.wrong_type(
            item,
            "`true`, `false` or a table such as `{ interval = \"2s\" }`",
        ),
    }
}

/// The name of a server, with its backend's name before it or without.
fn tracked(text: &str) -> Result<String, value::Fault> {
    for name in text.splitn(2, '/') {
        value::name(name).map_err(|_| value::Fault {
            title: format!("`{text}` does not name a server"),
            help: Some("write \"BACKEND/SERVER\"".to_owned()),
            range: None,
        })?;
    }
    Ok(text.to_owned())
}
