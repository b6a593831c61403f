//! How many sessions the process's descriptors are enough for.
//!
//! A session that is accepted without a descriptor left for its server would only be closed
//! again. So no more are accepted than can be served, and a configuration that asks for more
//! than the system allows does not start.

use std::fmt;

use crate::config::{CheckKind, Config, ServerConfig};

/// What the process has open from the start, logs and signals included, with some to spare for
/// what libraries open for a moment, such as a name server's socket.
const OF_PROCESS: u64 = 32;

/// An event loop's own, and what a worker may hold for a moment.
const OF_WORKER: u64 = 6;

/// Connections to the stats page and to the runtime API are bounded; these are their limits.
const OF_STATS: u64 = 64;
const OF_API: u64 = 64;

/// A program that checks has three pipes and is watched through one more descriptor.
const OF_PROGRAM: u64 = 4;

/// Programs that check at the same time at most.
const PROGRAMS: u64 = 32;

/// Connections of checks and to agents that are counted on at the same time. Many thousand servers
/// have more only if they all fall silent at once; a check that finds no descriptor then is no
/// verdict.
const CHECKS: u64 = 1024;

/// A session's two sockets.
const OF_SESSION: u64 = 2;

/// A pipe has two ends, and one session in four has one at a time (as in HAProxy's `maxpipes`).
const SESSIONS_PER_PIPE: u64 = 4;

/// What is counted on where the system sets no limit (as in HAProxy, "fd-hard-limit").
const WITHOUT_LIMIT: u64 = 1 << 20;

/// What the descriptors are not enough for.
#[derive(Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What the system allows.
    allowed: u64,
    /// What is needed.
    needed: u64,
    /// The `maxconn` that is asked for, if it is that.
    maxconn: Option<u32>,
    /// The highest that could be met.
    possible: u32,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            allowed, needed, ..
        } = self;
        match self.maxconn {
            Some(maxconn) => write!(f, "maxconn = {maxconn} needs {needed} descriptors")?,
            None => write!(
                f,
                "the listeners and checks alone need {needed} descriptors"
            )?,
        }
        write!(
            f,
            ", and the system allows {allowed}: raise the limit (`ulimit -n`, LimitNOFILE= of \
             systemd, --ulimit nofile= of Docker)"
        )?;
        match self.possible {
            0 => Ok(()),
            possible => write!(f, ", or write maxconn = {possible}"),
        }
    }
}

/// How many sessions there may be: what the file says and what the `allowed` descriptors are
/// enough for at most; `None` is no limit.
///
/// # Errors
/// When they are not enough for what the file says.
pub fn maxconn(
    config: &Config,
    workers: usize,
    allowed: Option<u64>,
) -> Result<(u32, u32), Shortfall> {
    let allowed = allowed.unwrap_or(WITHOUT_LIMIT);
    let fixed = fixed(config, workers as u64);
    let left = allowed.saturating_sub(fixed);
    let most = |sessions: u64| u32::try_from(sessions).unwrap_or(u32::MAX >> 1);
    // Pipes are a convenience: without one, bytes are copied.
    let possible = most(left / OF_SESSION);
    let comfortable =
        left.min(WITHOUT_LIMIT) * SESSIONS_PER_PIPE / (OF_SESSION * SESSIONS_PER_PIPE + 2);
    let shortfall = |needed| Shortfall {
        allowed,
        needed,
        maxconn: config.maxconn,
        possible,
    };
    match config.maxconn {
        Some(maxconn) if maxconn <= possible => Ok((maxconn, possible)),
        Some(maxconn) => Err(shortfall(fixed + u64::from(maxconn) * OF_SESSION)),
        None if comfortable == 0 => Err(shortfall(fixed + OF_SESSION + 1)),
        None => Ok((most(comfortable), possible)),
    }
}

/// How many pipes each of `workers` may have with so many sessions.
pub fn pipes(maxconn: u32, workers: usize) -> usize {
    (u64::from(maxconn) / SESSIONS_PER_PIPE) as usize / workers.max(1)
}

fn stats_binds(config: &Config) -> u64 {
    let stats = config.stats.as_ref();
    stats.map_or(0, |stats| stats.bind.len() as u64)
}

/// Descriptors that are no session's.
fn fixed(config: &Config, workers: u64) -> u64 {
    let binds: usize = config.frontends.iter().map(|f| f.bind.len()).sum();
    // Besides its listener, each accept loop may hold a connection that waits for its turn.
    let listening = 2 * workers * binds as u64;
    let of_stats = config.stats.as_ref().map_or(0, |_| OF_STATS);
    let stats = stats_binds(config) + of_stats;
    let api = config.api.as_ref().map_or(0, |_| 1 + OF_API);
    // A copy of each listener is kept for the next process, and copied once more to be sent.
    let copies = 2 * (workers * binds as u64 + stats_binds(config) + 2);
    let upgrade = config.upgrade_socket.as_ref().map_or(0, |_| copies);
    let servers = config.backends.iter().flat_map(|backend| &backend.servers);
    let (programs, connections) = servers
        .map(checking)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let checks = connections.min(CHECKS) + programs.min(PROGRAMS) * OF_PROGRAM;
    OF_PROCESS + OF_WORKER * workers + listening + stats + api + upgrade + checks
}

/// Programs and connections that look after a server at the same time.
fn checking(server: &ServerConfig) -> (u64, u64) {
    let agent = u64::from(server.agent.is_some());
    match server.check.as_ref().map(|check| &check.kind) {
        None => (0, agent),
        Some(CheckKind::External(_)) => (1, agent),
        Some(_) => (0, agent + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample;

    fn config(servers: u16, maxconn: Option<u32>) -> Config {
        let servers = (1..=servers).map(|n| sample::server(&n.to_string(), n, false));
        Config {
            maxconn,
            backends: vec![sample::backend("bk", false, servers.collect())],
            ..sample::empty_config()
        }
    }

    #[test]
    fn what_is_left_is_for_sessions_and_their_pipes() {
        // 32 + 2 * 6 + 10 checks are 54; of 202 that are left, 80 sessions and 20 pipes take 200.
        assert_eq!(maxconn(&config(10, None), 2, Some(256)), Ok((80, 101)));
        assert_eq!(pipes(80, 2), 10);
        assert_eq!(
            maxconn(&config(10, Some(101)), 2, Some(256)),
            Ok((101, 101))
        );
        let (without_limit, _) = maxconn(&config(10, None), 2, None).unwrap();
        assert_eq!(u64::from(without_limit), ((1 << 20) - 54) * 4 / 10);
    }

    #[test]
    fn what_cannot_be_met_is_told_with_the_way_out() {
        let error = maxconn(&config(10, Some(102)), 2, Some(256)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("maxconn = 102 needs 258 descriptors, and the system allows 256: "),
            "{said}"
        );
        assert!(said.ends_with(", or write maxconn = 101"), "{said}");
        let error = maxconn(&config(300, None), 2, Some(256)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("the listeners and checks alone need 347 "),
            "{said}"
        );
    }
}
