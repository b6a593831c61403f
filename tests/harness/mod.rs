//! What the integration tests, the tests against real programs and the benches share.
//!
//! - [`wait`]: polling for a condition, with a deadline.
//! - [`loopback`]: addresses that no other test uses.
//! - [`daemon`]: a child process, its output and its end; [`backstop`], [`nginx`],
//!   [`haproxy`], [`redis`] and [`postgres`] are such processes.
//! - [`enclosure`]: namespaces of a bench's own.
//! - [`server`]: servers inside the test process that can be stopped and started again.
//! - [`check`]: one health check or one question to an agent, without a running proxy.
//! - [`dns`]: a name server.
//! - [`farm`]: a configuration with one frontend and one backend.
//! - [`installed`]: where other programs are.
//! - [`machine`]: what a measurement was made on.
//! - [`noise`]: bytes that are hard to get right by chance.
//! - [`session_log`]: log lines of sessions, read.
//! - [`temp`]: a directory for a test.
//! - [`http`] and [`stats`]: a small client, and the stats page's CSV read with it.
//! - [`scenario`]: the four failover scenarios as data, and the way through them.
#![allow(
    dead_code,
    reason = "each binary that includes this module uses a part of it"
)]

pub(crate) mod backstop;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod dns;
pub(crate) mod enclosure;
pub(crate) mod farm;
pub(crate) mod haproxy;
pub(crate) mod http;
pub(crate) mod installed;
pub(crate) mod loopback;
pub(crate) mod machine;
pub(crate) mod nginx;
pub(crate) mod noise;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod scenario;
pub(crate) mod server;
pub(crate) mod session_log;
pub(crate) mod stats;
pub(crate) mod temp;
pub(crate) mod wait;
