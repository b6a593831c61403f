//! The runtime API and the metrics as programs that nobody here wrote read them: `socat`,
//! `promtool`, `hatop`, Prometheus' exporter for `HAProxy`, and `HAProxy` itself beside Backstop.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::backstop::Backstop;
use crate::harness::daemon::Daemon;
use crate::harness::haproxy::Haproxy;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let socat = Need::Program("socat");
    [
        trial(
            "monitoring::answers_are_haproxys",
            &[socat, Need::Program("haproxy")],
            answers_are_haproxys,
        ),
        trial(
            "monitoring::metrics_are_haproxys",
            &[Need::Program("haproxy")],
            metrics_are_haproxys,
        ),
        trial(
            "monitoring::promtool_accepts_metrics_and_rules",
            &[Need::Program("promtool")],
            promtool_accepts_metrics_and_rules,
        ),
        trial(
            "monitoring::hatop_shows_every_row",
            &[Need::Program("hatop"), Need::Program("script")],
            hatop_shows_every_row,
        ),
        trial(
            "monitoring::the_exporter_for_haproxy_reads_backstop",
            &[Need::Program("prometheus-haproxy-exporter")],
            the_exporter_for_haproxy_reads_backstop,
        ),
    ]
    .into_iter()
}

/// The same farm behind Backstop, and behind `HAProxy` if that is asked for: `s1` answers, `s2`
/// does not, `s3` is a backup without a check.
struct Site {
    loopback: Loopback,
    directory: TempDir,
    server: Server,
    dead: SocketAddr,
    spare: SocketAddr,
}

const STATS: u16 = 20_711;
const OTHER_STATS: u16 = 20_712;

impl Site {
    fn new() -> Self {
        let loopback = Loopback::lease();
        let server = Server::echo(loopback.next());
        Self {
            server,
            dead: loopback.next(),
            spare: loopback.next(),
            directory: TempDir::new(),
            loopback,
        }
    }

