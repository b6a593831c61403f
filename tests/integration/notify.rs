//! What systemd is told, on a socket like its own.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{DEADLINE, uninterrupted};

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new();
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Self { socket, directory }
    }

    fn start(&self, farm: &Farm, environment: &[(&str, &str)]) -> Backstop {
        let mut command = backstop::command();
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command.envs(environment.iter().copied());
        Backstop::start_by(command, &farm.config())
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = uninterrupted(|| self.socket.recv(&mut message)).expect("a message in time");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }
}

fn farm() -> (Farm, Server) {
    let farm = Farm::new().top("threads = 2");
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "");
    (farm, server)
}

#[test]
fn systemd_hears_that_it_is_ready_and_that_it_stops() {
    let (manager, (farm, _server)) = (Manager::new(), farm());
    let mut backstop = manager.start(&farm, &[]);
    let ready = manager.hear();
    let wanted = "READY=1\nSTATUS=1 frontends, 1 backends, 1 servers, 2 worker threads, at most ";
    assert!(ready.starts_with(wanted), "{ready}");
    backstop.signal(Signal::TERM);
    assert!(manager.hear().starts_with("STOPPING=1\n"));
    assert_eq!(backstop.wait().code(), Some(0));
}

/// `Type=notify-reload` of systemd 253 waits for the first, and believes it only with a time that is
/// not before its own wish; all see `reloading` until the second.
#[test]
fn systemd_hears_of_a_reload_and_its_end() {
    let (manager, (farm, _server)) = (Manager::new(), farm());
    let backstop = manager.start(&farm, &[]);
    assert!(manager.hear().starts_with("READY=1\n"));
    // One that changes something, and one that fails.
    for config in [
        farm.config().replace("threads = 2", "maxconn = 77"),
        "?".to_owned(),
    ] {
        backstop.configure(&config);
        let wished = monotonic_microseconds();
        backstop.signal(Signal::HUP);
        let reloading = manager.hear();
        let time = reloading
            .trim_end()
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let time: u64 = time.and_then(|time| time.parse().ok()).expect(&reloading);
        assert!(
            (wished..=monotonic_microseconds()).contains(&time),
            "{reloading}"
        );
        let ready = manager.hear();
        assert!(
            ready.starts_with("READY=1\nSTATUS=1 frontends, "),
            "{ready}"
        );
        assert!(ready.contains("at most 77 sessions"), "{ready}");
    }
}

fn monotonic_microseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec * 1_000_000 + now.tv_nsec / 1_000) as u64
}

#[test]
fn the_watchdog_hears_from_it_again_and_again() {
    let (manager, (farm, _server)) = (Manager::new(), farm());
    let _backstop = manager.start(&farm, &[("WATCHDOG_USEC", "200000")]);
    let messages: Vec<_> = (0..4).map(|_| manager.hear()).collect();
    let pulses = messages
        .iter()
        .filter(|message| message.contains("WATCHDOG=1"));
    assert!(pulses.count() >= 3, "{messages:?}");
}

#[test]
fn a_watchdog_of_another_process_hears_nothing() {
    let (manager, (farm, _server)) = (Manager::new(), farm());
    let environment = [("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")];
    let backstop = manager.start(&farm, &environment);
    assert!(manager.hear().starts_with("READY=1\n"));
    backstop.signal(Signal::TERM);
    assert!(manager.hear().starts_with("STOPPING=1\n"));
}

#[test]
fn a_service_manager_that_is_gone_keeps_nothing_from_starting() {
    let (manager, (farm, _server)) = (Manager::new(), farm());
    drop(manager.socket);
    let manager = Manager {
        socket: UnixDatagram::unbound().expect("a socket"),
        directory: manager.directory,
    };
    let mut backstop = manager.start(&farm, &[]);
    backstop.wait_for_log("The service manager cannot be told");
    assert_eq!(backstop.stop(), Some(0));
}
