//! What is compared: two proxies, each with the same scenario and then with what an expert
//! would add to it.

use std::any::Any;

use clap::ValueEnum;

use crate::harness::backstop::Backstop;
use crate::harness::haproxy::Haproxy;
use crate::harness::scenario::{BACKUP_SERVER, Entrance, Site};

const HAPROXY_CONFIG: &str = include_str!("../../tests/real/haproxy/backup-server.cfg");

/// Added to `[defaults]`: at most 1.1 s until a server that stopped answering is down.
const HTTP_CHECK: &str = r#"check = { type = "http", interval = "500ms", fast_interval = "100ms", timeout = "300ms", fall = 2 }"#;

/// Added to `[defaults]`.
const SILENCE: &str = r#"silence = { after = "300ms", sessions = 3 }"#;

/// Added to the backend: what HAProxy's own documentation offers for a faster failover.
const TUNED: &str = "
    option redispatch 1
    retries 3
    default-server inter 500ms fastinter 100ms fall 2 observe layer4 error-limit 3 on-error mark-down";

/// Added to the backend: the counterpart of [`HTTP_CHECK`].
const TUNED_HTTP: &str = "
    option httpchk GET /
    timeout check 300ms";

/// A proxy with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contestant {
    /// Backstop with configs/backup-server.toml
    Backstop,
    /// The same with HTTP checks
    BackstopHttp,
    /// The same with silence detection
    BackstopSilence,
    /// HAProxy with the configuration that means the same
    Haproxy,
    /// The same with what an expert would add
    HaproxyTuned,
    /// The same with HTTP checks too
    HaproxyHttp,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backstop => "Backstop",
            Self::BackstopHttp => "Backstop, HTTP check",
            Self::BackstopSilence => "Backstop, silence",
            Self::Haproxy => "HAProxy",
            Self::HaproxyTuned => "HAProxy tuned",
            Self::HaproxyHttp => "HAProxy tuned, HTTP check",
        }
    }

    /// Whether it differs from the others only where servers take connections.
    pub(crate) fn looks_at_answers(self) -> bool {
        matches!(
            self,
            Self::BackstopHttp | Self::BackstopSilence | Self::HaproxyHttp
        )
    }

    pub(crate) fn is_haproxy(self) -> bool {
        matches!(self, Self::Haproxy | Self::HaproxyTuned | Self::HaproxyHttp)
    }

    pub(crate) fn entrance(self, site: &Site) -> Entrance {
        site.entrance(if self.is_haproxy() {
            "HAProxy"
        } else {
            "Backstop"
        })
    }

    /// Starts it; it runs until the value is dropped.
    pub(crate) fn start(self, site: &Site, entrance: &Entrance) -> Box<dyn Any> {
        let config = site.readdress(&self.config(), entrance);
        if self.is_haproxy() {
            Box::new(Haproxy::start(&config, entrance.stats))
        } else {
            Box::new(Backstop::start(&config))
        }
    }

    fn config(self) -> String {
        let defaults = |line| add_after(BACKUP_SERVER.config, "[defaults]", &format!("\n{line}"));
        let backend = |lines| add_after(HAPROXY_CONFIG, "backend bk-app-main", lines);
        match self {
            Self::Backstop => BACKUP_SERVER.config.to_owned(),
            Self::BackstopHttp => defaults(HTTP_CHECK),
            Self::BackstopSilence => defaults(SILENCE),
            Self::Haproxy => HAPROXY_CONFIG.to_owned(),
            Self::HaproxyTuned => backend(TUNED),
            Self::HaproxyHttp => backend(&format!("{TUNED}{TUNED_HTTP}")),
        }
    }
}

fn add_after(config: &str, line: &str, addition: &str) -> String {
    // The name of the section is also that of a rule's target, so only a whole line will do.
    let (before, after) = config
        .split_once(&format!("\n{line}\n"))
        .or_else(|| config.strip_prefix(&format!("{line}\n")).map(|c| ("", c)))
        .expect("the section");
    format!("{before}\n{line}{addition}\n{after}")
}
