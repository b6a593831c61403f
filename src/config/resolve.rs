//! How names of servers are looked up.

use std::net::SocketAddr;
use std::time::Duration;

/// `resolve = { … }` (configuration.txt, "resolvers").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResolveConfig {
    /// Who is asked; empty means those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
    /// Which of a name's addresses is taken first.
    pub prefer: Family,
    /// How long one look-up may take, whoever is asked and however often.
    pub timeout: Duration,
    /// Between two look-ups of a name that has no answer, or whose server is down
    /// ("timeout resolve").
    pub interval: Duration,
    /// How long an answer is good at most ("hold valid"); its TTL may say less.
    pub hold_valid: Duration,
    /// For how long a name may be missing before a server that works loses its address
    /// ("hold nx").
    pub hold_nx: Duration,
    /// For how long an address may be missing in the answers before a server of a template that
    /// works loses it ("hold obsolete").
    pub hold_obsolete: Duration,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    #[default]
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}

impl Default for ResolveConfig {
    /// HAProxy's hold times.
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            prefer: Family::default(),
            timeout: Duration::from_secs(2),
            interval: Duration::from_secs(2),
            hold_valid: Duration::from_secs(10),
            hold_nx: Duration::from_secs(30),
            hold_obsolete: Duration::ZERO,
        }
    }
}
