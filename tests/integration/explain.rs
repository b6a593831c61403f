//! `backstop explain` on the shipped configurations, as it is printed.

use std::path::Path;

use backstop::cli::explain::{Answer, Question, explain};

use crate::harness::temp::TempDir;

const FARMS: &str = "configs/farm-failover-backup-servers.toml";

fn ask(file: &str, question: &Question) -> Answer {
    explain(Path::new(file), question, false)
}

fn told(file: &str, question: &Question) -> String {
    let answer = ask(file, question);
    assert_eq!(answer.stderr, "");
    assert!(answer.valid);
    answer.stdout
}

fn down(servers: &[&str]) -> Question {
    Question {
        down: servers.iter().map(|&name| name.to_owned()).collect(),
        ..Question::default()
    }
}

fn table() -> Question {
    Question {
        table: true,
        ..Question::default()
    }
}

#[test]
fn with_every_server_up_the_main_farm_serves() {
    assert_eq!(
        told(FARMS, &Question::default()),
        "\
Taken as up: every server.

frontend ft-app on 0.0.0.0:81
  rule 1: bk-app-backup if MAIN_not_enough_capacity
    does not match: nbsrv(bk-app-main) = 4, not le 2
  default: bk-app-main
    taken: no rule matches

backend bk-app-main: 4 of 4 primaries
  next sessions: nginx1, nginx2, nginx3, nginx4, nginx1, nginx2, nginx3, nginx4, …
  if nginx1 fails: nginx2, nginx3, nginx4 (4 attempts at most)

"
    );
}

#[test]
fn with_two_servers_down_the_rule_says_what_it_saw() {
    let question = down(&[
        "bk-app-main/nginx1",
        "bk-app-main/nginx2",
        "bk-app-backup/nginx6",
    ]);
    assert_eq!(
        told(FARMS, &question),
        "\
Taken as down: bk-app-main/nginx1, bk-app-main/nginx2, bk-app-backup/nginx6. All others are up.

frontend ft-app on 0.0.0.0:81
  rule 1: bk-app-backup if MAIN_not_enough_capacity
    matches: nbsrv(bk-app-main) = 2, le 2
  default: bk-app-main
    not reached

backend bk-app-backup: 1 of 2 primaries
  next sessions: nginx5, nginx5, nginx5, nginx5, nginx5, nginx5, nginx5, nginx5, …
  if nginx5 fails: nginx7, nginx8 (4 attempts at most)
  passed over:
    nginx6: down
    nginx7, nginx8: backup, used when no primary is usable

"
    );
}

#[test]
fn a_backend_stands_for_its_servers_and_up_makes_exceptions() {
    let question = Question {
        up: vec!["bk-app-main/nginx3".into()],
        ..down(&["bk-app-main"])
    };
    let told = told("configs/backup-server.toml", &question);
    let first = "Taken as down: bk-app-main/nginx1, bk-app-main/nginx2, bk-app-main/nginx4. \
                 All others are up.\n";
    assert!(told.starts_with(first), "{told}");
    let backend = "backend bk-app-main: no primary is usable, backup nginx3 takes all\n";
    assert!(told.contains(backend), "{told}");
}

#[test]
fn the_plan_goes_from_the_main_farm_to_the_last_backup() {
    assert_eq!(
        told(FARMS, &table()),
        "\
Taken as up: every server.

frontend ft-app
  failed                sessions go to  servers                         because
  (nothing)             bk-app-main     nginx1, nginx2, nginx3, nginx4  default; 4 of 4 primaries
  bk-app-main/nginx1    bk-app-main     nginx2, nginx3, nginx4
  bk-app-main/nginx2    bk-app-backup   nginx5, nginx6                  \
MAIN_not_enough_capacity holds (nbsrv(bk-app-main) = 2, le 2); 2 of 2 primaries
  bk-app-backup/nginx5  bk-app-backup   nginx6
  bk-app-backup/nginx6  bk-app-backup   nginx7, nginx8                  \
no primary is usable, 2 of 2 backups
  bk-app-backup/nginx7  bk-app-backup   nginx8
  bk-app-backup/nginx8  bk-app-backup   -                               \
no server is usable, sessions are refused
  Up to the end, but of no use to these sessions: bk-app-main/nginx3, bk-app-main/nginx4.
"
    );
}

