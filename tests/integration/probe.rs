//! `backstop check --probe` against servers that are there, gone, and cannot be found.

use std::net::TcpListener;

use backstop::cli::probe::{Probed, probe};

use crate::harness::temp::TempDir;

fn probed(servers: &str) -> Probed {
    let directory = TempDir::new();
    let text = format!(
        "[defaults]\ntimeout = {{ connect = \"2s\" }}\n[frontends.f]\nbind = \"127.0.0.1:81\"\n\
         default_backend = \"b\"\n[backends.b]\nservers = [{servers}]\n"
    );
    let file = directory.write("probe.toml", &text);
    probe(&file).expect("the configuration is valid")
}

/// What is told of a server, without times.
fn told<'t>(text: &'t str, server: &str) -> &'t str {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(server));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no {server} in {text}"));
    line.split(", in ").next().unwrap().trim()
}

#[test]
fn every_server_is_told_of_and_failures_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let alive = listener.local_addr().unwrap();
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let found = probed(&format!(
        "{{ name = \"alive\", address = \"{alive}\", check = true }},
         {{ name = \"plain\", address = \"{alive}\" }},
         {{ name = \"dead\", address = \"{dead}\", check = true }},
         {{ name = \"lost\", address = \"no-such-name.invalid:80\", check = true }}"
    ));
    assert!(!found.passed);
    let told = |server| told(&found.stdout, server);
    assert_eq!(
        told("server b/alive"),
        format!("OK      {alive}, Layer4 check passed")
    );
    assert_eq!(
        told("server b/plain"),
        format!("OK      {alive}, Layer4 check passed")
    );
    assert_eq!(
        told("server b/dead"),
        format!("FAILED  {dead}, Layer4 connection problem, Connection refused")
    );
    assert_eq!(
        told("server b/lost"),
        "FAILED  the name no-such-name.invalid does not resolve"
    );
    assert!(
        found.stdout.ends_with("\nServers that failed: 2 of 4.\n"),
        "{}",
        found.stdout
    );
}

#[test]
fn all_servers_passed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let found = probed(&format!(
        "{{ name = \"s\", address = \"{address}\", check = true }}"
    ));
    assert!(found.passed);
    assert!(
        found.stdout.ends_with("\nAll servers passed: 1.\n"),
        "{}",
        found.stdout
    );
}
