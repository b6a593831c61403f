//! Backstop with real programs: nginx, redis and PostgreSQL servers, `curl` as a client, and
//! HAProxy beside it.
//!
//! A test whose program is not installed is reported as ignored, with the reason beside its
//! name. With `BACKSTOP_REQUIRE_REAL=1` in the environment it fails instead: that is how
//! `tests/run` makes sure that nothing is left out.

#[path = "../harness/mod.rs"]
mod harness;

mod balance;
mod browser;
mod checks;
mod chromium;
mod dnsmasq;
mod exhaustion;
mod http_checks;
mod ipv6;
mod kubernetes;
mod manual;
mod monitoring;
mod packages;
mod postgres;
mod privileges;
mod programs;
mod proxy_protocol;
mod redis;
mod redis_cluster;
mod redis_failover;
mod scenarios;
mod syslog;
mod systemd;
mod top;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tests: Vec<Trial> = scenarios::trials()
        .chain(balance::trials())
        .chain(ipv6::trials())
        .chain(browser::trials())
        .chain(checks::trials())
        .chain(monitoring::trials())
        .chain(http_checks::trials())
        .chain(redis::trials())
        .chain(redis_cluster::trials())
        .chain(redis_failover::trials())
        .chain(postgres::trials())
        .chain(syslog::trials())
        .chain(privileges::trials())
        .chain(proxy_protocol::trials())
        .chain(systemd::trials())
        .chain(manual::trials())
        .chain(packages::trials())
        .chain(top::trials())
        .chain(dnsmasq::trials())
        .chain(kubernetes::trials())
        .chain(exhaustion::trials())
        .collect();
    libtest_mimic::run(&arguments, tests).exit();
}
