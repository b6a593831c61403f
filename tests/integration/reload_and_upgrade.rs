//! A reload while another process takes over, and the other way round.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use crate::harness::backstop::{self, Backstop, Ended};
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{DEADLINE, wait_until};

struct Scene {
    farm: Farm,
    directory: TempDir,
    _server: Server,
}

impl Scene {
    fn new() -> Self {
        let farm = Farm::new();
        let server = Server::echo(farm.next());
        let farm = farm.server("s1", server.address(), "");
        Self {
            farm,
            directory: TempDir::new(),
            _server: server,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> String {
        format!(
            "upgrade_socket = \"{}\"\napi = {{ socket = \"{}\", level = \"admin\" }}\n{}",
            self.path("upgrade").display(),
            self.path("api").display(),
            self.farm.config()
        )
    }

    fn reload(&self) -> Ended {
        let api = self.path("api");
        backstop::run(&["ctl", "-s", api.to_str().expect("UTF-8"), "reload"])
    }

    /// A process that begins to take over; what it gets, and its connection, which the old one waits
    /// at for it to be ready.
    fn take_over(&self) -> (String, UnixStream) {
        let mut stream = UnixStream::connect(self.path("upgrade")).expect("somebody listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let hello = format!(r#"{{"version":1,"pid":{}}}"#, std::process::id());
        stream
            .write_all(&(hello.len() as u64).to_be_bytes())
            .expect("taken");
        stream.write_all(hello.as_bytes()).expect("taken");
        let mut length = [0; 8];
        stream.read_exact(&mut length).expect("an answer");
        let mut estate = vec![0; u64::from_be_bytes(length) as usize];
        stream.read_exact(&mut estate).expect("all of it");
        (String::from_utf8(estate).expect("JSON"), stream)
    }
}

#[test]
fn a_reload_is_refused_while_another_process_takes_over() {
    let scene = Scene::new();
    let backstop = Backstop::start(&scene.config());
    let (_, new) = scene.take_over();
    let refused = scene.reload();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said = refused.stdout + &refused.stderr;
    assert!(
        said.contains("another process is about to take over"),
        "{said}"
    );
    drop(new);
    backstop.wait_for_log("Another process wanted to take over and did not");
    wait_until("it can be reloaded again", || {
        scene.reload().code == Some(0)
    });
}

/// What a reload is about to put in place is handed over with the rest.
#[test]
fn who_takes_over_waits_for_a_reload() {
    let scene = Scene::new();
    let backstop = Backstop::start(&scene.config());
    // Its first check keeps the reload waiting for a while.
    let silent = TcpListener::bind(scene.farm.next()).expect("a free address");
    let added = scene.farm.next();
    backstop.configure(&(scene.config() + &proxies(added, silent.local_addr().expect("bound"))));
    thread::scope(|scope| {
        let reload = scope.spawn(|| scene.reload());
        wait_until("the new address should be listened on", || {
            TcpStream::connect(added).is_ok()
        });
        let (estate, _new) = scene.take_over();
        assert!(estate.contains(&format!("\"{added}\"")), "{estate}");
        assert_eq!(reload.join().expect("it ends").code, Some(0));
    });
}

fn proxies(entrance: SocketAddr, server: SocketAddr) -> String {
    format!(
        r#"
[frontends.new]
bind = "{entrance}"
default_backend = "new"

[backends.new]
timeout = {{ check = "600ms" }}
servers = [{{ name = "silent", address = "{server}", check = {{ type = "http" }} }}]
"#
    )
}
