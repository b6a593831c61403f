//! Sessions over IPv6, which not every machine has.

use std::net::SocketAddr;

use libtest_mimic::Trial;
use socket2::{Domain, Socket, Type};

use crate::harness::backstop::Backstop;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial(
        "ipv6::clients_and_servers_of_both_kinds",
        &[Need::Ipv6],
        clients_and_servers_of_both_kinds,
    )]
    .into_iter()
}

/// A port of `::1` that is kept from others by a socket that is bound and does not listen.
/// Who sets `SO_REUSEADDR`, as servers do, can listen there all the same.
struct Port(Socket);

impl Port {
    fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.set_reuse_port(true).expect("an option");
        let any: SocketAddr = "[::1]:0".parse().expect("an address");
        socket.bind(&any.into()).expect("a free port");
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        let address = self.0.local_addr().expect("a bound socket");
        address.as_socket().expect("an IP address")
    }
}

fn clients_and_servers_of_both_kinds() {
    let loopback = Loopback::lease();
    let ports = [Port::reserve(), Port::reserve()];
    let entrances = [loopback.next(), ports[0].address()];
    let v4 = Server::named(loopback.next(), "v4");
    let v6 = Server::named(ports[1].address(), "v6");
    let backstop = Backstop::start(&format!(
        r#"
[defaults]
timeout = {{ connect = "5s", client = "60s", server = "60s" }}

[frontends.ft]
bind = ["{}", "{}"]
default_backend = "bk"

[backends.bk]
servers = [
  {{ name = "v4", address = "{}" }},
  {{ name = "v6", address = "{}" }},
]
"#,
        entrances[0],
        entrances[1],
        v4.address(),
        v6.address(),
    ));
    for entrance in entrances {
        let answers = [(); 2].map(|()| http::curl(entrance).expect("an answer"));
        assert_eq!(answers, ["v4\n", "v6\n"], "by {entrance}");
    }
    let sessions = backstop.wait_for_sessions(4);
    assert!(sessions.iter().all(|session| session.code == "--"));
}
