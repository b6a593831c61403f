//! From an [`Expression`] to a [`Condition`]: every name is looked up.

use std::sync::Arc;

use super::parse::{Expression, Name};
use super::{Comparison, Condition, Sample, SampleKind};
use crate::id::{BackendId, FrontendId, ServerId};

/// Where names are looked up. What is not found is recorded by the implementor, so that all
/// unknown names of a condition are reported, not only the first.
pub trait Scope {
    /// The backend of this name.
    fn backend(&mut self, name: &Name) -> Option<BackendId>;
    /// The server of this name in a backend.
    fn server(&mut self, backend: BackendId, name: &Name) -> Option<ServerId>;
    /// The frontend of this name.
    fn frontend(&mut self, name: &Name) -> Option<FrontendId>;
    /// What the ACL of this name says.
    fn acl(&mut self, name: &Name) -> Option<Arc<Condition>>;
}

/// The condition, or `None` if a name in it was not found.
pub fn resolve(expression: &Expression, scope: &mut impl Scope) -> Option<Condition> {
    match expression {
        Expression::All(inner) => resolve_each(inner, scope).map(Condition::All),
        Expression::Any(inner) => resolve_each(inner, scope).map(Condition::Any),
        Expression::Not(inner) => resolve(inner, scope).map(|c| Condition::Not(Box::new(c))),
        Expression::Named(name) => {
            let definition = scope.acl(name)?;
            Some(Condition::Named(name.text.clone(), definition))
        }
        Expression::Compare(kind, name, comparison, value, _) => {
            let sample = sample(*kind, name, scope)?;
            Some(Condition::Compare(sample, *comparison, *value))
        }
        Expression::Port(comparison, port) => Some(port_is(*comparison, *port)),
        Expression::Source(networks) => Some(Condition::Source(networks.clone())),
        Expression::ServerIsUp { backend, server } => {
            let backend = scope.backend(backend)?;
            scope.server(backend, server).map(Condition::ServerIsUp)
        }
    }
}

fn resolve_each(expressions: &[Expression], scope: &mut impl Scope) -> Option<Vec<Condition>> {
    // Collected first, so that one unknown name does not hide the next.
    let resolved: Vec<_> = expressions.iter().map(|e| resolve(e, scope)).collect();
    resolved.into_iter().collect()
}

fn sample(kind: SampleKind, name: &Name, scope: &mut impl Scope) -> Option<Sample> {
    match kind {
        SampleKind::UsableServers => scope.backend(name).map(Sample::UsableServers),
        SampleKind::BackendSessions => scope.backend(name).map(Sample::BackendSessions),
        SampleKind::FrontendSessions => scope.frontend(name).map(Sample::FrontendSessions),
    }
}

fn port_is(comparison: Comparison, port: u16) -> Condition {
    Condition::Compare(Sample::DestinationPort, comparison, u64::from(port))
}

impl Condition {
    /// How many conditions this one is made of, counting what named ACLs stand for wherever
    /// they are used. This bounds the work of [`Condition::holds`].
    pub fn size(&self) -> u64 {
        let inner = match self {
            Self::All(inner) | Self::Any(inner) => {
                inner.iter().map(Self::size).fold(0, u64::saturating_add)
            }
            Self::Not(inner) => inner.size(),
            Self::Named(_, definition) => definition.size(),
            Self::Source(networks) => networks.len() as u64,
            Self::Compare(..) | Self::ServerIsUp(_) => 0,
        };
        inner.saturating_add(1)
    }
}