#[test]
fn unknown_names_are_told_all_at_once() {
    let question = Question {
        frontend: Some("ft-ap".into()),
        ..down(&["bk-app-main/ngin1", "bk-ap-main", "elsewhere/x"])
    };
    let answer = ask(FARMS, &question);
    assert!(!answer.valid);
    assert_eq!(
        answer.stderr,
        "\
error: --down: there is no server `ngin1` in backend `bk-app-main`; did you mean `nginx1`?
error: --down: there is no backend `bk-ap-main`; did you mean `bk-app-main`?
error: --down: there is no backend `elsewhere`
error: --frontend: there is no frontend `ft-ap`; did you mean `ft-app`?
"
    );
    let port = Question {
        port: Some(82),
        ..Question::default()
    };
    assert_eq!(
        ask(FARMS, &port).stderr,
        "error: --port: no frontend has port 82\n"
    );
}

/// Two thousand servers in one backend, 1,800 of them primaries.
#[test]
fn the_plan_of_two_thousand_servers_is_short() {
    let servers: Vec<_> = (0..2_000)
        .map(|n| {
            let (port, backup) = (n + 1, n >= 1_800);
            format!("{{ name = \"s{n}\", address = \"10.0.0.1:{port}\", backup = {backup} }}")
        })
        .collect();
    let servers = servers.join(",\n");
    let text = format!(
        "[defaults]\nallbackups = true\n[frontends.f]\nbind = \"0.0.0.0:81\"\n\
         default_backend = \"b\"\n[backends.b]\nservers = [\n{servers}]\n"
    );
    let directory = TempDir::new();
    let file = directory.write("many.toml", &text);
    let told = told(file.to_str().unwrap(), &table());
    assert_eq!(
        told,
        "\
Taken as up: every server.

frontend f
  failed                sessions go to  servers                                                because
  (nothing)             b               s0, s1, s2, s3, s4, s5 and 1794 more                   default; 1800 of 1800 primaries
  b/s0 and 1798 more    b               s1799
  b/s1799               b               s1800, s1801, s1802, s1803, s1804, s1805 and 194 more  no primary is usable, 200 of 200 backups
  b/s1800 and 198 more  b               s1999
  b/s1999               b               -                                                      no server is usable, sessions are refused
"
    );
}

/// What is said of the sessions of a backend by this algorithm, with the first of its servers down.
fn told_of(balance: &str, question: &Question) -> String {
    let text = format!(
        "[frontends.f]\nbind = \"0.0.0.0:81\"\ndefault_backend = \"b\"\n[backends.b]\n\
         balance = \"{balance}\"\nservers = [\n\
         {{ name = \"s0\", address = \"10.0.0.1:80\", check = true, maxconn = 9 }},\n\
         {{ name = \"s1\", address = \"10.0.0.2:80\", check = true, maxconn = 9 }},\n\
         {{ name = \"s2\", address = \"10.0.0.3:80\", check = true, maxconn = 9 }},\n]\n"
    );
    let directory = TempDir::new();
    let file = directory.write("balance.toml", &text);
    let told = told(file.to_str().unwrap(), question);
    let lines = told
        .lines()
        .filter(|line| line.contains("sessions") || line.contains("fails"));
    let lines: Vec<_> = lines.map(str::trim).collect();
    lines.join("\n")
}

#[test]
fn every_algorithm_is_told_as_what_it_is() {
    let question = down(&["b/s0"]);
    let told = |balance| told_of(balance, &question);
    assert_eq!(
        told("leastconn"),
        "next sessions (leastconn, as long as none of them lasts): s1, s2, s1, s2, s1, s2, s1, s2, …\n\
         if s1 fails: s2 (4 attempts at most)"
    );
    assert_eq!(
        told("first"),
        "next sessions (first, each up to its maxconn): s1, s2\n\
         if s1 fails: s2 (4 attempts at most)"
    );
    assert_eq!(
        told("random"),
        "next sessions (random): of 2 drawn by weight the one with the fewest sessions"
    );
    assert_eq!(
        told("random(1)"),
        "next sessions (random): one drawn by weight"
    );
    assert_eq!(
        told("source"),
        "next sessions (source): each client has a server of its own; name one with --src"
    );
}

#[test]
fn a_clients_server_is_named() {
    let of = |number: u8, down: &[&str]| {
        let question = Question {
            src: Some([192, 0, 2, number].into()),
            down: down.iter().map(|&name| name.to_owned()).collect(),
            ..Question::default()
        };
        told_of("source", &question)
    };
    // Client 192.0.2.7: s2, then s0, then s1.
    for (down, server, then) in [
        (&[][..], "s2", "s0, s1"),
        (&["b/s1"], "s2", "s0"),
        (&["b/s2"], "s0", "s1"),
    ] {
        assert_eq!(
            of(7, down),
            format!(
                "next sessions of 192.0.2.7 (source): {server}\n\
                 if {server} fails: {then} (4 attempts at most)"
            )
        );
    }
}
