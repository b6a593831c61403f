//! Real redis servers, and a client that knows as much of their protocol as tests need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::daemon::Daemon;
use super::temp::TempDir;
use super::wait::wait_until;

/// No answer takes longer, unless the server is dead or frozen.
const PATIENCE: Duration = Duration::from_secs(5);

/// One redis server with a directory of its own, which keeps nothing over a restart.
#[derive(Debug)]
pub(crate) struct Redis {
    address: SocketAddr,
    options: Vec<String>,
    daemon: Option<Daemon>,
    directory: TempDir,
}

impl Redis {
    /// Starts a master and waits until it answers.
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::with_options(address, &[])
    }

    /// Starts a replica of `master` and waits until it has the master's data.
    pub(crate) fn replica_of(master: SocketAddr, address: SocketAddr) -> Self {
        let replica = Self::start(address);
        replica.follow(master);
        replica
    }

    /// Starts a node of a cluster that is yet to be formed. It uses a second port, 10,000 above.
    pub(crate) fn cluster_node(address: SocketAddr) -> Self {
        // Others would take the source of its connections for its address, which is 127.0.0.1.
        let ip = address.ip().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-announce-ip", &ip];
        let timeout = ["--cluster-node-timeout", "1000"];
        Self::with_options(address, &[&options[..], &timeout].concat())
    }

    fn with_options(address: SocketAddr, options: &[&str]) -> Self {
        let mut redis = Self {
            address,
            options: options.iter().map(ToString::to_string).collect(),
            daemon: None,
            directory: TempDir::new(),
        };
        redis.restart();
        redis
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again after [`Redis::kill`], as the master that it was first, and waits until it
    /// answers.
    pub(crate) fn restart(&mut self) {
        assert!(self.daemon.is_none(), "{} runs already", self.address);
        let mut command = Command::new("redis-server");
        command.args(["--bind", &self.address.ip().to_string()]);
        command.args(["--port", &self.address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        // A replica gets its data at once instead of five seconds later with others.
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.args(&self.options);
        command.current_dir(self.directory.path());
        let mut daemon = Daemon::spawn("redis-server", &mut command);
        wait_until("redis should answer or end", || {
            self.ask(&["PING"]).is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "redis ended: {:?}", daemon.stdout());
        self.daemon = Some(daemon);
    }

    /// Kills it. The port refuses when this returns.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a running server");
        daemon.signal(Signal::KILL);
        daemon.wait();
    }

    /// Stops its process, whose kernel goes on to accept for it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.daemon
            .as_ref()
            .expect("a running server")
            .signal(signal);
    }

    /// Makes it a replica and waits until it has the master's data.
    pub(crate) fn follow(&self, master: SocketAddr) {
        let (ip, port) = (master.ip().to_string(), master.port().to_string());
        self.tell(&["REPLICAOF", &ip, &port]);
        wait_until("a replica should have its master's data", || {
            self.tell(&["INFO", "replication"])
                .contains("master_link_status:up")
        });
    }

    /// Makes it a master.
    pub(crate) fn promote(&self) {
        self.tell(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Asks it, past any proxy.
    pub(crate) fn ask(&self, command: &[&str]) -> io::Result<String> {
        Client::connect(self.address)?.ask(command)
    }

    /// Asks it and panics if it does not do as told.
    pub(crate) fn tell(&self, command: &[&str]) -> String {
        self.ask(command)
            .unwrap_or_else(|error| panic!("{}: {command:?}: {error}", self.address))
    }
}

/// Joins six nodes to a cluster of three masters with a replica each, and waits until every node
/// says that all is well.
pub(crate) fn form_cluster(nodes: &[Redis]) {
    // It waits for ever if nodes do not find each other.
    let mut command = Command::new("timeout");
    command.args(["15", "redis-cli", "--cluster", "create"]);
    command.args(nodes.iter().map(|node| node.address.to_string()));
    command.args(["--cluster-replicas", "1", "--cluster-yes"]);
    let output = command.output().expect("redis-cli runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "no cluster was made: {said}");
    for node in nodes {
        wait_until("a node should find its cluster well", || {
            let replicas = node.tell(&["CLUSTER", "NODES"]).matches("slave ").count();
            let state = node.tell(&["CLUSTER", "INFO"]);
            replicas == nodes.len() / 2 && state.contains("cluster_state:ok")
        });
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a command and returns its answer; an error if that is one. A missing value is empty.
    pub(crate) fn ask(&mut self, command: &[&str]) -> io::Result<String> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(&bytes)?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_owned()),
            Some(("$", "-1")) => Ok(String::new()),
            Some(("$", length)) => self.bulk(length.parse().map_err(io::Error::other)?),
            _ => Err(io::Error::other(line.to_owned())),
        }
    }

    fn bulk(&mut self, length: u64) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&mut self.0).take(length + 2).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        Ok(text.trim_end_matches("\r\n").to_owned())
    }
}
