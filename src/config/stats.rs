//! What `[stats]` says: where the page is, who may see it, and who may change servers there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use rustls::ServerConfig;

use super::check::Secret;

/// `[stats]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsConfig {
    /// Addresses to serve the page on; never empty.
    pub bind: Vec<SocketAddr>,
    /// The page's path, starting with `/`.
    pub uri: String,
    /// Shown by browsers when they ask for the password.
    pub realm: String,
    /// Who may see the page, each name once; empty means anyone.
    pub users: Vec<User>,
    /// Whether those whose role is [`Role::Admin`] may change servers on the page; there is one
    /// of them at least.
    pub admin: bool,
    /// What the page is served with over TLS; `None` is plain HTTP.
    pub tls: Option<PageTls>,
    /// How often the page reloads itself, if it does.
    pub refresh: Option<Duration>,
}

/// Someone who may see the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Without colons and control characters.
    pub name: String,
    /// What the user has to know.
    pub password: Password,
    /// What the user may do.
    pub role: Role,
}

/// What a user has to know. `Debug` shows none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// As the user types it.
    Plain(Secret<String>),
    /// An argon2 hash of it, which can be verified and is not too expensive.
    Hash(Secret<Box<PasswordHash>>),
}

/// What a user of the page may do; each role may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    View,
    /// Change servers, if [`StatsConfig::admin`] allows that at all.
    Admin,
}

/// The page's certificate and its key.
#[derive(Clone)]
pub struct PageTls {
    /// The file of the certificate and those between it and a root.
    pub cert: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// What was made of both.
    pub config: Arc<ServerConfig>,
}

impl fmt::Debug for PageTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageTls({}, …)", self.cert.display())
    }
}

impl PartialEq for PageTls {
    /// Whether it is the same reading of the same files: what they hold may have changed since.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for PageTls {}
