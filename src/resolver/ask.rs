//! One question and its answer: `/etc/hosts` first, then name servers.
//!
//! The crate asks name servers; which names are asked for, and what an answer means, is decided
//! here. It would take the last of the names of a search list for the answer to all of them, reads
//! `/etc/hosts` once, and does not look there for the name as it was written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver as Client};
use tokio::time::timeout;

use super::endpoint::{Endpoint, Service};
use super::runtime::Runtime;
use crate::config::ServerAddress;
use crate::config::resolve::{Family, ResolveConfig};

/// Records of one answer that are looked at; a name server may send thousands.
const MOST_RECORDS: usize = 1000;

/// How often a name server that does not answer is asked again.
const AGAIN: u32 = 2;

/// Where names are that no name server is asked for.
const HOSTS: &str = "/etc/hosts";

/// Where the system's name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Where it leads, one place at least, and for how long that is good.
    At(Vec<Endpoint>, Duration),
    /// There is no such name, or it has no address.
    Missing,
    /// Nobody says.
    Silence,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nothing {
    Missing,
    Silence,
}

/// What a file was when it was read.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The resolvers of this thread, one for each set of name servers.
#[derive(Default)]
struct Resolvers {
    read: [Stamp; 2],
    hosts: Rc<Hosts>,
    known: HashMap<(Vec<SocketAddr>, Duration), Rc<Resolver>>,
}

/// Who asks the name servers of one `resolve`.
struct Resolver {
    hosts: Rc<Hosts>,
    search: Vec<Name>,
    ndots: usize,
    client: Client<Runtime>,
}

thread_local! {
    static RESOLVERS: RefCell<Resolvers> = RefCell::default();
}

/// Asks where `address` leads. `in_use` is an address that shall be found too if the name has it,
/// of whichever family.
pub(super) async fn ask(
    address: &ServerAddress,
    config: &ResolveConfig,
    in_use: Option<IpAddr>,
) -> Answer {
    if let Ok(ip) = address.host.parse() {
        let endpoint = Endpoint::at(SocketAddr::new(ip, address.port));
        return Answer::At(vec![endpoint], Duration::MAX);
    }
    let resolver = RESOLVERS.with_borrow_mut(|resolvers| resolvers.of(config));
    let Some(resolver) = resolver else {
        return Answer::Silence;
    };
    let asking: std::pin::Pin<Box<dyn Future<Output = _>>> = if address.is_srv() {
        Box::pin(resolver.services(&address.host, config))
    } else {
        Box::pin(resolver.addresses(address, config, in_use))
    };
    match timeout(config.timeout, asking).await {
        Ok(Ok((endpoints, ttl))) => Answer::At(endpoints, ttl),
        Ok(Err(Nothing::Missing)) => Answer::Missing,
        Ok(Err(Nothing::Silence)) | Err(_) => Answer::Silence,
    }
}

impl Resolvers {
    /// The resolver for `config`, with what the system's files say now.
    fn of(&mut self, config: &ResolveConfig) -> Option<Rc<Resolver>> {
        let now = [HOSTS, RESOLV_CONF].map(stamp);
        if self.read != now {
            self.read = now;
            self.known.clear();
            self.hosts = Rc::new(hosts());
        }
        let key = (config.nameservers.clone(), config.timeout);
        if let Some(known) = self.known.get(&key) {
            return Some(Rc::clone(known));
        }
        let resolver = Resolver::new(config, Rc::clone(&self.hosts));
        let failed = |error| tracing::error!("No name can be looked up: {error}.");
        let resolver = Rc::new(resolver.map_err(failed).ok()?);
        self.known.insert(key, Rc::clone(&resolver));
        Some(resolver)
    }
}

fn stamp(path: &str) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

fn hosts() -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(file) = fs::File::open(HOSTS) {
        // What cannot be read is left out, as the system does.
        let _ = hosts.read_hosts_conf(file);
    }
    hosts
}

