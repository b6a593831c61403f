//! How a backend chooses a server (`balance`).

/// An algorithm (configuration.txt, "balance").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest sessions for its weight.
    LeastConn,
}

impl Balance {
    /// HAProxy's word for it, as in the column `algo` of its statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::LeastConn => "leastconn",
        }
    }
}

/// As it is written in a configuration.
impl std::fmt::Display for Balance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
