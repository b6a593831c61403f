//! When a session has been silent for too long.

use std::time::Duration;

use super::direction::Moved;
use crate::config::{ClientTimeouts, ServerTimeouts};
use crate::sys::ticks::Tick;

/// One of a session's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// When bytes last moved on each side, in either direction.
#[derive(Debug)]
pub(super) struct Activity {
    client: Tick,
    server: Tick,
    sent_up: bool,
    sent_down: bool,
}

impl Activity {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            client: now,
            server: now,
            sent_up: false,
            sent_down: false,
        }
    }

    /// Notes what a direction that reads from `from` moved.
    pub(super) fn note(&mut self, moved: Moved, from: Side) {
        if moved.read == 0 && moved.written == 0 {
            return;
        }
        self.note_at(moved, from, Tick::now());
    }

    /// Whether bytes have gone to the server, and to the client.
    pub(super) fn sent(&self) -> [bool; 2] {
        [self.sent_up, self.sent_down]
    }

    /// When the client last sent something, if the server has not said anything yet.
    pub(super) fn unanswered_since(&self) -> Option<Tick> {
        (self.sent_up && !self.sent_down).then_some(self.client)
    }

    fn note_at(&mut self, moved: Moved, from: Side, now: Tick) {
        let (source, target, sent) = match from {
            Side::Client => (&mut self.client, &mut self.server, &mut self.sent_up),
            Side::Server => (&mut self.server, &mut self.client, &mut self.sent_down),
        };
        if moved.read > 0 {
            *source = now;
        }
        if moved.written > 0 {
            *target = now;
            *sent = true;
        }
    }
}

/// How long a session may be silent (configuration.txt, "timeout client", "timeout server",
/// "timeout tunnel", "timeout client-fin", "timeout server-fin").
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Timeouts<'a> {
    client: &'a ClientTimeouts,
    server: &'a ServerTimeouts,
}

impl<'a> Timeouts<'a> {
    pub(in crate::proxy) fn new(client: &'a ClientTimeouts, server: &'a ServerTimeouts) -> Self {
        Self { client, server }
    }

    /// The moment at which the session has been silent for too long if nothing moves before,
    /// and the side to blame.
    pub(super) fn deadline(&self, activity: &Activity, half_closed: bool) -> Option<(Tick, Side)> {
        let (client, server) = self.limits(activity, half_closed);
        let client = client.map(|limit| (activity.client + limit, Side::Client));
        let server = server.map(|limit| (activity.server + limit, Side::Server));
        match (client, server) {
            (Some(client), Some(server)) if server.0 < client.0 => Some(server),
            (client, server) => client.or(server),
        }
    }

    fn limits(
        &self,
        activity: &Activity,
        half_closed: bool,
    ) -> (Option<Duration>, Option<Duration>) {
        let tunnel = self
            .server
            .tunnel
            .filter(|_| activity.sent_up && activity.sent_down);
        let (mut client, mut server) =
            (tunnel.or(self.client.client), tunnel.or(self.server.server));
        if half_closed {
            client = self.client.client_fin.or(client);
            server = self.server.server_fin.or(server);
        }
        (client, server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const BOTH: Moved = Moved {
        read: 1,
        written: 1,
        spliced: 0,
        refused: false,
    };

    const CLIENT: ClientTimeouts = ClientTimeouts {
        client: Some(Duration::from_millis(100)),
        client_fin: Some(Duration::from_millis(10)),
    };
    const SERVER: ServerTimeouts = ServerTimeouts {
        queue: None,
        connect: None,
        server: Some(Duration::from_millis(200)),
        server_fin: None,
        tunnel: None,
        check: None,
    };
    const TIMEOUTS: Timeouts<'_> = Timeouts {
        client: &CLIENT,
        server: &SERVER,
    };

    #[test]
    fn the_side_whose_limit_passes_first_is_to_blame() {
        let start = Tick::now();
        let mut activity = Activity::new(start);
        assert_eq!(
            TIMEOUTS.deadline(&activity, false),
            Some((start + MS(100), Side::Client))
        );
        activity.note_at(Moved { written: 0, ..BOTH }, Side::Client, start + MS(150));
        assert_eq!(
            TIMEOUTS.deadline(&activity, false),
            Some((start + MS(200), Side::Server))
        );
    }

    #[test]
    fn a_write_is_activity_of_the_side_that_takes_it() {
        let start = Tick::now();
        let mut activity = Activity::new(start);
        activity.note_at(BOTH, Side::Server, start + MS(50));
        assert_eq!(
            TIMEOUTS.deadline(&activity, false),
            Some((start + MS(150), Side::Client))
        );
    }

    #[test]
    fn the_tunnel_limit_begins_when_bytes_have_gone_both_ways() {
        let start = Tick::now();
        let server = ServerTimeouts {
            tunnel: Some(MS(5_000)),
            ..SERVER
        };
        let timeouts = Timeouts::new(&CLIENT, &server);
        let mut activity = Activity::new(start);
        activity.note_at(BOTH, Side::Client, start);
        assert_eq!(
            timeouts.deadline(&activity, false),
            Some((start + MS(100), Side::Client))
        );
        activity.note_at(BOTH, Side::Server, start);
        assert_eq!(
            timeouts.deadline(&activity, false),
            Some((start + MS(5_000), Side::Client))
        );
    }

    #[test]
    fn half_closed_sessions_have_limits_of_their_own() {
        let activity = Activity::new(Tick::now());
        let (deadline, side) = TIMEOUTS.deadline(&activity, true).unwrap();
        assert_eq!((deadline, side), (activity.client + MS(10), Side::Client));
    }

    #[test]
    fn without_limits_there_is_no_deadline() {
        let (client, server) = Default::default();
        let none = Timeouts::new(&client, &server);
        assert_eq!(none.deadline(&Activity::new(Tick::now()), true), None);
    }
}
