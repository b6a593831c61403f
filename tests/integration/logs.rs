//! Where log lines go, and what stands in them.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{DEADLINE, wait_for, wait_until};

/// A farm with one server and these lines at the top.
fn farm(top: &str) -> (Farm, Server) {
    let farm = Farm::new();
    let server = Server::named(farm.next(), "one");
    let check = "check = { interval = \"100ms\", fall = 1, rise = 1 }";
    let farm = farm.top(top).server("s1", server.address(), check);
    (farm, server)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn wait_for_text(path: &Path, part: &str) -> String {
    wait_for(&format!("`{part}` in {}", path.display()), || {
        Some(text(path)).filter(|text| text.contains(part))
    })
}

fn request(farm: &Farm) {
    assert_eq!(http::curl(farm.entrance()).expect("an answer"), "one\n");
}

/// A datagram with `part` in it.
fn datagram(receive: impl Fn(&mut [u8]) -> std::io::Result<usize>, part: &str) -> String {
    wait_for(&format!("a message with `{part}`"), || {
        let mut buffer = [0; 4096];
        let length = receive(&mut buffer).ok()?;
        let text = String::from_utf8(buffer[..length].to_vec()).expect("UTF-8");
        Some(text).filter(|text| text.contains(part))
    })
}

#[test]
fn lines_go_to_several_places_at_once_each_in_its_form() {
    let directory = TempDir::new();
    let (path, socket) = (
        directory.path().display(),
        directory.path().join("log.sock"),
    );
    let unix = UnixDatagram::bind(&socket).expect("a socket");
    unix.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    udp.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let port = udp.local_addr().expect("an address").port();
    let (farm, mut server) = farm(&format!(
        r#"[log]
targets = [
  "stdout",
  {{ file = "{path}/all.json", format = "json" }},
  {{ file = "{path}/warnings.log", level = "warn" }},
  {{ syslog = "{path}/log.sock", facility = "local0" }},
  {{ syslog = "127.0.0.1:{port}", facility = "local1", protocol = "rfc5424", hostname = "edge", tag = "lb" }},
]"#
    ));
    let backstop = farm.start();
    request(&farm);
    let line = backstop.wait_for_sessions(1);
    assert_eq!(line[0].code, "--");
    let json = wait_for_text(&directory.path().join("all.json"), "\"target\":\"session\"");
    let session = json
        .lines()
        .find(|line| line.contains("\"session\""))
        .expect("a line");
    let session: serde_json::Value = serde_json::from_str(session).expect("JSON");
    assert_eq!([&session["backend"], &session["server"]], ["bk", "s1"]);
    assert_eq!(session["level"], "INFO");

    // 16 * 8 + 6 and 17 * 8 + 6: information of local0 and local1.
    let pid = backstop.pid().as_raw_nonzero();
    let message = datagram(|buffer| unix.recv(buffer), " ft bk/s1 ");
    assert!(message.starts_with("<134>"), "{message}");
    assert!(
        message.contains(&format!(" backstop[{pid}]: 127.0.0.1:")),
        "{message}"
    );
    let message = datagram(|buffer| udp.recv(buffer), " ft bk/s1 ");
    assert!(message.starts_with("<142>1 "), "{message}");
    assert!(
        message.contains(&format!("Z edge lb {pid} session - 127.0.0.1:")),
        "{message}"
    );

    server.stop();
    // An alert, as HAProxy's.
    let message = datagram(|buffer| unix.recv(buffer), "Server bk/s1 is DOWN, reason: ");
    assert!(message.starts_with("<129>"), "{message}");
    let warnings = wait_for_text(
        &directory.path().join("warnings.log"),
        "has no server available!",
    );
    assert!(!warnings.contains("INFO"), "{warnings}");
}

#[test]
fn a_file_that_was_moved_is_opened_anew_on_sigusr1() {
    let directory = TempDir::new();
    let (log, moved) = (directory.path().join("log"), directory.path().join("log.1"));
    let events = directory.path().join("events.json");
    let (farm, mut server) = farm(&format!(
        "[events]\nfile = \"{}\"\n[log]\ntargets = [\"stdout\", {{ file = \"{}\" }}]",
        events.display(),
        log.display()
    ));
    let backstop = farm.start();
    request(&farm);
    wait_for_text(&log, " ft bk/s1 ");
    fs::rename(&log, &moved).expect("a file");
    backstop.signal(Signal::USR1);
    wait_for_text(&log, "Log files were opened anew.");
    fs::remove_file(&events).expect("a file");
    backstop.signal(Signal::USR1);
    wait_until("the event file should be there again", || events.exists());
    request(&farm);
    wait_for_text(&log, " ft bk/s1 ");
    assert_eq!(text(&moved).matches(" ft bk/s1 ").count(), 1);
    server.stop();
    wait_for_text(&events, "server_down");
}

fn metric(farm: &Farm, name: &str) -> u64 {
    let stats = farm.stats();
    let answer = http::get(stats.address, "/metrics", &stats.authorization()).expect("an answer");
    let line = answer.body.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[test]
fn a_full_disk_loses_lines_which_are_counted_and_told_elsewhere() {
    let (farm, _server) = farm("[log]\ntargets = [\"stdout\", { file = \"/dev/full\" }]");
    let backstop = farm.start();
    for _ in 0..3 {
        request(&farm);
    }
    backstop.wait_for_sessions(3);
    backstop.wait_for_log("Log lines cannot be written to /dev/full: No space left on device");
    let lost = "backstop_log_lines_lost_total{target=\"/dev/full\",reason=\"failed\"}";
    wait_until("lost lines should be counted", || metric(&farm, lost) >= 3);
    assert!(metric(&farm, "backstop_log_lines_total{target=\"stdout\"}") >= 3);
}

#[test]
fn a_syslog_server_that_goes_and_comes_back_is_found_again() {
    let directory = TempDir::new();
    let socket = directory.path().join("log.sock");
    let top = format!(
        "[log]\ntargets = [\"stdout\", {{ syslog = \"{}\" }}]",
        socket.display()
    );
    // It need not be there at the start.
    let (farm, _server) = farm(&top);
    let backstop = farm.start();
    backstop.wait_for_log("Log lines cannot be written to");
    for round in 0..2 {
        let unix = UnixDatagram::bind(&socket).expect("a socket");
        unix.set_nonblocking(true).expect("a mode");
        let mut received = Vec::new();
        wait_until(&format!("messages should arrive in round {round}"), || {
            request(&farm);
            let mut buffer = [0; 2048];
            while let Ok(length) = unix.recv(&mut buffer) {
                received.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            let has = |part: &str| received.iter().any(|message| message.contains(part));
            has(" ft bk/s1 ") && has(" log lines were lost here.")
        });
        drop(unix);
        fs::remove_file(&socket).expect("a socket");
        // Lines meet the server's absence.
        let lost = format!(
            "backstop_log_lines_lost_total{{target=\"{}\",reason=\"failed\"}}",
            socket.display()
        );
        let before = metric(&farm, &lost);
        request(&farm);
        wait_until("a line should be lost", || metric(&farm, &lost) > before);
    }
}

#[test]
fn sessions_above_the_rate_limit_leave_no_line_and_are_told() {
    let (farm, _server) = farm("[log]\nrate_limit = 1");
    let backstop = farm.start();
    let lost = "backstop_log_lines_lost_total{target=\"stdout\",reason=\"rate\"}";
    wait_until("lines should be above the limit", || {
        request(&farm);
        metric(&farm, lost) >= 5
    });
    backstop.wait_for_log("log lines were lost here.");
    assert!(!backstop.sessions().is_empty());
}

#[test]
fn a_log_file_that_cannot_be_made_keeps_it_from_starting() {
    let (farm, _server) = farm("[log]\ntargets = [{ file = \"/does/not/exist\" }]");
    let mut backstop = Backstop::spawn(&farm.config());
    assert_eq!(backstop.wait().code(), Some(1));
    let errors = backstop.errors().join("\n");
    let wanted = "error: log lines cannot be written to /does/not/exist: No such file or directory";
    assert!(errors.contains(wanted), "{errors}");
}

#[test]
fn a_frontend_may_have_a_format_of_its_own() {
    let (farm, server) = farm("[log]\nformat = \"raw\"");
    let format = "%f|%b|%s|%si:%sp|%fi:%fp|%{+X}fi|%bi|%{+Q}ts|%U|%B|%rc|100%%|%pid";
    let config = farm.config().replace(
        "default_backend = \"bk\"",
        &format!("default_backend = \"bk\"\nlog_format = '{format}'"),
    );
    let backstop = Backstop::start(&config);
    request(&farm);
    let line = backstop.wait_for_log("ft|bk|s1|");
    let (entrance, address) = (farm.entrance(), server.address());
    let std::net::IpAddr::V4(ip) = entrance.ip() else {
        panic!("tests use IPv4");
    };
    let hexadecimal = format!("{:08X}", ip.to_bits());
    let parts: Vec<_> = line.split('|').collect();
    assert_eq!(parts[3], address.to_string());
    assert_eq!(parts[4], entrance.to_string());
    assert_eq!(parts[5], hexadecimal);
    assert!(parts[6].parse::<std::net::IpAddr>().is_ok(), "{line}");
    assert_eq!(parts[7], "\"--\"");
    assert!(
        parts[8].parse::<u64>().is_ok_and(|bytes| bytes > 10),
        "{line}"
    );
    assert!(
        parts[9].parse::<u64>().is_ok_and(|bytes| bytes > 10),
        "{line}"
    );
    assert_eq!(parts[10..12], ["0", "100%"]);
    assert_eq!(parts[12], backstop.pid().as_raw_nonzero().to_string());
}

#[test]
fn checks_that_change_something_are_logged_if_that_is_wanted() {
    let farm = Farm::new().backend("log_health_checks = true");
    let mut server = Server::named(farm.next(), "one");
    let check = "check = { interval = \"100ms\", fall = 2, rise = 2 }";
    let farm = farm.server("s1", server.address(), check);
    let backstop = farm.start();
    let passed = "Health check for server bk/s1 succeeded, reason: Layer4 check passed, \
                  check duration: ";
    backstop.wait_for_log(passed);
    server.stop();
    let failed = "Health check for server bk/s1 failed, reason: Layer4 connection problem, \
                  info: \"Connection refused\", check duration: ";
    assert!(
        backstop
            .wait_for_log(failed)
            .ends_with("ms, status: 1/2 UP.")
    );
    backstop.wait_for_log("status: 0/2 DOWN.");
    server.restart();
    backstop.wait_for_log("status: 1/2 DOWN.");
    backstop.wait_for_log("status: 2/2 UP.");
}
