//! What a valid file comes to.

use std::time::Duration;

use backstop::config::policy::{FailoverPolicy, ServerPolicy};
use backstop::config::resolve::ResolveConfig;
use backstop::config::{
    self, BackendConfig, Balance, CheckConfig, ClientTimeouts, Config, LogConfig, LogFormat,
    LogLevel, ServerAddress, ServerConfig, ServerTimeouts, SessionLog, SpliceMode, StatsConfig,
};
use backstop::sys::options::{ConnectOptions, ListenOptions, SocketOptions};

use super::parse;

/// Uses most of what can be configured.
pub(super) const FARMS: &str = r#"
threads = 2
grace = "0s"

[log]
level = "debug"
format = "json"
sessions = "failed"

[defaults]
timeout = { connect = "200ms", client = "1s", client_fin = "2s", server = "3s", tunnel = "1h" }
retries = 1
allbackups = true
splice = "off"
check = { interval = "1s", rise = 4, fall = 5, fast_interval = "300ms" }

[frontends.www]
bind = [":81", "[::1]:81"]
acl.few = "nbsrv(main) le 1"
acl.local = "src 127.0.0.0/8 and not few"
use_backend = [
  { backend = "spare", if = "few" },
  { backend = "spare", unless = "local or dst_port 81" },
]
default_backend = "main"
timeout.client = "7s"
socket = { backlog = 100, keepalive = "60s", busy_poll_us = 50, defer_accept = true, fastopen = true }

[backends.main]
timeout = { server_fin = "4s", check = "5s", connect = "6s" }
socket = { source = "::1", mark = 7, congestion = "bbr", user_timeout = "9s" }
check = { interval = "500ms", port = 8080 }
servers = [
  { name = "a", address = "${HOST}:80", check = true },
  { name = "b", address = "[::1]:80", check = { rise = 1, address = "b.example", timeout = "1s" } },
  { name = "c", address = "10.0.0.3:80", weight = 5 },
]

[backends.spare]
splice = "always"
retries = 9
allbackups = false
servers = [{ name = "a", address = "spare.example:80", check = { down_interval = "9s" } }]

[stats]
bind = "127.0.0.1:8711"
uri = "/stats"
refresh = "5s"
"#;

fn farms() -> Config {
    let env = |name: &str| (name == "HOST").then(|| "web.example".to_owned());
    let loaded = config::parse(FARMS, "test.toml", &env).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings.to_string(), "");
    loaded.config
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn settings_of_the_process_and_the_stats_page() {
    let config = farms();
    assert_eq!(config.threads.map(std::num::NonZero::get), Some(2));
    assert_eq!(config.grace, Duration::ZERO);
    let log = LogConfig {
        level: LogLevel::Debug,
        format: LogFormat::Json,
        sessions: SessionLog::Failed,
        ..LogConfig::default()
    };
    assert_eq!(config.log, log);
    let stats = StatsConfig {
        bind: vec!["127.0.0.1:8711".parse().unwrap()],
        uri: "/stats".to_owned(),
        realm: "HAProxy Statistics".to_owned(),
        users: Vec::new(),
        admin: false,
        tls: None,
        refresh: Some(s(5)),
    };
    assert_eq!(config.stats, Some(stats));
}

#[test]
fn settings_of_a_frontend() {
    let config = farms();
    let frontend = &config.frontends[0];
    let bind: Vec<_> = frontend.bind.iter().map(ToString::to_string).collect();
    assert_eq!(bind, ["0.0.0.0:81", "[::1]:81"]);
    let rules = frontend.rules.iter();
    let texts: Vec<_> = rules.clone().map(|rule| rule.text.as_str()).collect();
    assert_eq!(texts, ["few", "not (local or dst_port 81)"]);
    let shown: Vec<_> = rules
        .map(|rule| rule.condition.as_ref().unwrap().show(&config).to_string())
        .collect();
    assert_eq!(shown, ["few", "not (local or dst_port eq 81)"]);
    assert_eq!(frontend.rules[0].backend.0, 1);
    assert_eq!(frontend.default_backend.map(|id| id.0), Some(0));
    let timeout = ClientTimeouts {
        client: Some(s(7)),
        client_fin: Some(s(2)),
    };
    assert_eq!(frontend.timeout, timeout);
    assert_eq!(frontend.splice, SpliceMode::Off);
    let socket = ListenOptions {
        backlog: Some(100),
        defer_accept: true,
        fastopen: true,
        both: SocketOptions {
            keepalive: Some(s(60)),
            busy_poll: Some(Duration::from_micros(50)),
            ..SocketOptions::default()
        },
    };
    assert_eq!(frontend.socket, socket);
}

