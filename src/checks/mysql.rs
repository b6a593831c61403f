//! The check of a MySQL or MariaDB server: its greeting, and with a user a login and whether
//! it is read-only (`option mysql-check`).

use super::conversation::Conversation;
use super::finding::{Finding, words};
use super::target::Target;
use super::tls::TlsClient;
use crate::config::check::MysqlCheck;
use crate::topology::status::CheckStatus;

mod auth;
pub(super) mod packet;

use self::auth::Answer;
use self::packet::{Greeting, Packet, Reply};

const QUERY: &[u8] = b"\x03SELECT @@global.read_only";
const QUIT: &[u8] = b"\x01";

pub(super) async fn check(
    target: &Target<'_>,
    check: &MysqlCheck,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let mut mysql = Session {
        conversation: target.talk(None).await?,
        sequence: 0,
    };
    let greeting = mysql.read("the connection").await?.greeting()?;
    let version = greeting.version.clone();
    let Some(user) = &check.user else {
        return Ok(Finding::passed(version));
    };
    let login = Login {
        user,
        password: check
            .password
            .as_ref()
            .map_or("", |password| password.reveal()),
        secured: tls.is_some(),
    };
    if let Some(tls) = tls {
        mysql = mysql.secure(&greeting, tls, target.host).await?;
    }
    mysql.log_in(&greeting, &login).await?;
    let finding = match check.read_only {
        None => Ok(Finding::passed(version)),
        Some(wanted) => mysql
            .read_only()
            .await
            .and_then(|found| match (wanted, found) {
                (true, false) => Err(Finding::refused("read_only is 0, not 1")),
                (false, true) => Err(Finding::refused("read_only is 1, not 0")),
                _ => Ok(Finding::passed(format!(
                    "{version}, read_only {}",
                    u8::from(found)
                ))),
            }),
    };
    // Without a goodbye the server would count an aborted connection.
    mysql.sequence = 0;
    let _ = mysql.send(QUIT, "the goodbye").await;
    finding
}

/// Who logs in, and how safely.
struct Login<'a> {
    user: &'a str,
    password: &'a str,
    secured: bool,
}

/// Packets over a connection, whose numbers must follow one another.
struct Session {
    conversation: Conversation,
    sequence: u8,
}

impl Session {
    async fn read(&mut self, to: &str) -> Result<Packet, Finding> {
        let packet = self.conversation.answer(to, Packet::parse).await?;
        self.sequence = packet.sequence.wrapping_add(1);
        Ok(packet)
    }

    async fn send(&mut self, payload: &[u8], what: &str) -> Result<(), Finding> {
        let bytes = packet::encode(self.sequence, payload);
        self.conversation.send(&bytes, what).await
    }

    async fn secure(
        mut self,
        greeting: &Greeting,
        tls: &TlsClient,
        host: &str,
    ) -> Result<Self, Finding> {
        if !greeting.offers_tls() {
            let info = "the server does not offer TLS";
            return Err(Finding::new(CheckStatus::L6Response, info));
        }
        self.send(&packet::tls_request(), "the request for TLS")
            .await?;
        Ok(Self {
            conversation: self.conversation.secure(tls, host).await?,
            sequence: self.sequence.wrapping_add(1),
        })
    }

    async fn log_in(&mut self, greeting: &Greeting, login: &Login<'_>) -> Result<(), Finding> {
        let mut plugin = greeting.plugin.clone();
        // A plugin that is not known is replaced by what the server asks for next.
        let first = auth::answer(&plugin, login.password, &greeting.nonce, login.secured);
        let response = match first {
            Answer::Bytes(bytes) => bytes,
            Answer::Unsupported => Vec::new(),
        };
        let hello = packet::login(login.user, &response, &plugin, login.secured);
        self.send(&hello, "the login").await?;
        // OK comes after two or three packets; a server may not go on for ever.
        for _ in 0..5 {
            match self.read("the login").await?.reply()? {
                Reply::Ok => return Ok(()),
                Reply::SwitchTo {
                    plugin: other,
                    nonce,
                } => {
                    let answer = auth::answer(&other, login.password, &nonce, login.secured);
                    let Answer::Bytes(bytes) = answer else {
                        return Err(unsupported(login, &other));
                    };
                    self.send(&bytes, "the login").await?;
                    plugin = other;
                }
                Reply::More(data) => match (data.as_slice(), login.secured) {
                    (auth::FAST_OK, _) => {}
                    (auth::FULL, true) => {
                        self.send(&auth::clear(login.password), "the login").await?;
                    }
                    (auth::FULL, false) => return Err(needs_tls(login)),
                    _ => return Err(unsupported(login, &plugin)),
                },
            }
        }
        Err(Finding::garbage("the login does not come to an end"))
    }

    /// The value of the global variable `read_only`.
    async fn read_only(&mut self) -> Result<bool, Finding> {
        self.sequence = 0;
        self.send(QUERY, "the query").await?;
        self.read("the query").await?.column_count()?;
        self.until_end_marker().await?;
        let value = self.read("the query").await?.first_column()?;
        // Newer versions of MariaDB have several ways of being read-only, and one of not.
        Ok(!matches!(value.as_slice(), b"0" | b"OFF"))
    }

    /// Skips the description of the result's columns.
    async fn until_end_marker(&mut self) -> Result<(), Finding> {
        for _ in 0..3 {
            if self.read("the query").await?.is_end_marker() {
                return Ok(());
            }
        }
        Err(Finding::garbage("odd answer to the query"))
    }
}

fn unsupported(login: &Login<'_>, plugin: &str) -> Finding {
    let plugin = words(plugin.as_bytes());
    let user = login.user;
    Finding::refused(format!(
        "the user {user} logs in by {plugin}, which checks cannot; use caching_sha2_password or \
         mysql_native_password{}",
        if login.secured { "" } else { ", or TLS" }
    ))
}

fn needs_tls(login: &Login<'_>) -> Finding {
    let user = login.user;
    Finding::refused(format!(
        "the server has not cached the password of {user} and wants it over TLS: set \
         `tls = true`, or log in once by other means after each start of the server"
    ))
}
