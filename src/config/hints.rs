//! What to say about a key that is not known: what HAProxy calls it, or the nearest known one.

use toml::de::DeValue;

use super::report::Problem;

/// Which table a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Log,
    LogTarget,
    Defaults,
    DefaultTimeouts,
    Frontends,
    Frontend,
    Acls,
    ClientTimeouts,
    ClientSocket,
    ServerSocket,
    Rule,
    Backends,
    Backend,
    ServerTimeouts,
    Server,
    Check,
    Step,
    Agent,
    Failback,
    FlapDamping,
    PreferZone,
    ShutdownSessions,
    Silence,
    Stats,
    User,
    PageTls,
    Events,
    Api,
    Hooks,
    Hook,
    AcceptProxy,
    SourceRate,
    Resolve,
}

impl Kind {
    /// The table as the subject of a sentence.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::File => "the file",
            Self::Log => "`[log]`",
            Self::LogTarget => "this log target",
            Self::Defaults => "`[defaults]`",
            Self::DefaultTimeouts => "`timeout` of `[defaults]`",
            Self::Frontends => "`[frontends]`",
            Self::Frontend => "this frontend",
            Self::Acls => "`acl`",
            Self::ClientTimeouts => "`timeout` of a frontend",
            Self::ClientSocket => "`socket` of a frontend",
            Self::ServerSocket => "`socket` of a backend",
            Self::Rule => "this rule",
            Self::Backends => "`[backends]`",
            Self::Backend => "this backend",
            Self::ServerTimeouts => "`timeout` of a backend",
            Self::Server => "this server",
            Self::Check => "`check`",
            Self::Step => "this step",
            Self::Agent => "`agent`",
            Self::Failback => "`failback`",
            Self::FlapDamping => "`flap_damping`",
            Self::PreferZone => "`prefer_zone`",
            Self::ShutdownSessions => "`on_marked_down`",
            Self::Silence => "`silence`",
            Self::Stats => "`[stats]`",
            Self::User => "this user",
            Self::PageTls => "`tls` of `[stats]`",
            Self::Events => "`[events]`",
            Self::Api => "`[api]`",
            Self::Hooks => "`[hooks]`",
            Self::Hook => "this hook",
            Self::AcceptProxy => "`accept_proxy`",
            Self::SourceRate => "`source_rate_limit`",
            Self::Resolve => "`resolve`",
        }
    }

    /// Where an unknown key stands.
    fn place(self) -> &'static str {
        match self {
            Self::File => "at the top of the file",
            Self::Log => "in `[log]`",
            Self::LogTarget => "in a log target",
            Self::Defaults => "in `[defaults]`",
            Self::DefaultTimeouts => "in `timeout` of `[defaults]`",
            Self::Frontends => "in `[frontends]`",
            Self::Frontend => "in a frontend",
            Self::Acls => "in `acl`",
            Self::ClientTimeouts => "in `timeout` of a frontend",
            Self::ClientSocket => "in `socket` of a frontend",
            Self::ServerSocket => "in `socket` of a backend",
            Self::Rule => "in a rule of `use_backend`",
            Self::Backends => "in `[backends]`",
            Self::Backend => "in a backend",
            Self::ServerTimeouts => "in `timeout` of a backend",
            Self::Server => "in a server",
            Self::Check => "in `check`",
            Self::Step => "in a step of a check",
            Self::Agent => "in `agent`",
            Self::Failback => "in `failback`",
            Self::FlapDamping => "in `flap_damping`",
            Self::PreferZone => "in `prefer_zone`",
            Self::ShutdownSessions => "in `on_marked_down`",
            Self::Silence => "in `silence`",
            Self::Stats => "in `[stats]`",
            Self::User => "in a user",
            Self::PageTls => "in `tls` of `[stats]`",
            Self::Events => "in `[events]`",
            Self::Api => "in `[api]`",
            Self::Hooks => "in `[hooks]`",
            Self::Hook => "in a hook",
            Self::AcceptProxy => "in `accept_proxy`",
            Self::SourceRate => "in `source_rate_limit`",
            Self::Resolve => "in `resolve`",
        }
    }

    /// What must stand where this table is expected.
    pub(super) fn form(self) -> &'static str {
        match self {
            Self::DefaultTimeouts | Self::ServerTimeouts => {
                "a table such as `{ connect = \"200ms\", server = \"1s\" }`"
            }
            Self::ClientTimeouts => "a table such as `{ client = \"1s\" }`",
            Self::Rule => "a table such as `{ backend = \"NAME\", if = \"CONDITION\" }`",
            Self::Server => "a table such as `{ name = \"web1\", address = \"10.0.0.1:80\" }`",
            Self::Check => "a table such as `{ interval = \"2s\", rise = 2, fall = 3 }`",
            Self::Step => "a table such as `{ send = \"PING\\r\\n\" }`",
            Self::Agent => "a table such as `{ port = 9777 }`",
            Self::Failback => "\"at-once\" or a table such as `{ delay = \"30s\" }`",
            Self::FlapDamping => "`false` or a table such as `{ penalty = \"10s\" }`",
            Self::PreferZone => "a zone's name or a table such as `{ zone = \"a\", min_up = 2 }`",
            Self::ShutdownSessions => {
                "\"shutdown-sessions\" or a table such as `{ after = \"30s\", rate = 100 }`"
            }
            Self::ClientSocket | Self::ServerSocket => "a table such as `{ keepalive = \"60s\" }`",
            Self::AcceptProxy => "a table such as `{ from = \"10.0.0.0/8\" }`",
            Self::SourceRate => "a number or a table such as `{ sessions = 100, per = \"10s\" }`",
            Self::Resolve => "a table such as `{ prefer = \"ipv4\" }`",
            Self::Silence => "a table such as `{ after = \"1s\", sessions = 3 }`",
            Self::User => {
                "a table such as `{ name = \"ops\", password_hash = \"$argon2id$…\", role = \"admin\" }`"
            }
            Self::PageTls => "a table such as `{ cert = \"page.pem\", key = \"page.key\" }`",
            Self::LogTarget => {
                "\"stdout\" or a table such as `{ file = \"/var/log/backstop.log\" }`"
            }
            Self::Hook => "a table such as `{ events = \"server_down\", command = \"…\" }`",
            Self::Acls => "a table such as `{ NAME = \"CONDITION\" }`",
            _ => "a table",
        }
    }

    /// A required key with an example of its value.
    pub(super) fn example(self, key: &str) -> String {
        let value = match (self, key) {
            (Self::Stats, "bind") => "\"127.0.0.1:8711\"",
            (Self::User, "name") => "\"ops\"",
            (_, "cert") => "\"/etc/backstop/page.pem\"",
            (_, "key") => "\"/etc/backstop/page.key\"",
            (_, "bind") => "\"0.0.0.0:81\"",
            (_, "socket") => "\"/run/backstop.sock\"",
            (_, "name") => "\"web1\"",
            (_, "address") => "\"10.0.0.1:80\"",
            (_, "backend") => "\"NAME\"",
            (_, "user") => "\"backstop\"",
            (_, "command") => "\"/usr/local/bin/check-server\"",
            (_, "port") => "9777",
            (_, "delay") => "\"30s\"",
            (_, "from") => "\"10.0.0.0/8\"",
            (_, "sessions") => "100",
            (_, "per" | "penalty") => "\"10s\"",
            (_, "after") => "\"1s\"",
            (_, "zone") => "\"a\"",
            (_, "servers") => "[{ name = \"web1\", address = \"10.0.0.1:80\", check = true }]",
            _ => "…",
        };
        format!("{key} = {value}")
    }
}

