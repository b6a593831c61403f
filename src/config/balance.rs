//! How a backend chooses a server (`balance`).

/// An algorithm (configuration.txt, "balance").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest sessions for its weight.
    LeastConn,
    /// By the client's address: a client stays on its server.
    Source,
    /// The one with the fewest sessions for its weight among some at random.
    Random {
        /// How many, from 1.
        draws: u32,
    },
    /// The first with room.
    First,
}

impl Balance {
    /// How many servers `random` draws unless it says so.
    pub const DRAWS: u32 = 2;

    /// HAProxy's word for it, as in the column `algo` of its statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::LeastConn => "leastconn",
            Self::Source => "source",
            Self::Random { .. } => "random",
            Self::First => "first",
        }
    }
}

/// As it is written in a configuration.
impl std::fmt::Display for Balance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random { draws } if *draws != Self::DRAWS => write!(f, "random({draws})"),
            _ => f.write_str(self.name()),
        }
    }
}
