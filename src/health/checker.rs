//! The loop that checks one server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::tcp;
use crate::config::{CheckConfig, ServerTimeouts};
use crate::topology::Server;
use crate::topology::status::{CheckReport, CheckStatus};

/// Checks `server` for ever, the first time after `delay`. `report` takes each result and
/// returns how long to wait, from the beginning of one check to that of the next.
pub async fn run(
    server: Arc<Server>,
    check: CheckConfig,
    timeouts: ServerTimeouts,
    delay: Duration,
    report: impl Fn(&Server, CheckReport) -> Duration,
) {
    let limit = time_limit(&check, &timeouts);
    sleep(delay).await;
    loop {
        let began = tokio::time::Instant::now();
        let result = check_once(&server, &check, limit).await;
        let interval = report(&server, result);
        sleep_until(began + interval).await;
    }
}

/// When each of `count` servers gets its first check: spread over the smallest interval, so
/// that not all of them are checked at the same moment for ever after.
pub fn first_delay(index: usize, count: usize, smallest_interval: Duration) -> Duration {
    smallest_interval.mul_f64(index as f64 / count.max(1) as f64)
}

/// `timeout check` set: connecting may take the smaller of the connect timeout and the
/// interval; unset: the interval (configuration.txt, "timeout check").
fn time_limit(check: &CheckConfig, timeouts: &ServerTimeouts) -> Duration {
    let connect = timeouts.check.and(timeouts.connect);
    check
        .timeout
        .unwrap_or_else(|| connect.map_or(check.interval, |c| c.min(check.interval)))
}

async fn check_once(server: &Server, check: &CheckConfig, limit: Duration) -> CheckReport {
    let began = Instant::now();
    match address(server, check).await {
        Ok(address) => tcp::check(address, limit).await,
        Err(host) => CheckReport {
            status: CheckStatus::SocketError,
            info: format!("the name \"{host}\" does not resolve"),
            duration: began.elapsed(),
        },
    }
}

/// Where to check: the server itself unless the check has a host or port of its own.
async fn address(server: &Server, check: &CheckConfig) -> Result<SocketAddr, String> {
    let port = check.port.unwrap_or(server.config.address.port);
    let own = match &check.host {
        Some(host) => crate::resolver::look_up(host).await,
        None => server.address().map(|address| address.ip()),
    };
    let host = check.host.as_ref().unwrap_or(&server.config.address.host);
    own.map(|ip| SocketAddr::new(ip, port))
        .ok_or_else(|| host.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn first_checks_are_spread_over_the_smallest_interval() {
        let delays: Vec<_> = (0..4).map(|i| first_delay(i, 4, MS(2000))).collect();
        assert_eq!(delays, [MS(0), MS(500), MS(1000), MS(1500)]);
    }

    #[test]
    fn time_limits() {
        let check = CheckConfig::default();
        let timeouts = ServerTimeouts {
            connect: Some(MS(200)),
            ..Default::default()
        };
        assert_eq!(time_limit(&check, &timeouts), check.interval);
        let with_check = ServerTimeouts {
            check: Some(MS(300)),
            ..timeouts
        };
        assert_eq!(time_limit(&check, &with_check), MS(200));
        let own = CheckConfig {
            timeout: Some(MS(50)),
            ..check
        };
        assert_eq!(time_limit(&own, &with_check), MS(50));
    }
}
