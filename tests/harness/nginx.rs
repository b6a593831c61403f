//! Real nginx servers.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rustix::process::Signal;

use super::daemon::Daemon;
use super::temp::TempDir;
use super::wait::wait_until;

/// While this file is there, `/health` is answered with 503.
const SICK: &str = "sick";

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
        let sick = directory.path().join(SICK);
        let config = configuration(name, address, &sick.display().to_string());
        directory.write("nginx.conf", &config);
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

    /// From now on `/health` is answered with 503, and all else as before.
    pub(crate) fn fall_sick(&self) {
        self.directory.write(SICK, "");
    }

    /// Answers `/health` with 200 again.
    pub(crate) fn recover(&self) {
        fs::remove_file(self.directory.path().join(SICK)).expect("it was sick");
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
fn configuration(name: &str, address: SocketAddr, sick: &str) -> String {
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
        location = /health {{
            if (-f {sick}) {{
                return 503;
            }}
            return 200;
        }}
        location / {{
            default_type text/plain;
            return 200 "{name}\n";
        }}
    }}
}}
"#
    )
}