fn server(name: &str, host: &str, weight: u16, check: Option<CheckConfig>) -> ServerConfig {
    ServerConfig {
        name: name.to_owned(),
        address: ServerAddress {
            host: host.to_owned(),
            port: 80,
        },
        resolve: ResolveConfig::default(),
        slot: None,
        backup: false,
        tier: 0,
        zone: None,
        maxconn: None,
        weight,
        check,
        agent: None,
        track: None,
        policy: ServerPolicy::default(),
    }
}

#[test]
fn limits_of_sessions() {
    let config = parse(
        r#"
        maxconn = 9000
        [defaults]
        maxconn = 500
        timeout = { queue = "3s" }
        [frontends.a]
        bind = ":81"
        default_backend = "b"
        [frontends.c]
        bind = ":82"
        maxconn = 20
        default_backend = "b"
        [backends.b]
        maxqueue = 7
        servers = [{ name = "s", address = "10.0.0.1:80", maxconn = 5 }]
        "#,
    )
    .unwrap()
    .config;
    assert_eq!(config.maxconn, Some(9000));
    let of_frontends = config.frontends.iter().map(|frontend| frontend.maxconn);
    assert_eq!(of_frontends.collect::<Vec<_>>(), [Some(500), Some(20)]);
    let backend = &config.backends[0];
    assert_eq!(
        (backend.maxqueue, backend.timeout.queue),
        (Some(7), Some(s(3)))
    );
    assert_eq!(backend.servers[0].maxconn, Some(5));
}

#[test]
fn a_server_before_its_backend_before_the_defaults() {
    let config = farms();
    let check = CheckConfig {
        interval: ms(500),
        fast_interval: Some(ms(300)),
        rise: 4,
        fall: 5,
        port: Some(8080),
        ..CheckConfig::default()
    };
    let own = CheckConfig {
        rise: 1,
        timeout: Some(s(1)),
        host: Some("b.example".to_owned()),
        ..check.clone()
    };
    let main = BackendConfig {
        name: "main".to_owned(),
        balance: Balance::RoundRobin,
        allbackups: true,
        splice: SpliceMode::Off,
        log_health_checks: false,
        socket: ConnectOptions {
            source: Some("::1".parse().unwrap()),
            both: SocketOptions {
                mark: Some(7),
                congestion: Some("bbr".to_owned()),
                user_timeout: Some(s(9)),
                ..SocketOptions::default()
            },
        },
        retries: 1,
        maxqueue: None,
        timeout: ServerTimeouts {
            queue: None,
            connect: Some(s(6)),
            server: Some(s(3)),
            server_fin: Some(s(4)),
            tunnel: Some(s(3600)),
            check: Some(s(5)),
        },
        failover: FailoverPolicy::default(),
        servers: vec![
            server("a", "web.example", 1, Some(check)),
            server("b", "::1", 1, Some(own)),
            server("c", "10.0.0.3", 5, None),
        ],
    };
    assert_eq!(config.backends[0], main);
    let spare = &config.backends[1];
    assert_eq!((spare.retries, spare.allbackups), (9, false));
    assert_eq!(spare.splice, SpliceMode::Always);
    let check = spare.servers[0].check.as_ref().unwrap();
    assert_eq!((check.interval, check.down_interval), (s(1), Some(s(9))));
}

