//! `backstop top` in a real terminal, that of tmux: keys go in, and what is on the screen comes out.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_for;
use crate::programs::{Need, find, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 5] = [
        ("top::a_killed_server_turns_red", killed),
        ("top::a_server_is_drained_by_key", drained),
        ("top::a_user_is_refused_and_told_so", refused),
        ("top::the_terminal_is_given_back", given_back),
        ("top::any_size_and_a_restart_are_survived", resized),
    ];
    let trials = tests.map(|(name, test)| trial(name, &[Need::Program("tmux")], test));
    trials.into()
}

/// A farm of two servers, with `backstop top` on its runtime API in tmux.
struct Site {
    farm: Farm,
    backstop: Backstop,
    first: Server,
    _second: Server,
    tmux: Tmux,
}

impl Site {
    fn start(level: &str, environment: &str) -> Self {
        let tmux = Tmux::new();
        let socket = tmux.directory.path().join("api.sock");
        let farm = Farm::new();
        let first = Server::named(farm.next(), "one");
        let second = Server::named(farm.next(), "two");
        let check = "check = { interval = \"100ms\", fall = 1, rise = 1 }";
        let farm = farm
            .top(&format!(
                "[api]\nsocket = \"{}\"\nlevel = \"{level}\"",
                socket.display()
            ))
            .server("s1", first.address(), check)
            .server("s2", second.address(), check);
        let backstop = farm.start();
        farm.stats().wait_for_check("s1");
        let program = env!("CARGO_BIN_EXE_backstop");
        // A shell below it, so that the terminal is still there when it has ended.
        tmux.start(&format!(
            "{environment} {program} top -s {}",
            socket.display()
        ));
        let site = Self {
            farm,
            backstop,
            first,
            _second: second,
            tmux,
        };
        site.tmux.wait_for_text("q quit");
        site
    }

    /// Chooses the server `s1`: below the frontend and the backend.
    fn choose_first(&self) {
        self.tmux.keys(&["j", "j", "j"]);
        self.tmux
            .wait_for_line("the chosen row", |line| line.starts_with(">   s1 "));
    }

    fn status(&self, server: &str, status: &str) {
        self.tmux
            .wait_for_line(&format!("{server} {status}"), |line| {
                let words: Vec<_> = line.trim_start_matches('>').split_whitespace().collect();
                words.starts_with(&[server, status])
            });
    }
}

/// A terminal of its own.
struct Tmux {
    directory: TempDir,
}

impl Tmux {
    fn new() -> Self {
        let directory = TempDir::new();
        Self { directory }
    }

