//! A configuration with one frontend, one backend and a stats page.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpStream};

use super::backstop::Backstop;
use super::loopback::Loopback;
use super::stats::Stats;
use super::wait::DEADLINE;

/// What most tests put between themselves and their servers: frontend `ft`, backend `bk`.
#[derive(Debug)]
pub(crate) struct Farm {
    loopback: Loopback,
    top: String,
    timeout: String,
    frontend: String,
    backend: String,
    servers: String,
}

impl Farm {
    /// No servers yet, and timeouts that no test waits for.
    pub(crate) fn new() -> Self {
        Self {
            loopback: Loopback::lease(),
            top: String::new(),
            timeout: r#"connect = "5s", client = "60s", server = "60s""#.to_owned(),
            frontend: String::new(),
            backend: String::new(),
            servers: String::new(),
        }
    }

    /// Adds a line at the top, such as `threads = 1`.
    pub(crate) fn top(mut self, line: &str) -> Self {
        writeln!(self.top, "{line}").expect("a string");
        self
    }

    /// The timeouts in place of the long ones.
    pub(crate) fn timeout(mut self, timeout: &str) -> Self {
        timeout.clone_into(&mut self.timeout);
        self
    }

    /// Adds a line to the frontend.
    pub(crate) fn frontend(mut self, line: &str) -> Self {
        writeln!(self.frontend, "{line}").expect("a string");
        self
    }

    /// Adds a line to the backend.
    pub(crate) fn backend(mut self, line: &str) -> Self {
        writeln!(self.backend, "{line}").expect("a string");
        self
    }

    /// Adds a server; `options` follow its name and address, such as `backup = true`.
    pub(crate) fn server(mut self, name: &str, address: SocketAddr, options: &str) -> Self {
        let separator = if options.is_empty() { "" } else { ", " };
        writeln!(
            self.servers,
            r#"  {{ name = "{name}", address = "{address}"{separator}{options} }},"#
        )
        .expect("a string");
        self
    }

    /// Adds a server whose address is a name, such as `app.test:80`.
    pub(crate) fn named(mut self, name: &str, address: &str, options: &str) -> Self {
        writeln!(
            self.servers,
            r#"  {{ name = "{name}", address = "{address}", {options} }},"#
        )
        .expect("a string");
        self
    }

    /// An address for a server.
    pub(crate) fn next(&self) -> SocketAddr {
        self.loopback.next()
    }

    /// Where the frontend listens.
    pub(crate) fn entrance(&self) -> SocketAddr {
        self.loopback.port(20_081)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats::at(self.loopback.port(20_711))
    }

    /// The whole configuration.
    pub(crate) fn config(&self) -> String {
        let Self {
            top,
            timeout,
            frontend,
            backend,
            servers,
            ..
        } = self;
        let (entrance, stats) = (self.entrance(), self.stats());
        format!(
            r#"{top}
[defaults]
timeout = {{ {timeout} }}

[frontends.ft]
bind = "{entrance}"
default_backend = "bk"
{frontend}
[backends.bk]
{backend}servers = [
{servers}]

[stats]
bind = "{}"
auth = "{}"
"#,
            stats.address, stats.auth
        )
    }

    /// Starts Backstop with it.
    pub(crate) fn start(&self) -> Backstop {
        Backstop::start(&self.config())
    }

    /// A connection to the frontend whose reads and writes end in an error rather than never.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.entrance()).expect("the frontend accepts")
    }
}

/// A connection whose reads and writes end in an error rather than never.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}