    fn socket(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn backstop(&self) -> Backstop {
        let check = "check = { interval = \"100ms\", fall = 1, rise = 1 }";
        let config = format!(
            "[api]\nsocket = \"{}\"\nlevel = \"admin\"\n[stats]\nbind = \"{}\"\nauth = \"admin:admin\"\n\
             [defaults]\ntimeout = {{ connect = \"1s\", client = \"9s\", server = \"9s\" }}\n\
             [frontends.ft]\nbind = \"{}\"\ndefault_backend = \"bk\"\n[backends.bk]\nservers = [\n\
             {{ name = \"s1\", address = \"{}\", {check} }},\n\
             {{ name = \"s2\", address = \"{}\", {check} }},\n\
             {{ name = \"s3\", address = \"{}\", backup = true }},\n]\n",
            self.socket("backstop.sock"),
            self.loopback.port(STATS),
            self.loopback.port(20_081),
            self.server.address(),
            self.dead,
            self.spare,
        );
        let backstop = Backstop::start(&config);
        let stats = Stats::at(self.loopback.port(STATS));
        stats.wait_for_up("s1");
        stats.wait_for_down("s2");
        backstop
    }

    fn haproxy(&self) -> Haproxy {
        let stats = Stats::at(self.loopback.port(OTHER_STATS));
        let config = format!(
            "global\n stats socket {} level admin\ndefaults\n mode tcp\n timeout connect 1s\n \
             timeout client 9s\n timeout server 9s\nfrontend ft\n bind {}\n default_backend bk\n\
             backend bk\n balance roundrobin\n default-server inter 100ms fall 1 rise 1\n \
             server s1 {} check\n server s2 {} check\n server s3 {} backup\n\
             frontend stats\n mode http\n bind {}\n stats enable\n stats uri /\n stats auth {}\n \
             http-request use-service prometheus-exporter if {{ path /metrics }}\n",
            self.socket("haproxy.sock"),
            self.loopback.port(20_082),
            self.server.address(),
            self.dead,
            self.spare,
            stats.address,
            stats.auth,
        );
        let haproxy = Haproxy::start(&config, stats);
        stats.wait_for_up("s1");
        stats.wait_for_down("s2");
        haproxy
    }
}

/// What `socat` prints for a line that it sends.
fn socat(socket: &str, line: &str) -> String {
    let mut child = Command::new("socat")
        .args(["-t5", "-", &format!("UNIX-CONNECT:{socket}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("socat runs");
    let input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut &input, format!("{line}\n").as_bytes()).expect("taken");
    drop(input);
    let output = child.wait_with_output().expect("socat ends");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Commands that both must answer in the same bytes.
const SAME: [&str; 36] = [
    "show backend",
    "show cli level",
    "get weight bk/s1",
    "get weight bk/s9",
    "get weight zz/s1",
    "get weight bk",
    "show servers state zz",
    "set server bk/s1",
    "set server bk/s1 state",
    "set server bk/s1 state foo",
    "set server zz/s1 state ready",
    "set server bk/s1 weight",
    "set server bk/s1 weight 300",
    "set server bk/s1 weight 5; get weight bk/s1",
    "set weight bk/s1 200%; get weight bk/s1",
    "set server bk/s1 weight 1",
    "set server bk/s1 addr",
    "set server bk/s1 addr foo.bar",
    "set server bk/s1 health foo",
    "set server bk/s1 agent up",
    "set server bk/s3 addr 127.0.0.1 port 9",
    "set server bk/s3 addr 127.0.0.1 port 9",
    "disable server bk/s1",
    "enable server bk/s1",
    "disable server",
    "disable health bk/s3",
    "enable health bk/s3",
    "disable frontend",
    "disable frontend zz",
    "disable frontend ft; disable frontend ft; enable frontend ft; enable frontend ft",
    "shutdown session",
    "shutdown session 0x1234",
    "shutdown sessions server bk/s9",
    "clear counters; show backend",
    "user; show sess; set server bk/s1 weight 1; show cli level",
    "operator; disable server bk/s1",
];

fn answers_are_haproxys() {
    let site = Site::new();
    let (_haproxy, _backstop) = (site.haproxy(), site.backstop());
    let (theirs, ours) = (site.socket("haproxy.sock"), site.socket("backstop.sock"));
    for line in SAME {
        let usage = |answer: String| match answer.split_once(" addr | ") {
            // Theirs has more to set.
            Some((usage, _)) if usage.starts_with("usage: ") => usage.to_owned(),
            _ => answer,
        };
        let (theirs, ours) = (usage(socat(&theirs, line)), usage(socat(&ours, line)));
        assert_eq!(ours, theirs, "answers to {line}");
    }
    for state in ["drain", "maint", "ready"] {
        let line = format!("set server bk/s1 state {state}");
        assert_eq!([socat(&ours, &line), socat(&theirs, &line)], ["\n", "\n"]);
        let states = |socket: &str| states(&socat(socket, "show servers state bk"));
        wait_until(
            &format!("both should be {state}, as {:?}", states(&theirs)),
            || states(&ours) == states(&theirs),
        );
    }
    let fields = |socket: &str| statistics(&socat(socket, "show stat json"));
    let (theirs, ours) = (fields(&theirs), fields(&ours));
    for (place, field) in &ours {
        let found = theirs.iter().find(|(other, _)| other == place);
        let (_, theirs) = found.unwrap_or_else(|| panic!("HAProxy has no {place:?}"));
        assert_eq!(field, theirs, "{place:?}");
    }
    assert!(ours.len() > 150, "{}", ours.len());
}

/// The lines without the proxies' numbers, the times and the counters of checks.
fn states(answer: &str) -> Vec<Vec<String>> {
    let lines = answer.lines().skip(2).filter(|line| !line.is_empty());
    let line = |line: &str| {
        let columns = line.split(' ').enumerate();
        // Backends are numbered after all frontends. A check may be under way.
        let kept = columns.filter(|(index, _)| ![0, 9, 12, 13].contains(index));
        kept.map(|(_, column)| column.to_owned()).collect()
    };
    lines.map(line).collect()
}

/// For each field its row and name, and its tags and type.
fn statistics(answer: &str) -> Vec<((String, String), Value)> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(answer).expect("JSON");
    let rows = rows
        .iter()
        .filter(|row| row[0]["value"]["value"] != "stats");
    let fields = rows.flat_map(|row| {
        let name = row[1]["value"]["value"]
            .as_str()
            .expect("a name")
            .to_owned();
        row.iter().map(move |field| {
            let place = (name.clone(), field["field"]["name"].to_string());
            let kind = serde_json::json!([field["field"], field["tags"], field["value"]["type"]]);
            (place, kind)
        })
    });
    // These only appear in HAProxy for proxies or checks of kinds that are not used here.
    fields
        .filter(|((_, name), _)| !["\"addr\"", "\"slim\""].contains(&name.as_str()))
        .collect()
}

/// What `/metrics` of a stats listener gives.
fn scrape(address: SocketAddr) -> String {
    let authorization = Stats::at(address).authorization();
    let response = http::get(address, "/metrics", &authorization).expect("an answer");
    assert_eq!(response.status, 200);
    response.body
}

/// Each metric's type and the names of its labels.
fn shapes(metrics: &str) -> Vec<(String, String, Vec<String>)> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let shape = |line: &str| {
        let (name, kind) = line.split_once(' ').expect("a type");
        let sample = metrics.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then_some(rest)
        })?;
        let labels = sample.split('"').step_by(2).filter_map(|part| {
            let label = part.trim_start_matches(['{', ',']).strip_suffix('=')?;
            Some(label.to_owned())
        });
        Some((name.to_owned(), kind.to_owned(), labels.collect()))
    };
    types.filter_map(shape).collect()
}

