//! Which clients a frontend serves, how many at a time, and who speaks for others.

use std::time::Duration;

use crate::networks::Networks;

/// `accept_proxy`: connections that begin with a PROXY header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptProxy {
    /// Who sends such headers; others are plain clients.
    pub from: Networks,
    /// How long the header may take.
    pub timeout: Duration,
}

/// Which clients are served, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientLimits {
    /// If set, no others are served.
    pub allow: Option<Networks>,
    /// These are not served.
    pub deny: Networks,
    /// The most new sessions in a second; more connections wait (`rate-limit sessions`).
    pub rate: Option<u32>,
    /// The most new sessions of one address; more are refused.
    pub source_rate: Option<SourceRate>,
}

/// `source_rate_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRate {
    /// How many.
    pub sessions: u32,
    /// In how long.
    pub per: Duration,
}

/// The version of the PROXY header that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}
