//! What a health check is: how often, where, and what is asked of the server.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderMap;
use hyper::http::uri::PathAndQuery;
use regex::bytes::Regex;
use rustls::pki_types::{CertificateDer, ServerName};

use super::clients::ProxyVersion;

/// `check = true` or `check = { … }`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckConfig {
    /// Between two checks of a server that is steadily up (`inter`).
    pub interval: Duration,
    /// While changing state, if other than `interval` (`fastinter`).
    pub fast_interval: Option<Duration>,
    /// While down, if other than `interval` (`downinter`).
    pub down_interval: Option<Duration>,
    /// Checks in a row that must pass before a down server is up.
    pub rise: u32,
    /// Checks in a row that must fail before an up server is down.
    pub fall: u32,
    /// For the whole check, in place of the backend's connect and check timeouts.
    pub timeout: Option<Duration>,
    /// Checked in place of the server's own port.
    pub port: Option<u16>,
    /// Checked in place of the server's own host.
    pub host: Option<String>,
    /// The address of this machine that checks are made from (`source`).
    pub source: Option<IpAddr>,
    /// The PROXY header that its connections begin with (`check-send-proxy`).
    pub send_proxy: Option<ProxyVersion>,
    /// What the server must do to pass.
    pub kind: CheckKind,
}

impl Default for CheckConfig {
    /// HAProxy's defaults (configuration.txt, "inter", "rise", "fall").
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            fast_interval: None,
            down_interval: None,
            rise: 2,
            fall: 3,
            timeout: None,
            port: None,
            host: None,
            source: None,
            send_proxy: None,
            kind: CheckKind::default(),
        }
    }
}

/// What a server must do to pass its check (`type`).
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    /// Take a connection, and take and give what the steps say (`option tcp-check`).
    Tcp {
        /// In order; empty means that the connection is enough.
        steps: Vec<TcpStep>,
        /// Each connection is made by TLS.
        tls: Option<TlsConfig>,
    },
    /// Answer an HTTP request (`option httpchk`).
    Http(HttpCheck),
    /// Be a redis server in the right role.
    Redis(RedisCheck),
    /// Be a PostgreSQL server in the right role.
    Postgres(PostgresCheck),
    /// Be a MySQL or MariaDB server (`option mysql-check`).
    Mysql(MysqlCheck),
    /// Greet as a mail server (`option smtpchk`).
    Smtp(SmtpCheck),
    /// Accept an anonymous bind (`option ldap-check`).
    Ldap {
        /// The connection is made by TLS (`ldaps`).
        tls: Option<TlsConfig>,
    },
    /// Answer a TLS `ClientHello` by a `ServerHello` (`option ssl-hello-chk`).
    TlsHello {
        /// The name sent in the `ClientHello`.
        sni: Option<ServerName<'static>>,
    },
    /// Let a program succeed (`option external-check`).
    External(ExternalCheck),
}

impl Default for CheckKind {
    fn default() -> Self {
        Self::Tcp {
            steps: Vec::new(),
            tls: None,
        }
    }
}

/// One step of a `tcp` check (`tcp-check connect`, `send`, `expect`).
#[derive(Debug, Clone, PartialEq)]
pub enum TcpStep {
    /// Open a new connection to this port of the server.
    Connect(u16),
    /// Send these bytes, which may hold a password.
    Send(Secret<Vec<u8>>),
    /// Wait until these bytes stand in the answer.
    Expect(Vec<u8>),
    /// Wait until the answer matches.
    ExpectRegex(Pattern),
}

/// A regular expression over bytes; two are equal if they are written the same.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// How a check makes a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Whether the certificate must be valid for the server's name.
    pub verify: bool,
    /// Who may have signed the certificate; `None` is whom the system trusts.
    pub ca: Option<CaFile>,
    /// The name that is asked for and verified; `None` is the host that is checked.
    pub sni: Option<ServerName<'static>>,
}

/// The certificates of a file, as they were when the configuration was read.
#[derive(Clone, PartialEq, Eq)]
pub struct CaFile {
    /// As configured.
    pub path: PathBuf,
    /// Never empty.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.certificates.len();
        write!(f, "CaFile({}, {count} certificates)", self.path.display())
    }
}