/// Names that `HAProxy` has from version 3 on.
const NEWER: [&str; 2] = ["haproxy_server_active", "haproxy_server_backup"];

fn metrics_are_haproxys() {
    let site = Site::new();
    let (_haproxy, _backstop) = (site.haproxy(), site.backstop());
    let theirs = shapes(&scrape(site.loopback.port(OTHER_STATS)));
    let ours = shapes(&scrape(site.loopback.port(STATS)));
    let ours = ours
        .iter()
        .filter(|(name, _, _)| name.starts_with("haproxy_"));
    let mut count = 0;
    for shape in ours.filter(|(name, _, _)| !NEWER.contains(&name.as_str())) {
        assert!(theirs.contains(shape), "HAProxy has no {shape:?}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

fn promtool_accepts_metrics_and_rules() {
    let site = Site::new();
    let _backstop = site.backstop();
    let metrics = scrape(site.loopback.port(STATS));
    let file = site.directory.write("metrics.txt", &metrics);
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(file).expect("a file"))
        .output()
        .expect("promtool runs");
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && told.is_empty(), "{told}");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/monitoring/prometheus.yml");
    let checked = Command::new("promtool")
        .args(["check", "config"])
        .arg(config)
        .output();
    let checked = checked.expect("promtool runs");
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{told}");
    assert!(told.contains("SUCCESS: 8 rules found"), "{told}");
}

fn hatop_shows_every_row() {
    let site = Site::new();
    let _backstop = site.backstop();
    let screen = site.directory.path().join("screen");
    let socket = site.socket("backstop.sock");
    // hatop draws for a terminal only, and goes on until it is told to stop.
    let command = format!("stty rows 40 cols 130; TERM=xterm exec hatop -s {socket}");
    let mut script = Command::new("script");
    script.args(["-q", "-f", "-c", &command]).arg(&screen);
    let _hatop = Daemon::spawn("hatop", &mut script);
    wait_until("hatop should show every row", || {
        let drawn = fs::read(&screen).unwrap_or_default();
        let drawn = String::from_utf8_lossy(&drawn);
        ["HATop", "FRONTEND", "s1", "s2", "s3", "BACKEND", "L4CON"]
            .iter()
            .all(|part| drawn.contains(part))
    });
}

fn the_exporter_for_haproxy_reads_backstop() {
    let site = Site::new();
    let _backstop = site.backstop();
    let address = site.loopback.port(20_713);
    let mut exporter = Command::new("prometheus-haproxy-exporter");
    exporter
        .arg(format!(
            "--haproxy.scrape-uri=unix:{}",
            site.socket("backstop.sock")
        ))
        .arg(format!("--web.listen-address={address}"));
    let _exporter = Daemon::spawn("exporter", &mut exporter);
    let metrics = wait_for("the exporter should read Backstop", || {
        let response = http::get(address, "/metrics", "").ok()?;
        response
            .body
            .contains("haproxy_up 1")
            .then_some(response.body)
    });
    for line in [
        "haproxy_exporter_csv_parse_failures_total 0",
        "haproxy_backend_up{backend=\"bk\"} 1",
        "haproxy_server_up{backend=\"bk\",server=\"s1\"} 1",
        "haproxy_server_up{backend=\"bk\",server=\"s2\"} 0",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "no {line} in\n{metrics}"
        );
    }
}
