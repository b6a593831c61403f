//! The ways in which servers fail.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::Signal;

use crate::harness::daemon::Daemon;
use crate::server::{GARBAGE, SLOW_ACCEPT};

/// How servers fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// The processes die, and their ports refuse
    #[value(alias = "kill")]
    Killed,
    /// The processes stand still: the kernel accepts for them, and nothing answers
    #[value(alias = "freeze")]
    Frozen,
    /// The first packet of every connection is lost
    SynDropped,
    /// Requests are answered with noise
    Garbage,
    /// Ten connections a second are accepted, and two may wait for it
    SlowAccept,
}

impl Fault {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen (SIGSTOP)",
            Self::SynDropped => "cut off (SYN dropped)",
            Self::Garbage => "talking garbage",
            Self::SlowAccept => "slow to accept (10/s, a backlog of 1)",
        }
    }

    /// How many of the two primaries fail, unless told.
    pub(crate) fn usual_victims(self) -> usize {
        match self {
            Self::Killed => 2,
            Self::Frozen | Self::SynDropped | Self::Garbage | Self::SlowAccept => 1,
        }
    }

    /// Whether servers go on taking connections, so that only their answers show it.
    pub(crate) fn hides_from_connects(self) -> bool {
        matches!(self, Self::Frozen | Self::Garbage | Self::SlowAccept)
    }

    /// Makes `servers` fail. They have when this returns.
    pub(crate) fn strike(self, servers: &[(Daemon, SocketAddr)]) {
        for (server, address) in servers {
            match self {
                Self::Killed => server.signal(Signal::KILL),
                Self::Frozen => server.signal(Signal::STOP),
                Self::Garbage => server.signal(GARBAGE),
                Self::SlowAccept => server.signal(SLOW_ACCEPT),
                Self::SynDropped => drop_syns(*address),
            }
        }
        if self == Self::Killed {
            // A process takes a moment to die, and until then the kernel accepts for it.
            for (_, address) in servers {
                while !refuses(address) {}
            }
        }
    }
}

/// A SYN that meets a dying listener is lost, and would be sent again only after a second.
fn refuses(address: &SocketAddr) -> bool {
    let connected = TcpStream::connect_timeout(address, Duration::from_millis(20));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Needs a network namespace of this program's own: the rule goes only with that.
fn drop_syns(to: SocketAddr) {
    let (ip, port) = (to.ip(), to.port());
    let rules = format!(
        "table inet bench {{
            chain input {{
                type filter hook input priority 0;
                ip daddr {ip} tcp dport {port} tcp flags & (syn | ack) == syn drop
            }}
        }}"
    );
    let output = Command::new("nft").arg(rules).output().expect("nft runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft refuses: {errors}");
}