    fn command(&self, words: &[&str]) -> String {
        let program = find("tmux").unwrap_or_else(|| PathBuf::from("tmux"));
        let output = Command::new(program)
            .arg("-S")
            .arg(self.directory.path().join("tmux"))
            .args(["-f", "/dev/null", "-u"])
            .args(words)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("COLORTERM")
            .env_remove("TMUX")
            .output()
            .expect("tmux runs");
        assert!(
            output.status.success(),
            "tmux {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn start(&self, line: &str) {
        let shell = format!("{line}; echo ended with $?; exec sh");
        self.command(&["new-session", "-d", "-x", "100", "-y", "30", &shell]);
    }

    fn keys(&self, keys: &[&str]) {
        self.command(&[&["send-keys"], keys].concat());
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        self.command(&["capture-pane", "-p"])
    }

    /// The same with the colours, as escape sequences.
    fn coloured(&self) -> String {
        self.command(&["capture-pane", "-p", "-e"])
    }

    fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = crate::harness::wait::wait_within(crate::harness::wait::DEADLINE, || {
            last = self.screen();
            last.lines().find(|line| wanted(line)).map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("no {what} on the screen:\n{last}"))
    }

    fn wait_for_text(&self, text: &str) -> String {
        self.wait_for_line(text, |line| line.contains(text))
    }

    /// The process that runs below the pane's shell.
    fn child(&self) -> Pid {
        let pane = self.command(&["display-message", "-p", "#{pane_pid}"]);
        let pane = pane.trim();
        wait_for("the process in the pane", || {
            let children = format!("/proc/{pane}/task/{pane}/children");
            let children = std::fs::read_to_string(children).ok()?;
            let pid = children.split_whitespace().next()?.parse().ok()?;
            Pid::from_raw(pid)
        })
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let socket = self.directory.path().join("tmux");
        let mut kill = Command::new("tmux");
        let _ = kill.arg("-S").arg(socket).arg("kill-server").output();
    }
}

fn killed() {
    let mut site = Site::start("admin", "");
    site.status("s1", "UP");
    site.tmux.wait_for_text("All 2 servers are available");
    site.tmux
        .wait_for_text("2 of 2 primaries, because it is the default");
    site.first.stop();
    site.status("s1", "DOWN");
    site.tmux.wait_for_text("1 of 2 servers is not available");
    site.tmux
        .wait_for_text("1 of 2 primaries, because it is the default");
    site.tmux
        .wait_for_text("/s1 is DOWN, reason: Layer4 connection problem");
    // HAProxy's red, the nearest of 256.
    let coloured = site.tmux.coloured();
    let row = coloured.lines().find(|line| line.contains("  s1 "));
    assert!(
        row.is_some_and(|row| row.contains("48;5;210")),
        "{coloured}"
    );
    site.first.restart();
    site.status("s1", "UP");
}

fn drained() {
    let site = Site::start("admin", "");
    site.choose_first();
    site.tmux.keys(&["d"]);
    site.tmux.wait_for_text("/s1: no new sessions? y/n");
    site.tmux.keys(&["n"]);
    site.tmux.wait_for_text("q quit");
    site.tmux.keys(&["d", "y"]);
    site.tmux.wait_for_text("state drain: done");
    site.status("s1", "DRAIN");
    assert_eq!(site.farm.stats().row("s1")["status"], "DRAIN");
    site.tmux
        .wait_for_text("set by operator on the runtime API");
    site.tmux.keys(&["w", "7", "Enter"]);
    site.tmux.wait_for_text("weight 7: done");
    site.tmux.keys(&["r", "y"]);
    site.status("s1", "UP");
    assert_eq!(site.farm.stats().row("s1")["weight"], "7");
}

fn refused() {
    let site = Site::start("user", "NO_COLOR=1");
    site.tmux.wait_for_text("show events: Permission denied");
    site.choose_first();
    site.tmux.keys(&["m", "y"]);
    site.tmux.wait_for_text("state maint: Permission denied");
    site.status("s1", "UP");
    assert_eq!(site.farm.stats().row("s1")["status"], "UP");
    let coloured = site.tmux.coloured();
    assert!(!coloured.contains("48;5;"), "{coloured}");
}

fn given_back() {
    for signal in [None, Some(Signal::TERM), Some(Signal::INT)] {
        let site = Site::start("admin", "");
        let modes = "#{alternate_on} #{cursor_flag}";
        assert_eq!(
            site.tmux.command(&["display-message", "-p", modes]),
            "1 0\n"
        );
        match signal {
            None => site.tmux.keys(&["q"]),
            Some(signal) => kill_process(site.tmux.child(), signal).expect("it lives"),
        }
        site.tmux.wait_for_text("ended with 0");
        assert_eq!(
            site.tmux.command(&["display-message", "-p", modes]),
            "0 1\n"
        );
        // What is typed shows, and a line is a line: it is no raw terminal any more.
        site.tmux.keys(&["echo typed", "Enter"]);
        site.tmux.wait_for_line("an echo", |line| line == "typed");
    }
}

fn resized() {
    let mut site = Site::start("admin", "");
    for (columns, rows) in [("20", "5"), ("1", "1"), ("200", "50"), ("100", "30")] {
        site.tmux
            .command(&["resize-window", "-x", columns, "-y", rows]);
    }
    site.tmux.wait_for_text("q quit");
    let socket = site.tmux.directory.path().join("api.sock");
    site.backstop.stop();
    site.tmux.wait_for_text("asking again");
    site.backstop = site.farm.start();
    assert!(socket.exists());
    site.tmux.wait_for_text("All 2 servers are available");
    site.status("s1", "UP");
}
