//! Real nginx servers.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rustix::process::Signal;

use super::daemon::Daemon;
use super::temp::TempDir;
use super::wait::wait_until;

/// One nginx with a directory and a configuration of its own, answering every request with its
/// name and a newline.
#[derive(Debug)]
pub(crate) struct Nginx {
    address: SocketAddr,
    daemon: Option<Daemon>,
    directory: TempDir,
}

impl Nginx {
    /// Starts it and waits until it accepts.
    pub(crate) fn start(name: &str, address: SocketAddr) -> Self {
        let directory = TempDir::new();
        directory.write("nginx.conf", &configuration(name, address));
        let mut nginx = Self {
            address,
            daemon: None,
            directory,
        };
        nginx.restart();
        nginx
    }

    /// Starts it again after [`Nginx::stop`] and waits until it accepts.
    pub(crate) fn restart(&mut self) {
        assert!(self.daemon.is_none(), "{} runs already", self.address);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(self.directory.path());
        command.args(["-c", "nginx.conf", "-e", "stderr"]);
        let mut daemon = Daemon::spawn("nginx", &mut command);
        let address = self.address;
        wait_until("nginx should accept or end", || {
            TcpStream::connect(address).is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "nginx ended: {:?}", daemon.stderr());
        self.daemon = Some(daemon);
    }

    /// Stops it. The port refuses when this returns.
    pub(crate) fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        daemon.signal(Signal::TERM);
        daemon.wait();
        let address = self.address;
        wait_until("a stopped nginx should refuse", || {
            TcpStream::connect(address).is_err()
        });
    }
}

/// Every path is in nginx's own directory, so that it needs no rights and shares nothing.
fn configuration(name: &str, address: SocketAddr) -> String {
    format!(
        r#"daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {address};
        location / {{
            default_type text/plain;
            return 200 "{name}\n";
        }}
    }}
}}
"#
    )
}
