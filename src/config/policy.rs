//! What failures and recoveries lead to.

use std::time::Duration;

use super::clients::ProxyVersion;

/// How a backend goes over to other servers and back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailoverPolicy {
    /// When a second connection attempt races a slow first one.
    pub hedge: Hedge,
    /// When a recovered primary gets sessions again.
    pub failback: Failback,
    /// How servers that come and go are kept away, if they are.
    pub flap_damping: Option<FlapDamping>,
    /// How many servers of a tier must be usable for it to be used, by tier; 1 where missing.
    pub min_up: Vec<u32>,
    /// The zone whose servers are used before those of others.
    pub prefer_zone: Option<PreferredZone>,
}

/// What a server's failures and recoveries lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerPolicy {
    /// What it is taken for before its first check.
    pub init_state: InitState,
    /// How long its share of sessions grows after a recovery.
    pub slowstart: Option<Duration>,
    /// What happens to its sessions when it goes down.
    pub on_marked_down: Option<ShutdownSessions>,
    /// Whether its recovery ends the sessions of its backend's backups.
    pub on_marked_up: bool,
    /// How failing connections of real traffic count, beyond asking for a check.
    pub observe: Option<Observe>,
    /// When a server that accepts but does not answer counts as failing.
    pub silence: Option<Silence>,
    /// The PROXY header that connections to it begin with (`send-proxy`, `send-proxy-v2`).
    pub send_proxy: Option<ProxyVersion>,
}

/// When another server is tried beside one that has not answered the connection yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hedge {
    /// Never.
    Off,
    #[default]
    /// After what is unusually long for that server, at least 30 ms.
    Auto,
    /// After this long.
    After(Duration),
}

/// When a recovered primary gets sessions again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failback {
    #[default]
    /// As soon as it is up.
    AtOnce,
    /// After it was up for this long.
    Delay(Duration),
    /// When the operator says that it is ready.
    Manual,
}

/// `flap_damping`: a server that goes down soon after it came up is kept away longer each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlapDamping {
    /// How long the second recovery in a row keeps it away; each further one doubles that.
    pub penalty: Duration,
    /// The longest that it is kept away.
    pub max: Duration,
    /// In this time without a failure the penalty halves.
    pub half_life: Duration,
}

/// `prefer_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferredZone {
    /// Its name.
    pub zone: String,
    /// How many of its servers must be usable for the others to be left out.
    pub min_up: u32,
}

/// What a checked server is taken for before its first check (configuration.txt, "init-state").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitState {
    #[default]
    /// Checked before the process accepts its first session.
    Known,
    /// Up, and it takes `fall` failures to go down.
    FullyUp,
    /// Up, and the first failure takes it down.
    Up,
    /// Down, and the first pass brings it up.
    Down,
    /// Down, and it takes `rise` passes to come up.
    FullyDown,
}

/// `on_marked_down = "shutdown-sessions"` and its gentler forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSessions {
    /// How long sessions may go on, if the server stays down.
    pub after: Duration,
    /// How many are ended per second; `None` is all at once.
    pub rate: Option<u32>,
}

/// `observe = "layer4"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observe {
    /// Failures in a row that count.
    pub error_limit: u32,
    /// What follows.
    pub on_error: OnError,
}

/// What follows when `error_limit` is reached (configuration.txt, "on-error").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It counts as one failed check.
    FailCheck,
    /// The next failed check takes the server down.
    SuddenDeath,
    /// The server goes down at once.
    MarkDown,
    /// The next check comes after `fast_interval`.
    FastInterval,
}

/// `silence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// How long a session may wait for its server's first byte after the client's last.
    pub after: Duration,
    /// Sessions in a row that must find the server silent.
    pub sessions: u32,
}