/// The error for a key that is not one of `known`.
pub(super) fn unknown_key(kind: Kind, key: &str, known: &[&str]) -> Problem {
    let problem = Problem::error(format!("unknown key `{key}` {}", kind.place()));
    if let Some(help) = other_name(kind, key) {
        return problem.help(help);
    }
    match closest(key, known.iter().copied()) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None if known.len() == 1 => problem.help(format!("only {} is known here", quoted(known))),
        None => problem.help(format!("known here are {}", quoted(known))),
    }
}

fn quoted(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}

/// What is said about a key that HAProxy has, or that belongs elsewhere.
fn other_name(kind: Kind, key: &str) -> Option<String> {
    use Kind::{
        Agent, Backend, Check, ClientSocket, ClientTimeouts, DefaultTimeouts, Defaults, File,
        Frontend, PageTls, Server, ServerSocket, ServerTimeouts, Stats, Step, User,
    };
    let called = |name: &str| Some(format!("`{key}` is called `{name}` here"));
    let say = |text: &str| Some(text.to_owned());
    match (kind, key) {
        (Check | Agent, "inter") => called("interval"),
        (Check, "fastinter") => called("fast_interval"),
        (Check, "downinter") => called("down_interval"),
        (Check | Agent | Server, "addr") => called("address"),
        (Check, "uri") => called("path"),
        (Check, "kind") => called("type"),
        (Check, "ssl") => called("tls"),
        (Check, "ca_file" | "ca-file") => called("ca"),
        (Check, "args") => called("arguments"),
        (Check, "program") => called("command"),
        (Step, "comment") => say("write it after a `#`"),
        (Step, "string") => called("expect"),
        (Step, "rstring") => called("expect_regex"),
        (Step, "binary") => called("expect_hex"),
        (Step, "send_binary" | "send-binary") => called("send_hex"),
        (Server, "agent-check" | "agent_check" | "agent-port" | "agent_port") => {
            say("write `agent = { port = 9777 }`")
        }
        (Server, "source") => say("for checks write `check = { source = \"10.0.0.9\" }`"),
        (Server, "inter" | "interval") => say("write `check = { interval = \"2s\" }`"),
        (Server, "fastinter" | "fast_interval") => {
            say("write `check = { fast_interval = \"1s\" }`")
        }
        (Server, "downinter" | "down_interval") => {
            say("write `check = { down_interval = \"5s\" }`")
        }
        (Server, "rise" | "fall") => Some(format!("write `check = {{ {key} = 2 }}`")),
        (Server, "port") => say(
            "the port stands in `address`, such as \"10.0.0.1:80\"; a port for checks only in \
             `check = { port = 8080 }`",
        ),
        (File, "global") => say("write `threads`, `grace` and `[log]` at the top of the file"),
        (File, "frontend") => say("write `[frontends.NAME]`"),
        (File, "backend") => say("write `[backends.NAME]`"),
        (File, "default") => say("write `[defaults]`"),
        (File, "listen") => say(
            "write a `[frontends.NAME]` and a `[backends.NAME]`; `listen stats` is `[stats]` here",
        ),
        (File, "nbthread" | "nbproc") => called("threads"),
        (File, "uid") => called("user"),
        (File, "gid") => called("group"),
        (File, "insecure-setuid-wanted") => called("insecure_setuid_wanted"),
        (File, "chroot") => {
            say("remove it: `landlock = true` closes the file system without a directory to keep")
        }
        (File, "server-state-file" | "server_state_file") => called("state_file"),
        (File, "hard-stop-after" | "hard_stop_after") => called("grace"),
        (Frontend, "servers" | "balance" | "allbackups" | "retries") => {
            say("this belongs to a backend")
        }
        (Backend, "bind" | "acl" | "use_backend" | "default_backend")
        | (ServerSocket, "backlog" | "defer_accept" | "fastopen") => {
            say("this belongs to a frontend")
        }
        (Backend, "server") => say("write all servers as one list: \
             `servers = [{ name = \"web1\", address = \"10.0.0.1:80\", check = true }]`"),
        (Backend, "default-server" | "default_server") => say(
            "write `check = { … }` in the backend; its servers with `check = true` take it over",
        ),
        (ClientSocket, "source") => say("this belongs to a backend"),
        (ClientSocket, "defer-accept" | "deferred") => called("defer_accept"),
        (ClientSocket, "tfo" | "fast_open") => called("fastopen"),
        (ClientTimeouts, "queue" | "connect" | "server" | "server_fin" | "tunnel" | "check") => {
            say("this timeout belongs to a backend or to `[defaults]`")
        }
        (ServerTimeouts, "client" | "client_fin") => {
            say("this timeout belongs to a frontend or to `[defaults]`")
        }
        (DefaultTimeouts | ClientTimeouts, "client-fin") => called("client_fin"),
        (DefaultTimeouts | ServerTimeouts, "server-fin") => called("server_fin"),
        (Stats, "user" | "password" | "password_hash" | "password_file" | "role") => {
            say("write `auth = \"user:password\"`, or `users = [{ name = \"ops\", … }]`")
        }
        (User, "user") => called("name"),
        (User, "hash") => called("password_hash"),
        (User, "file") => called("password_file"),
        (User, "level") => called("role"),
        (PageTls, "crt" | "certificate") => called("cert"),
        (Stats, "enable") => say("remove it: `[stats]` alone enables the page"),
        (Defaults | Frontend | Backend | Stats, "mode") => {
            say("remove it: everything is forwarded as TCP, and the stats page is HTTP by itself")
        }
        (Defaults | Frontend | Backend, "option") => {
            say("options are keys of their own: `option allbackups` is `allbackups = true`")
        }
        (Defaults | Backend, "redispatch") => {
            say("remove it: a failed connection always goes on to another server")
        }
        _ => other_limit(kind, key),
    }
}

