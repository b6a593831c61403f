//! What a frontend says of its clients.

use std::time::Duration;

use ipnet::IpNet;

use super::count;
use crate::config::clients::{AcceptProxy, ClientLimits, SourceRate};
use crate::config::fields::{Fields, Item, Reader, one_or_list};
use crate::config::hints::Kind;
use crate::config::report::Problem;
use crate::config::value::Fault;
use crate::networks::{Networks, network};

/// How long a PROXY header may take unless set.
const DEFAULT_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn accept_proxy(r: &mut Reader<'_>, item: Item<'_>) -> Option<AcceptProxy> {
    let mut fields = r.table(item, Kind::AcceptProxy)?;
    let from = fields.require(r, "from", networks).given();
    let timeout = fields.read("timeout", |item| r.duration(item)).given();
    fields.finish(r);
    Some(AcceptProxy {
        from: Networks::new(from?),
        timeout: timeout.unwrap_or(DEFAULT_HEADER_TIMEOUT),
    })
}

pub(super) fn limits(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> ClientLimits {
    let mut read = |key, file| {
        let listed = fields.read(key, |item| networks(r, item)).given();
        let in_file = fields.read(file, |item| file_of_networks(r, item)).given();
        match (listed, in_file) {
            (None, None) => None,
            (listed, in_file) => {
                let both = listed.into_iter().chain(in_file).flatten();
                Some(Networks::new(both))
            }
        }
    };
    let allow = read("allow", "allow_file");
    let deny = read("deny", "deny_file");
    ClientLimits {
        allow,
        deny: deny.unwrap_or_default(),
        rate: fields.read("rate_limit", |item| count(r, item)).given(),
        source_rate: fields
            .read("source_rate_limit", |item| source_rate(r, item))
            .given(),
    }
}

fn networks(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<IpNet>> {
    let items = one_or_list(item);
    if items.is_empty() {
        r.problems.push(super::empty_list(
            item,
            "add a network, such as \"10.0.0.0/8\"",
        ));
        return None;
    }
    let count = items.len();
    let networks: Vec<_> = items
        .into_iter()
        .filter_map(|item| r.parsed(item, one_network))
        .collect();
    // A list of which a part is wrong would let in, or keep out, other clients than was meant.
    (networks.len() == count).then(|| networks.into_iter().map(|at| at.value).collect())
}

fn one_network(text: &str) -> Result<IpNet, Fault> {
    network(text).map_err(|title| Fault {
        title,
        help: Some("write an address or a network, such as \"10.0.0.0/8\"".to_owned()),
        range: None,
    })
}

/// A file with a network a line; `#` begins a comment.
fn file_of_networks(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<IpNet>> {
    let path = r.text(item)?;
    let text = match std::fs::read_to_string(&path.value) {
        Ok(text) => text,
        Err(error) => {
            let title = format!("the file {} cannot be read: {error}", path.value);
            r.problems.push(Problem::error(title).at(path.span));
            return None;
        }
    };
    let lines = text.lines().zip(1..).filter_map(|(line, number)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (!line.is_empty()).then_some((line, number))
    });
    let read = lines.map(|(line, number)| {
        network(line).map_err(|wrong| format!("{}, line {number}: {wrong}", path.value))
    });
    match read.collect() {
        Ok(networks) => Some(networks),
        Err(title) => {
            let problem = Problem::error(title).at(path.span);
            r.problems
                .push(problem.help("write an address or a network in each line"));
            None
        }
    }
}

/// A number of sessions a second, or a table.
fn source_rate(r: &mut Reader<'_>, item: Item<'_>) -> Option<SourceRate> {
    if let toml::de::DeValue::Integer(_) = item.value {
        return count(r, item).map(|sessions| SourceRate {
            sessions,
            per: Duration::from_secs(1),
        });
    }
    let mut fields = r.table(item, Kind::SourceRate)?;
    let sessions = fields.require(r, "sessions", count).given();
    let per = fields.require(r, "per", Reader::duration).given();
    fields.finish(r);
    Some(SourceRate {
        sessions: sessions?,
        per: per?,
    })
}