#[test]
fn what_is_not_said_is_as_in_haproxy() {
    let text = "
[frontends.www]
bind = ':81'
default_backend = 'app'

[backends.app]
servers = [{ name = 'a', address = 'a:80', check = true }]
";
    let config = parse(text).unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!(
        (config.threads, config.grace),
        (None, Duration::from_secs(30))
    );
    assert_eq!(config.stats, None);
    assert_eq!(config.frontends[0].timeout.client, None);
    let app = &config.backends[0];
    assert_eq!(
        (app.retries, app.allbackups, app.timeout.connect),
        (3, false, None)
    );
    assert_eq!(app.splice, SpliceMode::Auto);
    let check = app.servers[0].check.as_ref().unwrap();
    assert_eq!(
        (check.interval, check.rise, check.fall),
        (Duration::from_secs(2), 2, 3)
    );
}

/// The order in which backends are declared is theirs also when TOML tables are opened late.
#[test]
fn backends_keep_the_order_of_the_file() {
    let text = "
[frontends.www]
bind = ':81'
default_backend = 'b'
[backends.b.timeout]
connect = '1s'
[backends.a]
servers = [{ name = 'a', address = 'a:80' }]
[[backends.b.servers]]
name = 'b2'
address = 'b:80'
[[backends.b.servers]]
name = 'b1'
address = 'b:80'
";
    let config = parse(text).unwrap_or_else(|e| panic!("{e}")).config;
    let names: Vec<_> = config.backends.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    let servers: Vec<_> = config.backends[0]
        .servers
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(servers, ["b2", "b1"]);
}

#[test]
fn one_frontend_may_listen_for_ipv4_and_ipv6_on_one_port() {
    let text = FARMS.replace("[\":81\", \"[::1]:81\"]", "[\":81\", \"[::]:81\"]");
    let env = |_: &str| Some("h".to_owned());
    let config = config::parse(&text, "test.toml", &env)
        .unwrap_or_else(|e| panic!("{e}"))
        .config;
    assert_eq!(config.frontends[0].bind.len(), 2);
}

#[test]
fn secrets_from_the_environment_are_not_shown() {
    let text = "[stats]\nbind = ':81'\nauth = '${SECRET}'\nrealm = '${SECRET}\\'\n";
    let env = |name: &str| (name == "SECRET").then(|| "sesame".to_owned());
    let report = config::parse(text, "test.toml", &env).unwrap_err();
    assert!(report.errors() >= 3, "{report}");
    assert!(!report.to_string().contains("sesame"), "{report}");
}

#[test]
fn files_of_other_systems_are_read() {
    let windows = FARMS.replace('\n', "\r\n");
    let env = |_: &str| Some("web.example".to_owned());
    for text in [windows, format!("\u{feff}{FARMS}")] {
        let loaded = config::parse(&text, "test.toml", &env).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.config, farms());
        let wrong = text.replace("nbsrv(main)", "nbsrv(mian)");
        let report = config::parse(&wrong, "test.toml", &env).unwrap_err();
        assert!(
            report.to_string().contains(" --> test.toml:19:18\n"),
            "{report}"
        );
    }
}

/// 32 ACLs in a row may be used, by a rule and by each other, in whichever order they stand.
#[test]
fn acls_may_use_each_other() {
    let chain = |count: usize, reversed: bool| {
        let last = count - 1;
        let mut lines: Vec<_> = (0..last)
            .map(|i| format!("acl.a{i} = 'a{}'", i + 1))
            .chain([format!("acl.a{last} = 'dst_port 81'")])
            .collect();
        if reversed {
            lines.reverse();
        }
        format!(
            "[frontends.www]\nbind = ':81'\n{}\nuse_backend = [{{ backend = 'b', if = 'a0' }}]\n\
             [backends.b]\nservers = [{{ name = 's', address = 's:80' }}]\n",
            lines.join("\n")
        )
    };
    for reversed in [false, true] {
        let loaded = parse(&chain(32, reversed)).unwrap_or_else(|e| panic!("{e}"));
        let condition = loaded.config.frontends[0].rules[0].condition.as_ref();
        assert_eq!(condition.unwrap().size(), 33);
        assert!(parse(&chain(33, reversed)).is_err());
        assert!(parse(&chain(3000, reversed)).is_err());
    }
}