/// The same for limits.
fn other_limit(kind: Kind, key: &str) -> Option<String> {
    use Kind::{Backend, File, Frontend, Resolve, Server};
    let say = |text: &str| Some(text.to_owned());
    match (kind, key) {
        (Backend, "maxconn" | "fullconn") => {
            say("give `maxconn` to its servers, or to the frontends before it")
        }
        (Frontend, "accept-proxy") => say("write `accept_proxy = { from = \"10.0.0.0/8\" }`"),
        (Frontend, "rate-limit" | "rate_limit_sessions") => {
            Some(format!("`{key}` is called `rate_limit` here"))
        }
        (Server | Backend, "send-proxy") => say("write `send_proxy = \"v1\"`"),
        (Server | Backend, "send-proxy-v2" | "send_proxy_v2") => say("write `send_proxy = \"v2\"`"),
        (Server, "check-send-proxy" | "check_send_proxy") => {
            say("write `check = { send_proxy = \"v1\" }`")
        }
        (Server, "maxqueue") => say("write `maxqueue` in the backend, which has one queue"),
        (Server, "resolvers" | "resolve-prefer" | "resolve_prefer") => {
            say("write `resolve = { nameservers = \"10.0.0.53\", prefer = \"ipv4\" }`")
        }
        (Server | Backend, "server-template" | "server_template") => {
            say("write `count` beside `name` and `address`: \
             `{ name = \"web\", address = \"app.example:80\", count = 5 }`")
        }
        (Server, "init-addr" | "init_addr") => {
            say("remove it: names are looked up at the start and later, and keep nothing waiting")
        }
        (File, "resolvers") => say("write `resolve = { … }` in `[defaults]`"),
        (Resolve, "hold") => say("write `hold_valid`, `hold_nx` or `hold_obsolete`"),
        (Server, "minconn") => say("write `maxconn`"),
        (File, "ulimit-n" | "ulimit_n" | "maxsock") => {
            say("remove it: the limit of descriptors is raised as far as allowed; write `maxconn`")
        }
        _ => None,
    }
}

