//! PROXY headers to and from the programs that they are used with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::backstop::Backstop;
use crate::harness::daemon::Daemon;
use crate::harness::farm::{self, Farm};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};
use crate::programs::{NGINX_STREAM_MODULE, Need, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let (haproxy, nginx) = (Need::Program("haproxy"), Need::Program("nginx"));
    let tests: [(&str, Need, fn()); 4] = [
        ("haproxy_tells_who_its_client_is", haproxy, behind_haproxy),
        ("haproxy_is_told_who_the_client_is", haproxy, haproxy_behind),
        (
            "nginx_tells_who_its_client_is",
            Need::NginxStream,
            behind_nginx,
        ),
        ("nginx_is_told_who_the_client_is", nginx, nginx_behind),
    ];
    let of = |(name, need, test)| {
        let name = format!("proxy_protocol::{name}");
        trial(&name, &[need], test)
    };
    tests.map(of).into()
}

/// A program in the foreground, with its configuration in a directory of its own.
struct Program {
    _daemon: Daemon,
    _directory: TempDir,
}

impl Program {
    fn haproxy(address: SocketAddr, sections: &str) -> Self {
        let directory = TempDir::new();
        let config = format!(
            "defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{sections}"
        );
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f");
        command.arg(directory.write("haproxy.cfg", &config));
        Self::start("haproxy", command, address, directory)
    }

    fn nginx(address: SocketAddr, sections: &str) -> Self {
        let directory = TempDir::new();
        let module = if Path::new(NGINX_STREAM_MODULE).exists() {
            format!("load_module {NGINX_STREAM_MODULE};\n")
        } else {
            String::new()
        };
        let config = format!(
            "{module}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\n\
             events {{}}\n{sections}"
        );
        directory.write("nginx.conf", &config);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory.path());
        command.args(["-c", "nginx.conf", "-e", "stderr"]);
        Self::start("nginx", command, address, directory)
    }

    fn start(name: &str, mut command: Command, address: SocketAddr, directory: TempDir) -> Self {
        let mut daemon = Daemon::spawn(name, &mut command);
        wait_until("it should accept or end", || {
            TcpStream::connect(address).is_ok() || !daemon.is_running()
        });
        assert!(daemon.is_running(), "{name} ended: {:?}", daemon.stderr());
        Self {
            _daemon: daemon,
            _directory: directory,
        }
    }
}

/// A session through what listens at `entrance`; returns where its client was.
fn session(entrance: SocketAddr) -> SocketAddr {
    let mut client = farm::connect(entrance).expect("accepted");
    client.write_all(b"four").expect("taken");
    client.read_exact(&mut [0; 4]).expect("echoed");
    client.local_addr().expect("an address")
}

/// Backstop before a server that echoes, which takes headers from the loopback.
fn accepting() -> (Farm, Server, Backstop) {
    let farm = Farm::new().frontend(r#"accept_proxy = { from = "127.0.0.0/8" }"#);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let backstop = farm.start();
    (farm, server, backstop)
}

/// The session's line names `client`, who did not connect to Backstop itself.
fn told_of(backstop: &Backstop, client: SocketAddr) {
    backstop.wait_for_log(&format!("{client} ["));
}

fn behind_haproxy() {
    for (version, option) in [("v1", "send-proxy"), ("v2", "send-proxy-v2")] {
        let (farm, _server, backstop) = accepting();
        let (entrance, state) = (farm.next(), farm.next());
        let _haproxy = Program::haproxy(
            state,
            &format!(
                "listen in\n  mode tcp\n  bind {entrance}\n  server b {} {option} check inter 50ms \
                 check-send-proxy\nfrontend state\n  mode http\n  bind {state}\n  \
                 http-request return content-type text/plain lf-string %[srv_is_up(in/b)]\n",
                farm.entrance()
            ),
        );
        told_of(&backstop, session(entrance));
        // Its checks are connections of its own (version 2: LOCAL), and no garbage.
        wait_for("a check", || {
            let checks = backstop.log();
            let own = checks.iter().filter(|line| line.contains(" ft bk/"));
            (own.count() >= 4).then_some(())
        });
        assert_eq!(http::curl(state).expect("an answer"), "1", "{version}");
        let row = farm.stats().row("ft/FRONTEND");
        assert_eq!((&*row["ereq"], &*row["dses"]), ("0", "0"), "{version}");
    }
}

fn haproxy_behind() {
    for version in ["v1", "v2"] {
        let farm = Farm::new();
        let behind = farm.next();
        let plain = farm.next();
        let _haproxy = Program::haproxy(
            plain,
            &format!(
                "frontend in\n  mode http\n  bind {behind} accept-proxy\n  bind {plain}\n  \
                 http-request return content-type text/plain lf-string \
                 \"%[src]:%[src_port] %[dst]:%[dst_port]\"\n"
            ),
        );
        told_by(farm, behind, version);
    }
}

/// What listens at `behind` answers with the addresses that it was told of, also when it is checked.
fn told_by(farm: Farm, behind: SocketAddr, version: &str) {
    let options =
        format!(r#"send_proxy = "{version}", check = {{ type = "http", interval = "50ms" }}"#);
    let farm = farm.server("s1", behind, &options);
    let backstop = farm.start();
    let entrance = farm.entrance();
    let mut client = farm.connect();
    let request = "GET / HTTP/1.0\r\n\r\n";
    client.write_all(request.as_bytes()).expect("taken");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    let client = client.local_addr().expect("an address");
    let wanted = format!("\r\n\r\n{client} {entrance}");
    assert!(answer.trim_end().ends_with(&wanted), "{version}: {answer}");
    wait_until("a check should pass", || {
        farm.stats().row("bk/s1")["check_status"] == "L7OK"
    });
    drop(backstop);
}

fn behind_nginx() {
    let (farm, _server, backstop) = accepting();
    let entrance = farm.next();
    let _nginx = Program::nginx(
        entrance,
        &format!(
            "stream {{ server {{ listen {entrance}; proxy_pass {}; proxy_protocol on; }} }}\n",
            farm.entrance()
        ),
    );
    told_of(&backstop, session(entrance));
    assert_eq!(farm.stats().row("ft/FRONTEND")["ereq"], "0");
}

fn nginx_behind() {
    for version in ["v1", "v2"] {
        let farm = Farm::new();
        let (behind, plain) = (farm.next(), farm.next());
        let _nginx = Program::nginx(
            plain,
            &format!(
                "http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; \
                 fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
                 server {{ listen {plain}; listen {behind} proxy_protocol; location / {{\n\
                 default_type text/plain; return 200 \"$proxy_protocol_addr:$proxy_protocol_port \
                 $proxy_protocol_server_addr:$proxy_protocol_server_port\"; }} }} }}\n"
            ),
        );
        told_by(farm, behind, version);
    }
}
