//! How a session ended: which side caused it, and what the session was doing.
//!
//! The two letters are HAProxy's session state at disconnection (configuration.txt,
//! "Session state at disconnection"), which log readers know.

use std::fmt;

/// Who or what ended the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Both sides were done.
    Normal,
    /// The client closed or reset the connection early.
    ClientAbort,
    /// The client was silent, or did not take its bytes, for too long.
    ClientTimeout,
    /// The server refused, closed or reset the connection early.
    ServerAbort,
    /// The server was silent, or did not take its bytes, for too long.
    ServerTimeout,
    /// A rule forbade it, or no rule said where to go.
    Policy,
    /// The proxy lacked something: descriptors, memory, ports.
    Resource,
    /// A bug in the proxy.
    Internal,
    /// Its server was marked down.
    MarkedDown,
    /// It was on a backup when a primary came up.
    PrimaryUp,
    /// The proxy was stopped before the session ended.
    Killed,
}

impl Cause {
    /// Whether it was the server's doing.
    pub fn is_the_servers(self) -> bool {
        matches!(self, Self::ServerAbort | Self::ServerTimeout)
    }
}

/// What the session was doing when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was over.
    Ended,
    /// The frontend was choosing a backend.
    Request,
    /// It waited for a server that has room.
    Queue,
    /// A connection to a server was being made.
    Connect,
    /// Bytes were being forwarded.
    Data,
}

/// Every cause, in the order of the enum.
const CAUSES: [Cause; 11] = [
    Cause::Normal,
    Cause::ClientAbort,
    Cause::ClientTimeout,
    Cause::ServerAbort,
    Cause::ServerTimeout,
    Cause::Policy,
    Cause::Resource,
    Cause::Internal,
    Cause::MarkedDown,
    Cause::PrimaryUp,
    Cause::Killed,
];

/// Every phase, in the order of the enum.
const PHASES: [Phase; 5] = [
    Phase::Ended,
    Phase::Request,
    Phase::Queue,
    Phase::Connect,
    Phase::Data,
];

/// A cause and a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Who or what ended the session.
    pub cause: Cause,
    /// What the session was doing.
    pub phase: Phase,
}

impl Outcome {
    /// Both sides ended as they should.
    pub const NORMAL: Self = Self::new(Cause::Normal, Phase::Ended);

    /// How many outcomes there are.
    pub const COUNT: usize = CAUSES.len() * PHASES.len();

    /// Every outcome, in the order of [`Outcome::number`].
    pub fn all() -> impl Iterator<Item = Self> {
        let phases = |cause| PHASES.into_iter().map(move |phase| Self::new(cause, phase));
        CAUSES.into_iter().flat_map(phases)
    }

    /// Its position among all outcomes.
    pub fn number(self) -> usize {
        self.cause as usize * PHASES.len() + self.phase as usize
    }

    /// A cause and a phase together.
    pub const fn new(cause: Cause, phase: Phase) -> Self {
        Self { cause, phase }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::Normal => '-',
            Cause::ClientAbort => 'C',
            Cause::ClientTimeout => 'c',
            Cause::ServerAbort => 'S',
            Cause::ServerTimeout => 's',
            Cause::Policy => 'P',
            Cause::Resource => 'R',
            Cause::Internal => 'I',
            Cause::MarkedDown => 'D',
            Cause::PrimaryUp => 'U',
            Cause::Killed => 'K',
        };
        let phase = match self.phase {
            Phase::Ended => '-',
            Phase::Request => 'R',
            Phase::Queue => 'Q',
            Phase::Connect => 'C',
            Phase::Data => 'D',
        };
        write!(f, "{cause}{phase}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_number_of_its_own() {
        let numbers: Vec<_> = Outcome::all().map(Outcome::number).collect();
        assert_eq!(numbers, (0..Outcome::COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn codes_are_those_that_log_readers_know() {
        let code = |cause, phase| Outcome::new(cause, phase).to_string();
        assert_eq!(Outcome::NORMAL.to_string(), "--");
        assert_eq!(code(Cause::ClientTimeout, Phase::Data), "cD");
        assert_eq!(code(Cause::ServerAbort, Phase::Connect), "SC");
        assert_eq!(code(Cause::Policy, Phase::Request), "PR");
    }
}
