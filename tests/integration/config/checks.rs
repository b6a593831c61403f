//! Where a check's type comes from, and who tracks whom.

use std::time::Duration;

use backstop::config::check::{HttpCheck, RedisCheck, RedisRole};
use backstop::config::{CheckKind, Config, ServerConfig};
use backstop::id::{BackendId, ServerId};

use super::parse;

fn load(backends: &str) -> Config {
    let text =
        format!("[frontends.www]\nbind = \"0.0.0.0:81\"\ndefault_backend = \"app\"\n\n{backends}");
    parse(&text)
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}

fn kind(server: &ServerConfig) -> &CheckKind {
    &server.check.as_ref().expect("a check").kind
}

#[test]
fn a_type_and_its_settings_come_from_one_table() {
    let config = load(
        r#"
[defaults]
check = { type = "redis", role = "master" }

[backends.app]
check = { type = "http", path = "/health", interval = "1s" }
servers = [
  { name = "a", address = "10.0.0.1:80", check = true },
  { name = "b", address = "10.0.0.2:80", check = { type = "http" } },
  { name = "c", address = "10.0.0.3:80", check = { type = "tcp" } },
]

[backends.other]
servers = [{ name = "a", address = "10.0.0.1:80", check = { rise = 1 } }]
"#,
    );
    let servers = &config.backends[0].servers;
    let health = HttpCheck {
        path: "/health".parse().unwrap(),
        ..HttpCheck::default()
    };
    assert_eq!(*kind(&servers[0]), CheckKind::Http(health));
    assert_eq!(*kind(&servers[1]), CheckKind::Http(HttpCheck::default()));
    assert_eq!(*kind(&servers[2]), CheckKind::default());
    let check = servers[2].check.as_ref().unwrap();
    assert_eq!(check.interval, Duration::from_secs(1));
    let master = RedisCheck {
        role: RedisRole::Master,
        ..RedisCheck::default()
    };
    assert_eq!(
        *kind(&config.backends[1].servers[0]),
        CheckKind::Redis(master)
    );
}

#[test]
fn a_chain_of_tracks() {
    let config = load(
        r#"
[backends.app]
servers = [
  { name = "a", address = "10.0.0.1:80", track = "b" },
  { name = "b", address = "10.0.0.2:80", track = "admin/b" },
]

[backends.admin]
servers = [
  { name = "a", address = "10.0.0.1:80" },
  { name = "b", address = "10.0.0.2:80", check = true },
]
"#,
    );
    let id = |backend, position| {
        Some(ServerId {
            backend: BackendId(backend),
            position,
        })
    };
    let tracks = |backend: usize, server: usize| config.backends[backend].servers[server].track;
    assert_eq!(tracks(0, 0), id(0, 1));
    assert_eq!(tracks(0, 1), id(1, 1));
    assert_eq!(tracks(1, 0), None);
}

#[test]
fn debug_shows_no_secret_of_a_check() {
    let config = load(
        r#"
[backends.app]
servers = [
  { name = "a", address = "10.0.0.1:80", check = { type = "redis", password = "hunter2" } },
  { name = "b", address = "10.0.0.1:80", check = { type = "postgres", user = "u", password = "hunter2" } },
  { name = "c", address = "10.0.0.1:80", check = { type = "mysql", user = "u", password = "hunter2" } },
  { name = "d", address = "10.0.0.1:80", check = { type = "http", headers = { Authorization = "hunter2" } } },
  { name = "e", address = "10.0.0.1:80", check = { steps = [{ send = "AUTH hunter2\r\n" }] } },
]
"#,
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}
