//! Conditions: what an ACL or a rule's `if` says, and whether it holds for a session.
//!
//! - [`parse`]: text to an [`parse::Expression`], with positions for error messages.
//! - [`resolve`]: an [`parse::Expression`] to a [`Condition`], every name looked up.
//! - [`show`]: a [`Condition`] back to text, for people.
//! - [`eval`]: a [`Condition`] against the [`eval::Facts`] of a session.

pub mod eval;
mod lex;
pub mod parse;
pub mod resolve;
pub mod show;

use std::sync::Arc;

use ipnet::IpNet;

use crate::id::{BackendId, FrontendId, ServerId};

/// A condition with every name in it resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them hold (`and`, or simply side by side as in HAProxy).
    All(Vec<Condition>),
    /// At least one holds (`or`).
    Any(Vec<Condition>),
    /// The inner one does not hold (`not`, `!`, and a rule's `unless`).
    Not(Box<Condition>),
    /// A named ACL, with its definition.
    Named(String, Arc<Condition>),
    /// A number compared with a constant.
    Compare(Sample, Comparison, u64),
    /// The client's address is in one of the networks (`src`).
    Source(Vec<IpNet>),
    /// The server is up (`srv_is_up`).
    ServerIsUp(ServerId),
}

/// A number that a condition can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Usable servers of a backend (`nbsrv`).
    UsableServers(BackendId),
    /// Sessions on a backend now (`be_conn`).
    BackendSessions(BackendId),
    /// Sessions on a frontend now (`fe_conn`).
    FrontendSessions(FrontendId),
    /// The port that the client connected to (`dst_port`).
    DestinationPort,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `eq`, `==`
    Equal,
    /// `ne`, `!=`
    NotEqual,
    /// `lt`, `<`
    Less,
    /// `le`, `<=`
    LessOrEqual,
    /// `gt`, `>`
    Greater,
    /// `ge`, `>=`
    GreaterOrEqual,
}

/// A sample that takes a backend's or frontend's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// `nbsrv(BACKEND)`
    UsableServers,
    /// `be_conn(BACKEND)`
    BackendSessions,
    /// `fe_conn(FRONTEND)`
    FrontendSessions,
}

impl SampleKind {
    const ALL: [Self; 3] = [
        Self::UsableServers,
        Self::BackendSessions,
        Self::FrontendSessions,
    ];

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.keyword() == word)
    }

    /// Its name in conditions.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::UsableServers => "nbsrv",
            Self::BackendSessions => "be_conn",
            Self::FrontendSessions => "fe_conn",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::UsableServers | Self::BackendSessions => "BACKEND",
            Self::FrontendSessions => "FRONTEND",
        }
    }
}

impl Comparison {
    const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    /// Its name in conditions.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
        }
    }
}

impl Condition {
    /// Whether a server's failure or recovery can change what it says.
    pub fn looks_at_servers(&self) -> bool {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().any(Self::looks_at_servers),
            Self::Not(inner) => inner.looks_at_servers(),
            Self::Named(_, definition) => definition.looks_at_servers(),
            Self::Compare(sample, _, _) => matches!(sample, Sample::UsableServers(_)),
            Self::ServerIsUp(_) => true,
            Self::Source(_) => false,
        }
    }

    /// Whether it looks at nothing but which servers are usable or up, so that it is the same
    /// for every client and can change only when a server does.
    pub fn is_about_servers(&self) -> bool {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().all(Self::is_about_servers),
            Self::Not(inner) => inner.is_about_servers(),
            Self::Named(_, definition) => definition.is_about_servers(),
            Self::Compare(sample, _, _) => matches!(sample, Sample::UsableServers(_)),
            Self::ServerIsUp(_) => true,
            Self::Source(_) => false,
        }
    }
}
