//! One check of one server, whatever its kind.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::finding::Finding;
use super::secrets::Secrets;
use super::target::{Limits, Target};
use super::tls::TlsClient;
use super::{external, http, ldap, mysql, postgres, redis, smtp, tcp, tls_hello};
use crate::config::check::TlsConfig;
use crate::config::{CheckConfig, CheckKind, ServerTimeouts};
use crate::topology::Server;
use crate::topology::status::{CheckReport, CheckStatus};

/// A check that can be made again and again: what is the same each time is done once.
#[derive(Debug)]
pub struct Probe {
    check: CheckConfig,
    limits: Limits,
    /// For a check that traffic has asked for.
    hurried: Limits,
    tls: Option<TlsClient>,
    secrets: Secrets,
}

impl Probe {
    /// Prepares `check` for a server of a backend with these timeouts.
    pub fn new(check: &CheckConfig, timeouts: &ServerTimeouts) -> Self {
        Self {
            check: check.clone(),
            limits: Limits::new(check, timeouts),
            hurried: Limits::hurried(check, timeouts),
            tls: tls(&check.kind).map(TlsClient::new),
            secrets: Secrets::of(check),
        }
    }

    /// Checks `server` once. It always ends, at the latest when the check's time is up.
    pub async fn run(&self, server: &Server) -> CheckReport {
        self.run_within(server, self.limits).await
    }

    /// As [`Self::run`], for clients that wait: a connection that takes longer than a session's
    /// may is no use to them.
    pub async fn run_hurried(&self, server: &Server) -> CheckReport {
        self.run_within(server, self.hurried).await
    }

    async fn run_within(&self, server: &Server, limits: Limits) -> CheckReport {
        let _place = match self.check.kind {
            CheckKind::External(_) => external::place().await,
            _ => None,
        };
        let began = Instant::now();
        let finding = caught(self.find(server, limits)).await;
        let mut report = report(finding, began.elapsed());
        report.info = self.secrets.mask(report.info);
        report
    }

    async fn find(&self, server: &Server, limits: Limits) -> Result<Finding, Finding> {
        let Self { check, tls, .. } = self;
        let own_host = check.host.as_deref();
        let address = address(server, own_host, check.port).await?;
        let host = own_host.unwrap_or(&server.config.address.host);
        let target = Target::new(address, host, check.source, limits);
        let target = &target.beginning_with(check.send_proxy);
        let tls = tls.as_ref();
        // Between two checks a server should not hold the memory that the largest of them needs.
        let checked: Pin<Box<dyn Future<Output = _>>> = match &check.kind {
            CheckKind::Tcp { steps, .. } => Box::pin(tcp::check(target, steps, tls)),
            CheckKind::Http(check) => Box::pin(http::check(target, check, tls)),
            CheckKind::Redis(check) => Box::pin(redis::check(target, check, tls)),
            CheckKind::Postgres(check) => Box::pin(postgres::check(target, check, tls)),
            CheckKind::Mysql(check) => Box::pin(mysql::check(target, check, tls)),
            CheckKind::Smtp(check) => Box::pin(smtp::check(target, check, tls)),
            CheckKind::Ldap { .. } => Box::pin(ldap::check(target, tls)),
            CheckKind::TlsHello { sni } => Box::pin(tls_hello::check(target, sni.as_ref())),
            CheckKind::External(check) => Box::pin(external::check(target, check, server)),
        };
        checked.await
    }
}

fn tls(kind: &CheckKind) -> Option<&TlsConfig> {
    match kind {
        CheckKind::Tcp { tls, .. } | CheckKind::Ldap { tls } => tls.as_ref(),
        CheckKind::Http(check) => check.tls.as_ref(),
        CheckKind::Redis(check) => check.tls.as_ref(),
        CheckKind::Postgres(check) => check.tls.as_ref(),
        CheckKind::Mysql(check) => check.tls.as_ref(),
        CheckKind::Smtp(check) => check.tls.as_ref(),
        CheckKind::TlsHello { .. } | CheckKind::External(_) => None,
    }
}

/// A panic in a check, or in a crate that reads what a server sends, must not end the loop that
/// checks the server: it would keep its last state for ever.
async fn caught(check: impl Future<Output = Result<Finding, Finding>>) -> Result<Finding, Finding> {
    let mut check = pin!(check);
    let bug = || {
        Finding::new(
            CheckStatus::SocketError,
            "the check itself failed, which is a bug",
        )
    };
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(bug())))
    })
    .await
}

/// Where to check: the server itself unless another host or port is configured.
pub(super) async fn address(
    server: &Server,
    host: Option<&str>,
    port: Option<u16>,
) -> Result<SocketAddr, Finding> {
    let port = port
        .or_else(|| server.address().map(|address| address.port()))
        .unwrap_or(server.config.address.port);
    let found = match host {
        Some(host) => crate::resolver::look_up(host, &server.config.resolve).await,
        None => server.address().map(|address| address.ip()),
    };
    found.map(|ip| SocketAddr::new(ip, port)).ok_or_else(|| {
        let host = host.unwrap_or(&server.config.address.host);
        let info = format!("the name \"{host}\" does not resolve");
        Finding::new(CheckStatus::SocketError, info)
    })
}

/// Whichever way a check ended.
pub(super) fn report(finding: Result<Finding, Finding>, duration: Duration) -> CheckReport {
    let Finding { status, code, info } = finding.unwrap_or_else(|failed| failed);
    CheckReport {
        status,
        code,
        info,
        duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample;

    /// Ten thousand servers have as many of them, most of which wait for the next check.
    #[test]
    fn a_check_that_waits_takes_little_memory() {
        let probe = Probe::new(&CheckConfig::default(), &ServerTimeouts::default());
        let topology = sample::single_farm(false);
        let run = probe.run(&topology.backends[0].servers[0]);
        assert!(size_of_val(&run) <= 1536, "{}", size_of_val(&run));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_in_a_check_is_a_failure_of_that_check() {
        let finding = caught(async { panic!("odd answer") }).await.unwrap_err();
        assert_eq!(finding.status, CheckStatus::SocketError);
    }
}