impl Resolver {
    fn new(config: &ResolveConfig, hosts: Rc<Hosts>) -> Result<Self, NetError> {
        let given = !config.nameservers.is_empty();
        let system = if given { None } else { read_system_conf().ok() };
        let ndots = system.as_ref().map_or(1, |(_, options)| options.ndots);
        let (servers, search) = match system {
            Some((system, _)) => (system.name_servers, system.search),
            None if given => {
                let servers = config.nameservers.iter().copied();
                (servers.map(name_server).collect(), Vec::new())
            }
            // What the system does without a file.
            None => {
                let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
                (vec![name_server(here)], Vec::new())
            }
        };
        let servers = ResolverConfig::from_name_servers(servers);
        let mut builder = Client::builder_with_config(servers, Runtime::default());
        let options = builder.options_mut();
        options.timeout = config.timeout / (AGAIN + 1);
        options.attempts = AGAIN as usize;
        // All at once, so that one that is dead keeps nobody waiting.
        options.num_concurrent_reqs = 3;
        options.use_hosts_file = ResolveHosts::Never;
        // When to ask again is not for the cache to say.
        options.cache_size = 0;
        Ok(Self {
            hosts,
            search,
            ndots,
            client: builder.build()?,
        })
    }

    /// The addresses of a name, with the port that is configured. Those of the other family count
    /// if the name has none of the preferred one.
    async fn addresses(
        &self,
        address: &ServerAddress,
        config: &ResolveConfig,
        in_use: Option<IpAddr>,
    ) -> Result<(Vec<Endpoint>, Duration), Nothing> {
        let names = candidates(&address.host, &self.search, self.ndots);
        let (mut ips, ttl) = self.ips(&names, config.prefer, in_use).await?;
        order(&mut ips, config.prefer);
        ips.truncate(MOST_RECORDS);
        let at = |ip| Endpoint::at(SocketAddr::new(ip, address.port));
        Ok((ips.into_iter().map(at).collect(), ttl))
    }

    async fn ips(
        &self,
        names: &[Name],
        prefer: Family,
        in_use: Option<IpAddr>,
    ) -> Result<(Vec<IpAddr>, Duration), Nothing> {
        let other = other(prefer);
        let first = self.of_family(names, prefer).await;
        let wanted = in_use.is_some_and(|ip| family(ip) == other);
        match first {
            Err(Nothing::Silence) => Err(Nothing::Silence),
            Err(Nothing::Missing) => self.of_family(names, other).await,
            Ok(found) if !wanted => Ok(found),
            Ok((mut ips, ttl)) => match self.of_family(names, other).await {
                Ok((more, until)) => {
                    ips.extend(more);
                    Ok((ips, ttl.min(until)))
                }
                Err(Nothing::Missing) => Ok((ips, ttl)),
                Err(Nothing::Silence) => Err(Nothing::Silence),
            },
        }
    }

    async fn of_family(
        &self,
        names: &[Name],
        family: Family,
    ) -> Result<(Vec<IpAddr>, Duration), Nothing> {
        let kind = match family {
            Family::Ipv4 => RecordType::A,
            Family::Ipv6 => RecordType::AAAA,
        };
        let (records, ttl) = self.records(names, kind).await?;
        Ok((records.iter().filter_map(ip).collect(), ttl))
    }

    /// The places that a name's SRV records lead to, with an address each.
    async fn services(
        &self,
        host: &str,
        config: &ResolveConfig,
    ) -> Result<(Vec<Endpoint>, Duration), Nothing> {
        let names = candidates(host, &self.search, self.ndots);
        let (records, mut ttl) = self.records(&names, RecordType::SRV).await?;
        let services: Vec<_> = records.iter().filter_map(Service::of).collect();
        let mut endpoints = Vec::new();
        for service in services.into_iter().take(MOST_RECORDS) {
            let target = [service.name.clone()];
            let (mut ips, until) = match self.ips(&target, config.prefer, None).await {
                Ok(found) => found,
                Err(Nothing::Missing) => continue,
                Err(Nothing::Silence) => return Err(Nothing::Silence),
            };
            ttl = ttl.min(until);
            order(&mut ips, config.prefer);
            endpoints.extend(ips.first().map(|ip| service.at(*ip)));
        }
        endpoints.sort();
        endpoints.dedup_by_key(|endpoint| endpoint.address);
        if endpoints.is_empty() {
            return Err(Nothing::Missing);
        }
        Ok((endpoints, ttl))
    }

