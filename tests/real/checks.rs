//! Every type of check against the real server, as Debian packages it.

mod certificates;
mod directory;
mod http;
mod mail;
mod mysql;
mod postgres;
mod redis;
mod tls;
mod webhook;

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::daemon::Daemon;
use crate::harness::wait::wait_until;

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        directory::trials(),
        http::trials(),
        mail::trials(),
        mysql::trials(),
        postgres::trials(),
        redis::trials(),
        tls::trials(),
        webhook::trials(),
    ]
    .into_iter()
    .flatten()
}

/// Starts a server and waits until it accepts at `address`.
fn start(name: &str, command: &mut Command, address: SocketAddr) -> Daemon {
    let mut daemon = Daemon::spawn(name, command);
    wait_until(&format!("{name} should accept or end"), || {
        TcpStream::connect(address).is_ok() || !daemon.is_running()
    });
    assert!(daemon.is_running(), "{name} ended: {:?}", daemon.stderr());
    daemon
}

/// Runs a program to its end, which must be a good one.
fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