/// What is said about a value of the wrong type where the type alone does not tell what to do.
pub(super) fn wrong_type(key: &str, value: &DeValue<'_>) -> Option<String> {
    match (key, value) {
        ("bind", DeValue::Integer(port)) => Some(format!(
            "write \"127.0.0.1:{0}\" for this machine only, or \"0.0.0.0:{0}\" for all its IPv4 \
             addresses",
            port.as_str()
        )),
        ("use_backend", DeValue::String(name)) => Some(format!(
            "for a backend without a condition write `default_backend = {name:?}`"
        )),
        ("use_backend", DeValue::Table(_)) => {
            Some("put it into brackets: `use_backend = [{ … }]`".to_owned())
        }
        ("servers", DeValue::Table(_)) => {
            Some("put it into brackets: `servers = [{ … }]`".to_owned())
        }
        ("servers", DeValue::String(address)) => Some(format!(
            "write `{{ name = \"web1\", address = {address:?} }}`"
        )),
        ("check", DeValue::Boolean(_)) => Some(
            "write what its servers' checks have in common; a server is checked if it has \
             `check = true`"
                .to_owned(),
        ),
        (_, DeValue::String(text))
            if matches!(&**text, "true" | "false" | "yes" | "no" | "on" | "off") =>
        {
            Some("`true` and `false` stand without quotes".to_owned())
        }
        (_, DeValue::String(text)) if text.parse::<u64>().is_ok() => {
            Some(format!("write the number without quotes: {text}"))
        }
        _ => None,
    }
}

/// More candidates than this are not searched: a suggestion is not worth the time.
const MOST_CANDIDATES: usize = 1000;

/// Names longer than this are not compared, which would take the product of their lengths.
const LONGEST_CANDIDATE: usize = 64;

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase().replace('-', "_");
        let length = word.len().max(candidate.len());
        let shorter = word.len().min(candidate.len());
        let begins = word.starts_with(&candidate) || candidate.starts_with(&word);
        match strsim::damerau_levenshtein(&word, &candidate) {
            distance if distance * 3 <= length => Some(distance),
            // `warning` for `warn`, `addr` for `address`.
            distance if begins && shorter >= 3 => Some(distance),
            _ => None,
        }
    };
    candidates
        .take(if word.len() > LONGEST_CANDIDATE {
            0
        } else {
            MOST_CANDIDATES
        })
        .filter(|candidate| candidate.len() <= LONGEST_CANDIDATE)
        .filter_map(|candidate| distance(candidate).map(|distance| (distance, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_only_if_near() {
        let closest = |word| closest(word, ["default_backend", "use_backend", "bind"].into_iter());
        assert_eq!(closest("defualt_backend"), Some("default_backend"));
        assert_eq!(closest("default-backend"), Some("default_backend"));
        assert_eq!(closest("Bind"), Some("bind"));
        assert_eq!(closest("binds"), Some("bind"));
        assert_eq!(closest("use"), Some("use_backend"));
        assert_eq!(closest("balance"), None);
        assert_eq!(closest("b"), None);
        assert_eq!(closest(&"bind".repeat(100)), None);
    }
}