    /// The records of the first of `names` that has some, and how long they are good. Who does not
    /// answer for one of them does not let the next speak for it.
    async fn records(
        &self,
        names: &[Name],
        kind: RecordType,
    ) -> Result<(Vec<Record>, Duration), Nothing> {
        // A name stands in the hosts file as it is written, without anything of the search list.
        let written = names.iter().min_by_key(|name| name.num_labels());
        if let Some(local) = written.and_then(|name| self.local(name, kind)) {
            return local;
        }
        for name in names {
            match answer(self.client.lookup(name.clone(), kind).await, kind) {
                Err(Nothing::Missing) => {}
                decided => return decided,
            }
        }
        Err(Nothing::Missing)
    }

    /// What is known without asking anybody. A name of the hosts file has no other addresses.
    fn local(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> Option<Result<(Vec<Record>, Duration), Nothing>> {
        let of = |kind| {
            let query = Query::query(name.clone(), kind);
            self.hosts.lookup_static_host(&query)
        };
        if let Some(found) = of(kind) {
            // Looked at again like any other answer: the file may change.
            return Some(Ok((found.answers().to_vec(), Duration::MAX)));
        }
        if of(RecordType::A).or_else(|| of(RecordType::AAAA)).is_some() {
            return Some(Err(Nothing::Missing));
        }
        let loopback = match kind {
            RecordType::A => RData::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            RecordType::AAAA => RData::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            _ => return None,
        };
        let record = Record::from_rdata(name.clone(), 0, loopback);
        name.is_localhost()
            .then(|| Ok((vec![record], Duration::MAX)))
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

/// The names to ask for, in order: with too few dots, those of the search list come first.
fn candidates(host: &str, search: &[Name], ndots: usize) -> Vec<Name> {
    let Ok(name) = Name::from_ascii(host) else {
        return Vec::new();
    };
    let mut complete = name.clone();
    complete.set_fqdn(true);
    if name.is_fqdn() {
        return vec![complete];
    }
    let searched = search.iter().filter_map(|domain| {
        let mut name = name.clone().append_domain(domain).ok()?;
        name.set_fqdn(true);
        Some(name)
    });
    let dots = host.matches('.').count();
    if dots >= ndots {
        std::iter::once(complete).chain(searched).collect()
    } else {
        searched.chain(std::iter::once(complete)).collect()
    }
}

/// What a name server's answer says.
fn answer(
    found: Result<Lookup, NetError>,
    kind: RecordType,
) -> Result<(Vec<Record>, Duration), Nothing> {
    let lookup = match found {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let exists = matches!(
                none.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            );
            // Who only names other name servers knows nothing of the name.
            let referral = none.ns.is_some() && none.soa.is_none();
            return Err(if exists && !referral {
                Nothing::Missing
            } else {
                Nothing::Silence
            });
        }
        Err(_) => return Err(Nothing::Silence),
    };
    let records = lookup.answers().iter();
    let ttl = records.clone().map(|record| record.ttl).min().unwrap_or(0);
    let records: Vec<_> = records
        .filter(|record| record.record_type() == kind)
        .take(MOST_RECORDS)
        .cloned()
        .collect();
    if records.is_empty() {
        return Err(Nothing::Missing);
    }
    Ok((records, Duration::from_secs(ttl.into())))
}

fn ip(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

fn family(ip: IpAddr) -> Family {
    match ip {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::Ipv4 => Family::Ipv6,
        Family::Ipv6 => Family::Ipv4,
    }
}

/// The same order whatever the name server's is, so that two proxies take the same addresses.
fn order(ips: &mut Vec<IpAddr>, prefer: Family) {
    ips.sort_by_key(|ip| (family(*ip) != prefer, *ip));
    ips.dedup();
}
