//! PostgreSQL: a primary, a streaming replica, passwords and TLS.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
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
use crate::programs::{Need, find, trial};

pub(super) fn trials() -> Vec<Trial> {
    let postgres = &[
        Need::Program("postgres"),
        Need::Program("initdb"),
        Need::Program("pg_basebackup"),
        Need::Program("openssl"),
    ];
    vec![trial("checks::postgres", postgres, postgres_roles)]
}

/// The user of the package; PostgreSQL does not run as root.
struct User(Option<(u32, u32)>);

impl User {
    fn new() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let line = users.lines().find(|line| line.starts_with("postgres:"));
        let ids = line.and_then(|line| {
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        Self(ids.filter(|_| rustix::process::geteuid().is_root()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("a program that is needed"));
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).expect("we are root");
        }
    }

    /// A copy of a file that only the user can read, as PostgreSQL demands of keys.
    fn copy(&self, from: &Path, to: PathBuf) -> PathBuf {
        fs::copy(from, &to).expect("a copy");
        fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("our own file");
        self.give(&to);
        to
    }

    fn start(&self, data: &Path, address: SocketAddr, more: &[&str]) -> Daemon {
        let mut command = self.command("postgres");
        command.arg("-D").arg(data);
        command.args([
            "-h",
            &address.ip().to_string(),
            "-p",
            &address.port().to_string(),
        ]);
        command.args(["-k", "", "-c", "fsync=off"]).args(more);
        start("postgres", &mut command, address)
    }
}

fn postgres_roles() {
    let (site, directory, certificates) = (Loopback::lease(), TempDir::new(), Certificates::new());
    let user = User::new();
    user.give(directory.path());
    let (primary, replica) = (site.next(), site.next());
    let [primary_data, replica_data] =
        ["primary", "replica"].map(|name| directory.path().join(name));
    let password = directory.write("password", "secret\n");
    let mut initdb = user.command("initdb");
    initdb.args([
        "-U",
        "watcher",
        "-A",
        "scram-sha-256",
        "--no-sync",
        "--pwfile",
    ]);
    run(initdb.arg(&password).arg("-D").arg(&primary_data));
    let [certificate, key] = ["server.pem", "server.key"]
        .map(|name| user.copy(&certificates.path(name), directory.path().join(name)));
    let certificate = format!("ssl_cert_file={}", certificate.display());
    let key = format!("ssl_key_file={}", key.display());
    let access = "host replication watcher all scram-sha-256\nhost all watcher all scram-sha-256\n";
    fs::write(primary_data.join("pg_hba.conf"), access).expect("its own file");
    let _primary = user.start(
        &primary_data,
        primary,
        &["-c", "ssl=on", "-c", &certificate, "-c", &key],
    );
    let postgres = |role: &str| {
        format!("type = \"postgres\", user = \"watcher\", password = \"secret\", role = \"{role}\"")
    };
    wait_until("the primary should answer", || {
        check(primary, &postgres("any")).status == L7Ok
    });

    let mut backup = user.command("pg_basebackup");
    backup.env("PGPASSWORD", "secret");
    backup.args([
        "-h",
        &primary.ip().to_string(),
        "-p",
        &primary.port().to_string(),
    ]);
    backup.args(["-U", "watcher", "-R", "-c", "fast", "--no-sync", "-D"]);
    run(backup.arg(&replica_data));
    let _replica = user.start(&replica_data, replica, &[]);
    wait_until("the replica should answer", || {
        check(replica, &postgres("any")).status == L7Ok
    });

    expect(primary, &postgres("primary"), L7Ok, None, "role primary");
    expect(replica, &postgres("replica"), L7Ok, None, "role replica");
    let info = "it is a replica, not a primary";
    expect(replica, &postgres("primary"), L7Status, None, info);
    let info = "it is a primary, not a replica";
    expect(primary, &postgres("replica"), L7Status, None, info);
    let wrong = postgres("any").replace("secret", "wrong");
    let info = "FATAL: password authentication failed for user \"watcher\"";
    expect(primary, &wrong, L7Status, None, info);
    let without = "type = \"postgres\", user = \"watcher\"";
    let info = "the server asks for a password; give the check one";
    expect(primary, without, L7Status, None, info);
    let elsewhere = format!("{}, database = \"nowhere\"", postgres("any"));
    let info = "FATAL: database \"nowhere\" does not exist";
    expect(primary, &elsewhere, L7Status, None, info);
    let secured = format!("{}, {}", postgres("primary"), certificates.trusted());
    expect(primary, &secured, L7Ok, None, "role primary");
    let other_name = format!("{}, {}", postgres("primary"), certificates.other_name());
    let report = check(primary, &other_name);
    assert!(
        report.info.contains("not valid for name"),
        "{}",
        report.info
    );
    let steps = "steps = [{ send = \"PING\\r\\n\" }, { expect = \"+PONG\" }]";
    assert_eq!(check(primary, steps).status, L7Response);

    let mut promote = user.command("pg_ctl");
    run(promote.args(["promote", "-w", "-D"]).arg(&replica_data));
    expect(replica, &postgres("primary"), L7Ok, None, "role primary");
}
