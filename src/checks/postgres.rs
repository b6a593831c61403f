//! The check of a PostgreSQL server's role, by a query.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, join, split};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage};
use tokio_rustls::client;

use super::finding::{Finding, words};
use super::target::{Deadline, Io, Target};
use super::tls::TlsClient;
use crate::config::check::{PostgresCheck, PostgresRole};
use crate::topology::status::CheckStatus;

const QUERY: &str = "SELECT pg_catalog.pg_is_in_recovery()";

/// More than this is never read: a message may say that it has two gigabytes.
const READ: u64 = 65_536;

pub(super) async fn check(
    target: &Target<'_>,
    check: &PostgresCheck,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let (stream, deadline) = target.open(None).await?;
    let (read, write) = split(stream);
    let stream = join(read.take(READ), write);
    let config = config(check);
    let asked = async {
        match tls {
            None => ask(stream, NoTls, &config).await,
            Some(tls) => {
                let host = target.host;
                ask(
                    stream,
                    Connector {
                        tls,
                        host,
                        deadline,
                    },
                    &config,
                )
                .await
            }
        }
    };
    let replica = deadline
        .answer("no answer from PostgreSQL", asked)
        .await??;
    let found = if replica { "replica" } else { "primary" };
    match (check.role, replica) {
        (PostgresRole::Any, _) | (PostgresRole::Primary, false) | (PostgresRole::Replica, true) => {
            Ok(Finding::passed(format!("role {found}")))
        }
        (PostgresRole::Primary, true) => Err(Finding::refused("it is a replica, not a primary")),
        (PostgresRole::Replica, false) => Err(Finding::refused("it is a primary, not a replica")),
    }
}

fn config(check: &PostgresCheck) -> Config {
    let mut config = Config::new();
    config
        .user(&check.user)
        .dbname(&check.database)
        .application_name("backstop");
    if let Some(password) = &check.password {
        config.password(password.reveal());
    }
    config.ssl_mode(match check.tls {
        Some(_) => SslMode::Require,
        None => SslMode::Disable,
    });
    config
}

/// Logs in and asks whether the server follows another one.
async fn ask<S, T>(stream: S, tls: T, config: &Config) -> Result<bool, Finding>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: TlsConnect<S>,
{
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(explain)?;
    // The connection says goodbye and ends when the client is dropped.
    let query = async move { client.simple_query(QUERY).await };
    let (answer, ended) = tokio::join!(query, connection);
    let messages = match (answer, ended) {
        (Ok(messages), _) => messages,
        (Err(closed), Err(error)) if closed.is_closed() => return Err(explain(error)),
        (Err(error), _) => return Err(explain(error)),
    };
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    match row {
        Some("t") => Ok(true),
        Some("f") => Ok(false),
        _ => Err(Finding::garbage(format!("odd answer to {QUERY}"))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn explain(error: Error) -> Finding {
    if let Some(error) = error.as_db_error() {
        let text = format!("{}: {}", error.severity(), error.message());
        return Finding::refused(words(text.as_bytes()));
    }
    if let Some(finding) = error
        .source()
        .and_then(|source| source.downcast_ref::<Finding>())
    {
        return finding.clone();
    }
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let text = words(text.as_bytes());
    if text.contains("TLS handshake") {
        return Finding::new(CheckStatus::L6Response, text);
    }
    if text.contains("password missing") {
        return Finding::refused("the server asks for a password; give the check one");
    }
    Finding::garbage(text)
}

/// Agrees on TLS when PostgreSQL said that it is ready to.
struct Connector<'a> {
    tls: &'a TlsClient,
    host: &'a str,
    deadline: Deadline,
}

impl<'a, S: Io + 'a> TlsConnect<S> for Connector<'a> {
    type Stream = Secured<S>;
    type Error = Finding;
    type Future = Pin<Box<dyn Future<Output = Result<Secured<S>, Finding>> + 'a>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let Self {
                tls,
                host,
                deadline,
            } = self;
            tls.connect(stream, host, deadline).await.map(Secured)
        })
    }
}

struct Secured<S>(client::TlsStream<S>);

impl<S: Io> TlsStream for Secured<S> {
    /// Passwords are as safe as the verified certificate.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: Io> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: Io> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
