use super::*;
use crate::config::parse;

fn config(text: &str) -> Config {
    match parse(text, "test.toml", &|_| Some("hunter2".to_owned())) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    }
}

fn changes(old: &str, new: &str) -> Vec<String> {
    Difference::between(&config(old), &config(new)).changes
}

const FARM: &str = r#"
[frontends.f]
bind = ["127.0.0.1:81", "127.0.0.1:82"]
default_backend = "a"
acl.few = "nbsrv(a) lt 2"
use_backend = [{ backend = "b", if = "few" }]
[backends.a]
servers = [{ name = "s", address = "10.0.0.1:80", check = { type = "redis", password = "${P}" } }]
[backends.b]
timeout.connect = "1s"
servers = [{ name = "s", address = "[::1]:80" }, { name = "t", address = "t:80" }]
"#;

#[test]
fn nothing_is_different_from_itself() {
    let same = Difference::between(&config(FARM), &config(FARM));
    assert!(same.is_empty(), "{same:?}");
    assert_eq!(same.prospect(), "A reload would change nothing.\n");
}

#[test]
fn an_acl_that_means_something_else_changes_the_rules() {
    let new = FARM.replace("lt 2", "lt 3");
    let wanted = "frontend f: its rules change; there are 1 rule now";
    assert_eq!(changes(FARM, &new), [wanted]);
}

#[test]
fn another_algorithm_is_told_by_its_name() {
    let random = FARM.replace("timeout.connect = \"1s\"", "balance = \"random(3)\"");
    let source = random.replace("random(3)", "source");
    assert_eq!(
        changes(&random, &source),
        ["backend b: `balance` is source in place of random(3)"]
    );
}

#[test]
fn another_order_of_backends_changes_nothing_but_ids() {
    let (head, farms) = FARM.split_once("[backends.a]").unwrap();
    let (a, b) = farms.split_once("[backends.b]").unwrap();
    let new = format!("{head}[backends.b]{b}[backends.a]{a}");
    assert_eq!(changes(FARM, &new), Vec::<String>::new());
}

#[test]
fn addresses_of_listeners_and_servers() {
    let new = FARM
        .replace("127.0.0.1:82", "127.0.0.1:83")
        .replace("[::1]:80", "[::2]:80");
    assert_eq!(
        changes(FARM, &new),
        [
            "frontend f also listens on 127.0.0.1:83",
            "frontend f no longer listens on 127.0.0.1:82",
            "server b/s is at [::2]:80 in place of [::1]:80; sessions there go on to their end",
        ]
    );
}

#[test]
fn what_comes_goes_and_moves() {
    let new = FARM
        .replace("{ name = \"s\", address = \"[::1]:80\" }, ", "")
        .replace("backends.a]", "backends.c]")
        .replace("default_backend = \"a\"", "default_backend = \"c\"")
        .replace("nbsrv(a)", "nbsrv(c)")
        .replace("\"1s\"", "\"2s\"");
    assert_eq!(
        changes(FARM, &new),
        [
            "frontend f: its rules change; there are 1 rule now",
            "frontend f: `default_backend` is c in place of a",
            "backend c is new, with 1 server",
            "backend b: `timeout.connect` is 2s in place of 1s",
            "server b/s is removed; its sessions go on to their end",
            "backend a is removed; its sessions go on to their end",
        ]
    );
}

#[test]
fn a_secret_is_not_shown() {
    let new = FARM.replace("${P}", "hunter3");
    let told = changes(FARM, &new);
    assert_eq!(
        told,
        ["server a/s: `check` changes, and it is checked anew"]
    );
}

#[test]
fn a_setting_that_has_no_words_of_its_own_is_told() {
    let mut new = config(FARM);
    new.backends[0].failover.min_up = vec![3];
    let told = Difference::between(&config(FARM), &new).changes;
    assert_eq!(told, ["backend a: `min_up` changes"]);
}

#[test]
fn ten_thousand_servers_are_compared_at_once() {
    let mut large = config(FARM);
    let server = large.backends[1].servers[0].clone();
    large.backends[1].servers = (0..10_000)
        .map(|number| ServerConfig {
            name: format!("server-with-a-long-name-{number}"),
            ..server.clone()
        })
        .collect();
    let mut other = large.clone();
    other.backends[1].servers.swap(0, 9_999);
    assert_eq!(
        Difference::between(&large, &other).changes,
        ["backend b: its servers stand in another order"]
    );
}