/// `type = "http"`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCheck {
    /// `GET` unless configured.
    pub method: Method,
    /// `/` unless configured.
    pub path: PathAndQuery,
    /// The `Host` header; `None` is the host and port that are checked.
    pub host: Option<String>,
    /// Sent beside `Host`, `User-Agent` and `Connection`. The values are marked sensitive, so
    /// that `Debug` does not show them.
    pub headers: HeaderMap,
    /// The status codes that pass; never empty.
    pub status: Vec<RangeInclusive<u16>>,
    /// What must stand in the first 65,536 bytes of the answer's body.
    pub body_contains: Option<String>,
    /// Asked by HTTPS.
    pub tls: Option<TlsConfig>,
}

impl Default for HttpCheck {
    /// `GET /`, and every status from 200 to 399 passes (configuration.txt, "option httpchk").
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: PathAndQuery::from_static("/"),
            host: None,
            headers: HeaderMap::new(),
            status: vec![200..=399],
            body_contains: None,
            tls: None,
        }
    }
}

/// `type = "redis"`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisCheck {
    /// The role that the server must have.
    pub role: RedisRole,
    /// For servers with access control lists; never without a password.
    pub user: Option<String>,
    /// Sent by `AUTH`.
    pub password: Option<Secret<String>>,
    /// `CLUSTER INFO` must say `cluster_state:ok`.
    pub cluster: bool,
    /// The connection is made by TLS.
    pub tls: Option<TlsConfig>,
}

/// What a redis server may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisRole {
    /// Both.
    #[default]
    Any,
    /// It takes writes.
    Master,
    /// It follows a master.
    Replica,
}

/// `type = "postgres"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresCheck {
    /// The role that the server must have.
    pub role: PostgresRole,
    /// Who logs in.
    pub user: String,
    /// `None` for servers that ask for none.
    pub password: Option<Secret<String>>,
    /// Where the query runs.
    pub database: String,
    /// The connection is made by TLS, asked for as PostgreSQL does.
    pub tls: Option<TlsConfig>,
}

/// What a PostgreSQL server may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostgresRole {
    /// Both.
    #[default]
    Any,
    /// It takes writes: `pg_is_in_recovery()` is false.
    Primary,
    /// It follows a primary: `pg_is_in_recovery()` is true.
    Replica,
}

/// `type = "mysql"`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MysqlCheck {
    /// Who logs in; without it the server's greeting is enough.
    pub user: Option<String>,
    /// `None` for users without a password.
    pub password: Option<Secret<String>>,
    /// What `@@global.read_only` must be; `None` is either. Needs a user.
    pub read_only: Option<bool>,
    /// The connection is made by TLS, asked for as MySQL does. Needs a user.
    pub tls: Option<TlsConfig>,
}

/// `type = "smtp"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpCheck {
    /// What the check calls itself in `EHLO` or `HELO`.
    pub domain: String,
    /// The connection is made by TLS (`smtps`).
    pub tls: Option<TlsConfig>,
}

/// `type = "external"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalCheck {
    /// The program, looked for in `PATH` if there is no slash in it. No shell is involved.
    pub command: PathBuf,
    /// Arguments after the four that HAProxy gives.
    pub arguments: Vec<String>,
}

/// `agent = { … }`: a program beside the server that says how it does (`agent-check`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where the agent listens (`agent-port`).
    pub port: u16,
    /// On another host than the server (`agent-addr`).
    pub host: Option<String>,
    /// Sent to the agent after the connection stands (`agent-send`).
    pub send: Option<String>,
    /// Between two questions (`agent-inter`).
    pub interval: Duration,
}

/// Something that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value` from `Debug`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, to be sent and not to be shown.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let check = RedisCheck {
            password: Some(Secret::new("hunter2".to_owned())),
            ..RedisCheck::default()
        };
        let step = TcpStep::Send(Secret::new(b"AUTH hunter2".to_vec()));
        let mut http = HttpCheck::default();
        let mut value = hyper::header::HeaderValue::from_static("hunter2");
        value.set_sensitive(true);
        http.headers.insert("authorization", value);
        let shown = format!("{check:?} {step:?} {http:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
