//! Real PostgreSQL servers.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use super::daemon::Daemon;
use super::installed::find;
use super::temp::TempDir;
use super::wait::wait_until;

/// PostgreSQL refuses to run as root: then it runs as the user that its package makes.
const USER: &str = "postgres";

/// One server with a data directory of its own.
#[derive(Debug)]
pub(crate) struct Postgres {
    address: SocketAddr,
    daemon: Option<Daemon>,
    directory: TempDir,
}

impl Postgres {
    /// Starts a primary and waits until it answers.
    pub(crate) fn primary(address: SocketAddr) -> Self {
        let mut postgres = Self::new(address);
        let mut command = postgres.command("initdb");
        command.args([
            "--username",
            USER,
            "--auth",
            "trust",
            "--no-sync",
            "-D",
            "data",
        ]);
        run(&mut command);
        postgres.restart();
        postgres
    }

    /// Starts a standby with a copy of the data of `primary`, which it follows.
    pub(crate) fn standby_of(primary: &Self, address: SocketAddr) -> Self {
        let mut postgres = Self::new(address);
        let mut command = postgres.command("pg_basebackup");
        command.args(["--host", &primary.address.ip().to_string()]);
        command.args(["--port", &primary.address.port().to_string()]);
        command.args(["--username", USER, "--checkpoint", "fast", "--no-sync"]);
        command.args(["--write-recovery-conf", "-D", "data"]);
        run(&mut command);
        postgres.restart();
        postgres
    }

    fn new(address: SocketAddr) -> Self {
        let directory = TempDir::new();
        if let Some((user, group)) = server_user() {
            chown(directory.path(), Some(user), Some(group)).expect("a directory of root's own");
        }
        Self {
            address,
            daemon: None,
            directory,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again after [`Postgres::kill`], as what it was, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        assert!(self.daemon.is_none(), "{} runs already", self.address);
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-F", "-c", "shared_buffers=8MB"]);
        command.args(["-c", &format!("listen_addresses={}", self.address.ip())]);
        command.args(["-c", &format!("port={}", self.address.port())]);
        // Relative to the data directory: its full path might be too long for a socket.
        command.args(["-c", "unix_socket_directories=."]);
        let mut daemon = Daemon::spawn("postgres", &mut command);
        wait_until("PostgreSQL should answer or end", || {
            query(self.address, "SELECT 1").is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "it ended: {:?}", daemon.stderr());
        self.daemon = Some(daemon);
    }

    /// Ends it without a word to anybody, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal(Signal::QUIT);
            daemon.wait();
        }
    }

    /// Makes a standby a primary, and waits until it is one.
    pub(crate) fn promote(&self) {
        assert_eq!(self.tell("SELECT pg_promote()"), "t");
    }

    /// The answer to `sql`, asked past any proxy.
    pub(crate) fn tell(&self, sql: &str) -> String {
        query(self.address, sql).unwrap_or_else(|error| panic!("{}: {error}", self.address))
    }

    /// A program of the server's, run by whom it may be run by, in its directory.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("a program that is needed"));
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for Postgres {
    /// The polite end waits for every client's.
    fn drop(&mut self) {
        if let Some(daemon) = &self.daemon {
            daemon.signal(Signal::QUIT);
        }
    }
}

/// What `psql` prints when it sends `sql` to `address` over a connection of its own.
pub(crate) fn query(address: SocketAddr, sql: &str) -> Result<String, String> {
    let mut command = Command::new(find("psql").expect("a program that is needed"));
    command.args(["--host", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    command.args(["--username", USER, "--dbname", "postgres"]);
    command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]);
    command.args(["--command", sql]);
    command.env("PGCONNECT_TIMEOUT", "5");
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// The numbers of the user and group to run the server as, if not as oneself.
fn server_user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let mut lines = users.lines().map(|line| line.split(':'));
    let numbers = lines.find_map(|mut fields| {
        (fields.next() == Some(USER)).then_some(())?;
        let mut numbers = fields.skip(1).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    Some(numbers.expect("the user postgres"))
}
