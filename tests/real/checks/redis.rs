//! Redis: roles, passwords and clusters.

use std::net::SocketAddr;
use std::process::Command;

use backstop::topology::status::CheckStatus::{L7Ok, L7Response, L7Status};
use libtest_mimic::Trial;

use super::certificates::Certificates;
use super::{run, start};
use crate::harness::check::{check, expect};
use crate::harness::daemon::Daemon;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let redis = &[Need::Program("redis-server"), Need::Program("redis-cli")];
    let with_tls = &[redis[0], redis[1], Need::Program("openssl")];
    vec![
        trial("checks::redis_roles", redis, roles),
        trial("checks::redis_cluster", redis, cluster),
        trial("checks::redis_tls", with_tls, tls),
    ]
}

fn server(directory: &TempDir, address: SocketAddr, more: &[&str]) -> Daemon {
    let mut command = Command::new("redis-server");
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["--bind", &ip, "--port", &port, "--save", "", "--dir"]);
    command.arg(directory.path());
    start("redis-server", command.args(more), address)
}

fn cli(address: SocketAddr, arguments: &[&str]) {
    let mut command = Command::new("redis-cli");
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    run(command.args(["-h", &ip, "-p", &port, "-e"]).args(arguments));
}

fn roles() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let (primary, replica) = (site.next(), site.next());
    let locked = ["--requirepass", "secret", "--masterauth", "secret"];
    let _primary = server(&directory, primary, &locked);
    let of = format!("{} {}", primary.ip(), primary.port());
    let following = [&locked[..], &["--replicaof", &of]].concat();
    let _replica = server(&directory, replica, &following);
    let redis = |role| format!("type = \"redis\", password = \"secret\", role = \"{role}\"");
    expect(primary, &redis("master"), L7Ok, None, "role master");
    expect(replica, &redis("replica"), L7Ok, None, "role slave");
    expect(replica, &redis("any"), L7Ok, None, "PONG");
    let info = "its role is slave, not master";
    expect(replica, &redis("master"), L7Status, None, info);
    let info = "its role is master, not replica";
    expect(primary, &redis("replica"), L7Status, None, info);

    cli(
        replica,
        &[
            "-a",
            "secret",
            "--no-auth-warning",
            "replicaof",
            "no",
            "one",
        ],
    );
    expect(replica, &redis("master"), L7Ok, None, "role master");

    let info = "NOAUTH Authentication required. Give the check a `password`.";
    expect(primary, "type = \"redis\"", L7Status, None, info);
    let wrong = redis("any").replace("secret", "wrong");
    let info = "WRONGPASS invalid username-password pair or user is disabled.";
    expect(primary, &wrong, L7Status, None, info);
    cli(
        primary,
        &[
            "-a",
            "secret",
            "--no-auth-warning",
            "acl",
            "setuser",
            "watcher",
            "on",
            ">pw",
            "+ping",
            "+info",
        ],
    );
    let named = "type = \"redis\", user = \"watcher\", password = \"pw\", role = \"master\"";
    expect(primary, named, L7Ok, None, "role master");
    let steps = r#"steps = [{ send = "AUTH secret\r\nPING\r\n" }, { expect = "+PONG" },
        { send = "INFO replication\r\n" }, { expect_regex = "role:master" },
        { send = "QUIT\r\n" }, { expect = "+OK" }]"#;
    expect(primary, steps, L7Ok, None, "");
    let other = check(primary, "type = \"smtp\"");
    assert!(!other.status.passed(), "redis is not a mail server");
}

fn cluster() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let (node, single) = (site.next(), site.next());
    let _node = server(&directory, node, &["--cluster-enabled", "yes"]);
    let _single = server(&directory, single, &[]);
    let check_of_cluster = "type = \"redis\", cluster = true";
    let info = "cluster_state is fail, not ok";
    expect(node, check_of_cluster, L7Status, None, info);
    cli(node, &["cluster", "addslotsrange", "0", "16383"]);
    wait_until("a cluster of one node should come up", || {
        check(node, check_of_cluster).status == L7Ok
    });
    let info = "ERR This instance has cluster support disabled";
    expect(single, check_of_cluster, L7Status, None, info);
}

fn tls() {
    let (site, directory, certificates) = (Loopback::lease(), TempDir::new(), Certificates::new());
    let (plain, secured) = (site.next(), site.next());
    let path = |name| certificates.path(name).display().to_string();
    let port = secured.port().to_string();
    let settings = [
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
    ];
    let _server = server(&directory, plain, &settings);
    let redis = format!(
        "type = \"redis\", role = \"master\", {}",
        certificates.trusted()
    );
    expect(secured, &redis, L7Ok, None, "role master");
    let report = check(secured, "type = \"redis\"");
    assert_eq!(report.status, L7Response, "{}", report.info);
}
