//! `configs/kubernetes`, and a `ConfigMap` that changes under the running program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ::backstop::config;

use crate::harness::backstop;
use crate::harness::daemon::Daemon;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

const MANIFEST: &str = include_str!("../../configs/kubernetes/backstop.yaml");

/// The text under `key`, which is a block of the `ConfigMap`.
fn block(manifest: &str, key: &str) -> String {
    let (_, rest) = manifest
        .split_once(&format!("  {key}: |\n"))
        .expect("the key");
    let lines = rest.lines();
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    let lines = lines.map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_configuration_in_the_config_map_has_nothing_to_warn_of() {
    let text = block(MANIFEST, "backstop.toml");
    let loaded = config::parse(&text, "backstop.toml", &|_| None);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings.to_string(), "");
    assert!(loaded.config.reload_on_change);
    assert_eq!(loaded.config.backends[0].servers.len(), 10);
    // The pod may live for longer than its sessions may.
    let seconds = |key: &str| -> u64 {
        let (_, rest) = MANIFEST.split_once(key).expect("the key");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let before = seconds("sleep: { seconds: ");
    let grace = loaded.config.grace.as_secs();
    assert!(seconds("terminationGracePeriodSeconds: ") > before + grace);
    // Probes and ports are those of the configuration.
    let stats = loaded.config.stats.expect("the page").bind[0].port();
    assert!(MANIFEST.contains(&format!("name: stats, containerPort: {stats}")));
    let entrance = loaded.config.frontends[0].bind[0].port();
    assert!(MANIFEST.contains(&format!("name: app, containerPort: {entrance}")));
}

/// Puts another version in place as the kubelet does: a directory beside the old one, and one
/// symbolic link that is replaced (`AtomicWriter`).
fn publish(volume: &Path, version: u32, text: &str) {
    let directory = format!("..version_{version}");
    fs::create_dir(volume.join(&directory)).expect("a new directory");
    fs::write(volume.join(&directory).join("backstop.toml"), text).expect("a file");
    symlink(&directory, volume.join("..data_tmp")).expect("a link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("replaced");
    if version == 1 {
        symlink("..data/backstop.toml", volume.join("backstop.toml")).expect("a link");
    } else {
        let old = format!("..version_{}", version - 1);
        fs::remove_dir_all(volume.join(old)).expect("the old one goes");
    }
}

#[test]
fn a_config_map_that_changes_is_taken() {
    let (volume, loopback) = (TempDir::new(), Loopback::lease());
    let servers = ["s1", "s2"].map(|name| Server::named(loopback.next(), name));
    let entrance = loopback.port(20_081);
    let config = |server: &Server| {
        let address = server.address();
        format!(
            "reload_on_change = true
[defaults]
timeout = {{ connect = \"5s\", client = \"60s\", server = \"60s\" }}
[frontends.ft]
bind = \"{entrance}\"
default_backend = \"bk\"
[backends.bk]
servers = [{{ name = \"s\", address = \"{address}\" }}]
"
        )
    };
    publish(volume.path(), 1, &config(&servers[0]));
    let file = volume.path().join("backstop.toml");
    let _backstop = Daemon::spawn("backstop", backstop::command().arg("-f").arg(&file));
    let answers =
        |name: &str| http::get(entrance, "/", "").is_ok_and(|answer| answer.body.trim() == name);
    wait_until("the first version should serve", || answers("s1"));
    publish(volume.path(), 2, &config(&servers[1]));
    wait_until("the second version should be taken", || answers("s2"));
    publish(volume.path(), 3, &config(&servers[0]));
    wait_until("the third version should be taken", || answers("s1"));
}
