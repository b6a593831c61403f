//! Whether a condition holds.

use std::net::IpAddr;

use super::{Comparison, Condition, Sample};
use crate::id::{BackendId, FrontendId, ServerId};

/// What a condition may look at.
pub trait Facts {
    /// `nbsrv`: servers of the backend that get new sessions.
    fn usable_servers(&self, backend: BackendId) -> u64;
    /// `be_conn`: sessions open on the backend.
    fn backend_sessions(&self, backend: BackendId) -> u64;
    /// `fe_conn`: sessions open on the frontend.
    fn frontend_sessions(&self, frontend: FrontendId) -> u64;
    /// `srv_is_up`: the server is unchecked or not down.
    fn server_is_up(&self, server: ServerId) -> bool;
    /// `src`: the client's address.
    fn client(&self) -> IpAddr;
    /// `dst_port`: the port that the client connected to.
    fn destination_port(&self) -> u16;
}

impl Condition {
    /// Whether the condition holds. Does not allocate.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|condition| condition.holds(facts)),
            Self::Any(inner) => inner.iter().any(|condition| condition.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Named(_, definition) => definition.holds(facts),
            Self::Compare(sample, comparison, value) => {
                comparison.holds(sample.value(facts), *value)
            }
            Self::Source(networks) => {
                // An IPv4 client of a dual-stack bind is still an IPv4 client.
                let client = facts.client().to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }
            Self::ServerIsUp(server) => facts.server_is_up(*server),
        }
    }
}

impl Sample {
    /// What the sample is now.
    pub fn value(self, facts: &impl Facts) -> u64 {
        match self {
            Self::UsableServers(backend) => facts.usable_servers(backend),
            Self::BackendSessions(backend) => facts.backend_sessions(backend),
            Self::FrontendSessions(frontend) => facts.frontend_sessions(frontend),
            Self::DestinationPort => u64::from(facts.destination_port()),
        }
    }
}

impl Comparison {
    /// Whether `left` compares with `right` in this way.
    pub fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Two usable servers on every backend, 10 sessions, only the first server of each up.
    struct Session(&'static str);

    impl Facts for Session {
        fn usable_servers(&self, _: BackendId) -> u64 {
            2
        }

        fn backend_sessions(&self, _: BackendId) -> u64 {
            10
        }

        fn frontend_sessions(&self, _: FrontendId) -> u64 {
            11
        }

        fn server_is_up(&self, server: ServerId) -> bool {
            server.position == 0
        }

        fn client(&self) -> IpAddr {
            self.0.parse().unwrap()
        }

        fn destination_port(&self) -> u16 {
            443
        }
    }

    const USABLE: Sample = Sample::UsableServers(BackendId(0));

    fn usable(comparison: Comparison, value: u64) -> Condition {
        Condition::Compare(USABLE, comparison, value)
    }

    fn holds(condition: &Condition) -> bool {
        condition.holds(&Session("10.1.2.3"))
    }

    #[test]
    fn each_comparison_below_at_and_above() {
        let outcomes = |comparison| [1, 2, 3].map(|value| holds(&usable(comparison, value)));
        assert_eq!(outcomes(Comparison::Equal), [false, true, false]);
        assert_eq!(outcomes(Comparison::NotEqual), [true, false, true]);
        assert_eq!(outcomes(Comparison::Less), [false, false, true]);
        assert_eq!(outcomes(Comparison::LessOrEqual), [false, true, true]);
        assert_eq!(outcomes(Comparison::Greater), [true, false, false]);
        assert_eq!(outcomes(Comparison::GreaterOrEqual), [true, true, false]);
    }

    #[test]
    fn each_sample_looks_at_its_own_number() {
        let session = Session("10.1.2.3");
        let backend = BackendId(0);
        assert_eq!(USABLE.value(&session), 2);
        assert_eq!(Sample::BackendSessions(backend).value(&session), 10);
        assert_eq!(Sample::FrontendSessions(FrontendId(0)).value(&session), 11);
        assert_eq!(Sample::DestinationPort.value(&session), 443);
    }

    #[test]
    fn conditions_combine() {
        let (yes, no) = (usable(Comparison::Equal, 2), usable(Comparison::Equal, 3));
        let all = |a: &Condition, b: &Condition| Condition::All(vec![a.clone(), b.clone()]);
        let any = |a: &Condition, b: &Condition| Condition::Any(vec![a.clone(), b.clone()]);
        assert!(holds(&all(&yes, &yes)) && !holds(&all(&yes, &no)));
        assert!(holds(&any(&no, &yes)) && !holds(&any(&no, &no)));
        assert!(holds(&Condition::Not(Box::new(no.clone()))));
        assert!(holds(&Condition::Named("a".to_owned(), Arc::new(yes))));
        assert!(!holds(&Condition::Named("a".to_owned(), Arc::new(no))));
    }

    #[test]
    fn a_server_is_up() {
        let up = |position| {
            holds(&Condition::ServerIsUp(ServerId {
                backend: BackendId(0),
                position,
            }))
        };
        assert!(up(0) && !up(1));
    }

    #[test]
    fn sources_match_also_when_ipv4_comes_as_ipv6() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let condition = Condition::Source(networks.to_vec());
        let matches = |client| condition.holds(&Session(client));
        assert!(matches("10.1.2.3") && matches("::ffff:10.1.2.3") && matches("2001:db8::1"));
        assert!(!matches("11.0.0.1") && !matches("::1"));
    }
}
