//! MariaDB: the greeting, logins and `read_only`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use backstop::topology::status::CheckStatus::{L6Response, L7Ok, L7Status};
use libtest_mimic::Trial;

use super::certificates::Certificates;
use super::{run, start};
use crate::harness::check::{check, expect};
use crate::harness::daemon::Daemon;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let mariadb = &[
        Need::Program("mariadbd"),
        Need::Program("mariadb-install-db"),
        Need::Program("openssl"),
    ];
    vec![trial("checks::mariadb", mariadb, mariadb_states)]
}

fn server(data: &Path, address: SocketAddr, more: &[&str]) -> Daemon {
    let mut command = Command::new("mariadbd");
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()));
    command.args(as_package_user());
    command.arg(format!("--bind-address={}", address.ip()));
    command.arg(format!("--port={}", address.port()));
    command
        .arg("--socket=socket")
        .arg("--innodb-flush-log-at-trx-commit=0");
    start("mariadbd", command.args(more), address)
}

/// MariaDB does not run as root.
fn as_package_user() -> Option<&'static str> {
    rustix::process::geteuid()
        .is_root()
        .then_some("--user=mysql")
}

fn mariadb_states() {
    let (site, directory, certificates) = (Loopback::lease(), TempDir::new(), Certificates::new());
    let data = directory.path().join("data");
    let mut install = Command::new("mariadb-install-db");
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()));
    install.args(as_package_user());
    run(install.args(["--skip-test-db", "--auth-root-authentication-method=normal"]));
    // Readable by the package's user, whom the directory does not belong to.
    let setup = directory.write(
        "setup.sql",
        "CREATE USER IF NOT EXISTS watcher@'%' IDENTIFIED BY 'secret';\n\
         CREATE USER IF NOT EXISTS open@'%';\n\
         CREATE USER IF NOT EXISTS odd@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret');\n",
    );
    let setup = format!("--init-file={}", setup.display());
    let certificate = format!("--ssl-cert={}", certificates.path("server.pem").display());
    let key = format!(
        "--ssl-key={}",
        directory.write("key.pem", &key_of(&certificates)).display()
    );
    let address = site.next();
    let plugin = "--plugin-load-add=auth_ed25519";
    let writable = server(&data, address, &[&setup, &certificate, &key, plugin]);

    let report = check(address, "type = \"mysql\"");
    assert_eq!(report.status, L7Ok, "{}", report.info);
    assert!(report.info.contains("MariaDB"), "{}", report.info);
    let login = "type = \"mysql\", user = \"watcher\", password = \"secret\"";
    assert_eq!(check(address, login).status, L7Ok);
    assert_eq!(
        check(address, "type = \"mysql\", user = \"open\"").status,
        L7Ok
    );
    let must_be = |value: bool| format!("{login}, read_only = {value}");
    let report = check(address, &must_be(false));
    assert_eq!(report.status, L7Ok, "{}", report.info);
    assert!(report.info.ends_with(", read_only 0"), "{}", report.info);
    expect(
        address,
        &must_be(true),
        L7Status,
        None,
        "read_only is 0, not 1",
    );
    let wrong = login.replace("secret", "wrong");
    let report = check(address, &wrong);
    assert_eq!(
        (report.status, report.code),
        (L7Status, Some(1045)),
        "{}",
        report.info
    );
    let report = check(
        address,
        "type = \"mysql\", user = \"odd\", password = \"secret\"",
    );
    assert_eq!(report.status, L7Status);
    assert!(report.info.contains("client_ed25519"), "{}", report.info);
    let secured = format!("{login}, read_only = false, {}", certificates.trusted());
    let report = check(address, &secured);
    assert_eq!(report.status, L7Ok, "{}", report.info);
    let other_name = format!("{login}, {}", certificates.other_name());
    assert_eq!(check(address, &other_name).status, L6Response);

    drop(writable);
    let address = site.next();
    let _read_only = server(&data, address, &["--read-only"]);
    expect(
        address,
        &must_be(false),
        L7Status,
        None,
        "read_only is 1, not 0",
    );
    assert_eq!(check(address, &must_be(true)).status, L7Ok);
    let report = check(address, &secured);
    assert_eq!(report.status, L6Response);
    assert_eq!(report.info, "the server does not offer TLS");
}

fn key_of(certificates: &Certificates) -> String {
    std::fs::read_to_string(certificates.path("server.key")).expect("a key")
}
