//! The unit for systemd, judged by systemd.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::daemon::Daemon;
use crate::harness::farm::{self, Farm};
use crate::harness::installed::find;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

const UNIT: &str = include_str!("../../packaging/systemd/backstop.service");
const SOCKET: &str = include_str!("../../packaging/systemd/backstop.socket");

/// What `systemd-analyze security` may find, of 10: below it calls a service OK or safe.
const MOST_EXPOSED: f64 = 2.0;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Program("systemd-analyze")];
    let tests: [(&str, fn()); 2] = [
        ("systemd_finds_nothing_wrong_with_the_unit", valid),
        ("systemd_finds_the_unit_well_confined", confined),
    ];
    let trials = tests.map(|(name, test)| trial(name, &needs, test));
    let needs = [Need::Program("systemd-socket-activate")];
    let activated = trial("systemd_gives_its_sockets", &needs, activated);
    trials.into_iter().chain([activated]).collect()
}

/// The unit with the built program in place of the installed one.
fn unit(directory: &TempDir) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_backstop"));
    let text = UNIT.replace("/usr/bin/backstop", program.to_str().expect("UTF-8"));
    let path = directory.write("backstop.service", &text);
    path.to_str().expect("UTF-8").to_owned()
}

/// Runs `systemd-analyze` and returns all that it says.
fn analyze(arguments: &[&str]) -> (bool, String) {
    let program = find("systemd-analyze").expect("systemd-analyze");
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("systemd-analyze runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

fn valid() {
    let directory = TempDir::new();
    let socket = directory.write("backstop.socket", SOCKET);
    let socket = socket.to_str().expect("UTF-8");
    let (passed, said) = analyze(&["verify", &unit(&directory), socket]);
    // It tells of keys that it does not know without failing.
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("backstop.s"))
        .collect();
    assert!(passed && ours.is_empty(), "{said}");
}

fn confined() {
    let directory = TempDir::new();
    let (_, said) = analyze(&["security", "--offline=true", &unit(&directory)]);
    let level = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level = level.unwrap_or_else(|| panic!("{said}"));
    let number = level.split_whitespace().find_map(|word| word.parse().ok());
    let number: f64 = number.unwrap_or_else(|| panic!("{level}"));
    assert!(number < MOST_EXPOSED, "{said}");
}

/// By their address and by their name.
fn activated() {
    let farm = Farm::new().top("threads = 2");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let entrances = [farm.entrance(), farm.next()];
    let directory = TempDir::new();
    let second = "[frontends.second]\nbind = \"fd@db\"\ndefault_backend = \"bk\"\n";
    let file = directory.write("backstop.toml", &(farm.config() + second));
    let program = find("systemd-socket-activate").expect("systemd-socket-activate");
    let mut command = Command::new(program);
    for entrance in entrances {
        command.arg("-l").arg(entrance.to_string());
    }
    command.args(["--fdname=web:db", env!("CARGO_BIN_EXE_backstop"), "-f"]);
    let daemon = Daemon::spawn("systemd-socket-activate", command.arg(file));
    wait_until("systemd should listen", || {
        // The first connection has the program started.
        farm::connect(entrances[0]).is_ok()
    });
    for entrance in entrances {
        let mut client = farm::connect(entrance).expect("accepted");
        client.write_all(b"four").expect("taken");
        client.read_exact(&mut [0; 4]).expect("echoed");
    }
    // What has been written may not have been read yet.
    wait_until("it should say that it is ready", || {
        let lines = daemon.stdout();
        lines.iter().any(|line| line.contains("Backstop is ready"))
    });
}
