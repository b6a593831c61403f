//! A [`Condition`] as text that [`super::parse`] reads back to the same condition.

use std::fmt;

use ipnet::IpNet;

use super::{Condition, Sample};
use crate::id::{BackendId, FrontendId, ServerId};

/// Knows what objects are called.
pub trait Names {
    /// What the backend is called.
    fn backend(&self, id: BackendId) -> &str;
    /// What the frontend is called.
    fn frontend(&self, id: FrontendId) -> &str;
    /// What the server is called, without its backend.
    fn server(&self, id: ServerId) -> &str;
}

/// A condition with the names to show it by.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    condition: &'a Condition,
    names: &'a dyn Names,
}

impl Condition {
    /// The condition for people. Named ACLs show as their names.
    pub fn show<'a>(&'a self, names: &'a dyn Names) -> Shown<'a> {
        Shown {
            condition: self,
            names,
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Condition::All(inner) => self.join(f, inner, " and "),
            Condition::Any(inner) => self.join(f, inner, " or "),
            Condition::Not(inner) => write!(f, "not {}", self.grouped(inner)),
            Condition::Named(name, _) => f.write_str(name),
            Condition::Compare(sample, comparison, value) => {
                self.sample(f, *sample)?;
                write!(f, " {} {value}", comparison.keyword())
            }
            Condition::Source(networks) => {
                f.write_str("src")?;
                networks
                    .iter()
                    .try_for_each(|network| show_network(f, network))
            }
            Condition::ServerIsUp(id) => {
                let backend = self.names.backend(id.backend);
                write!(f, "srv_is_up({backend}/{})", self.names.server(*id))
            }
        }
    }
}

impl<'a> Shown<'a> {
    fn join(self, f: &mut fmt::Formatter<'_>, inner: &'a [Condition], word: &str) -> fmt::Result {
        for (index, condition) in inner.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { word })?;
            write!(f, "{}", self.grouped(condition))?;
        }
        Ok(())
    }

    fn sample(self, f: &mut fmt::Formatter<'_>, sample: Sample) -> fmt::Result {
        match sample {
            Sample::UsableServers(id) => write!(f, "nbsrv({})", self.names.backend(id)),
            Sample::BackendSessions(id) => write!(f, "be_conn({})", self.names.backend(id)),
            Sample::FrontendSessions(id) => write!(f, "fe_conn({})", self.names.frontend(id)),
            Sample::DestinationPort => f.write_str("dst_port"),
        }
    }

    /// In parentheses if it is made of several.
    fn grouped(self, condition: &'a Condition) -> Grouped<'a> {
        Grouped(condition.show(self.names))
    }
}

struct Grouped<'a>(Shown<'a>);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.condition {
            Condition::All(_) | Condition::Any(_) => write!(f, "({})", self.0),
            _ => self.0.fmt(f),
        }
    }
}

fn show_network(f: &mut fmt::Formatter<'_>, network: &IpNet) -> fmt::Result {
    if network.prefix_len() == network.max_prefix_len() {
        write!(f, " {}", network.addr())
    } else {
        write!(f, " {network}")
    }
}
