//! The same servers in the words of both proxies.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::harness::loopback::Loopback;

/// Which servers there are.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) servers: u32,
    pub(crate) backends: u32,
    /// Between two checks of a server.
    pub(crate) interval: Duration,
    /// The port that all servers have in common.
    pub(crate) port: u16,
}

impl Layout {
    /// Server `number`, from 0. Tests never lease addresses of this network.
    fn address(&self, number: u32) -> SocketAddr {
        let first = Ipv4Addr::new(127, 255, 0, 1).to_bits();
        SocketAddr::new(Ipv4Addr::from_bits(first + number).into(), self.port)
    }

    fn servers_of(&self, backend: u32) -> impl Iterator<Item = (u32, SocketAddr)> {
        let numbers = (backend..self.servers).step_by(self.backends as usize);
        numbers.map(|number| (number, self.address(number)))
    }

    pub(crate) fn for_backstop(&self, loopback: &Loopback) -> String {
        let mut text = format!(
            "[defaults]\n\
             timeout = {{ connect = \"1s\", client = \"60s\", server = \"60s\" }}\n\
             check = {{ interval = \"{}ms\" }}\n",
            self.interval.as_millis()
        );
        for backend in 0..self.backends {
            let bind = entrance(loopback, backend);
            let _ = write!(
                text,
                "\n[frontends.ft-{backend}]\nbind = \"{bind}\"\ndefault_backend = \"bk-{backend}\"\n\
                 \n[backends.bk-{backend}]\nservers = [\n"
            );
            for (number, address) in self.servers_of(backend) {
                let _ = writeln!(
                    text,
                    "  {{ name = \"s{number}\", address = \"{address}\", check = true }},"
                );
            }
            text.push_str("]\n");
        }
        text
    }

    pub(crate) fn for_haproxy(&self, loopback: &Loopback) -> String {
        // Room for as many sessions as anybody would try on it by hand: `HAProxy` allots memory
        // for all that the descriptors allow otherwise.
        let mut text = format!(
            "global\n    maxconn 2000\n\n\
             defaults\n    timeout connect 1s\n    timeout client 60s\n    timeout server 60s\n    \
             balance roundrobin\n    default-server inter {}ms\n",
            self.interval.as_millis()
        );
        for backend in 0..self.backends {
            let bind = entrance(loopback, backend);
            let _ = write!(
                text,
                "\nfrontend ft-{backend}\n    bind {bind}\n    default_backend bk-{backend}\n\
                 \nbackend bk-{backend}\n"
            );
            for (number, address) in self.servers_of(backend) {
                let _ = writeln!(text, "    server s{number} {address} check");
            }
        }
        text
    }

    /// Where the frontend that is declared last listens.
    pub(crate) fn last_entrance(&self, loopback: &Loopback) -> SocketAddr {
        entrance(loopback, self.backends - 1)
    }
}

fn entrance(loopback: &Loopback, backend: u32) -> SocketAddr {
    loopback.port(20_100 + backend as u16)
}
