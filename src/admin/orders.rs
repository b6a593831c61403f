//! What users of the page want of servers, on its way to the supervisor, which carries it out on
//! the control thread as it does what comes over the runtime API.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use super::row;
use crate::events::Reason;
use crate::supervisor::Supervisor;
use crate::supervisor::operator::weight;
use crate::topology::status::Admin;
use crate::topology::{Backend, Current, Server, Topology};

/// Orders that may wait to be carried out.
const WAITING: usize = 16;

/// What is wanted of some servers of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The backend's name, or `#` and its number in the CSV (`iid`).
    pub backend: String,
    /// The servers' names.
    pub servers: Vec<String>,
    /// What is to be done with each.
    pub action: Action,
    /// What the journal says of whoever wants it.
    pub who: String,
}

/// What can be done with a server on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take it into service, or have it drained or taken out.
    Admin(Admin),
    /// End its maintenance, and leave a drain as it is.
    Enable,
    /// End its drain, and leave a maintenance as it is.
    Start,
    /// Have it checked, or not.
    Checks(bool),
    /// Take it as up or down until its checks find otherwise.
    Health(bool),
    /// Take its agent as saying that it is up or down.
    Agent(bool),
    /// Give it this weight, or this share of its own.
    Weight(String),
    /// End its sessions.
    Shutdown,
}

/// What became of an order (`src/stats.c`, `stat_status_codes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every server did it.
    Done,
    /// Some did; the others are not there or cannot.
    Part,
    /// None did, or the order makes no sense.
    Error,
    /// No server or no action was chosen.
    Nothing,
    /// The order was too long.
    TooLong,
}

impl Outcome {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Done, "DONE"),
        (Self::Part, "PART"),
        (Self::Error, "ERRP"),
        (Self::Nothing, "NONE"),
        (Self::TooLong, "EXCD"),
    ];

    /// HAProxy's word for it, as in `;st=DONE`.
    pub fn word(self) -> &'static str {
        let named = Self::ALL.iter().find(|(outcome, _)| *outcome == self);
        named.map_or("", |(_, word)| word)
    }

    /// What a word says.
    pub fn of(word: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|(_, known)| *known == word);
        named.map(|(outcome, _)| *outcome)
    }

    /// What people are told.
    pub fn told(self) -> &'static str {
        match self {
            Self::Done => "Done.",
            Self::Part => "Done for some servers; the others are not there or cannot do that.",
            Self::Error => "Nothing was changed: no server could do that.",
            Self::Nothing => "Nothing was changed: no server or no action was chosen.",
            Self::TooLong => "Nothing was changed: too many servers at once.",
        }
    }
}

type Message = (Order, oneshot::Sender<Outcome>);

/// The way of orders to the one who carries them out. Clones are the same way.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<Message>);

/// Where orders come out.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Message>);

impl Orders {
    /// A way for orders.
    pub fn channel() -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Inbox(receiver))
    }

    /// Has `order` carried out. Once it is on its way it is, whether or not this is waited for.
    pub async fn give(&self, order: Order) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        // Nobody is there any more when the process ends.
        let sent = self.0.send((order, reply)).await;
        match (sent, outcome.await) {
            (Ok(()), Ok(outcome)) => outcome,
            _ => Outcome::Error,
        }
    }
}

/// Carries out orders for as long as somebody may give any.
pub async fn obey(mut inbox: Inbox, current: Current, supervisor: Rc<Supervisor>) {
    while let Some((order, reply)) = inbox.0.recv().await {
        let outcome = carry_out(&order, &current.get(), &supervisor).await;
        // Whoever gave it may have gone.
        let _ = reply.send(outcome);
    }
}

async fn carry_out(order: &Order, topology: &Topology, supervisor: &Rc<Supervisor>) -> Outcome {
    let Some(backend) = backend(topology, &order.backend) else {
        return Outcome::Error;
    };
    let mut done = 0;
    for name in &order.servers {
        let mut servers = backend.servers.iter();
        if let Some(server) = servers.find(|server| server.config.name == *name) {
            done += usize::from(act(supervisor, server, &order.action, &order.who));
        }
        // A change of a server counts through its whole backend, and checks want their turn.
        yield_now().await;
    }
    match (done, order.servers.len()) {
        (_, 0) => Outcome::Nothing,
        (0, _) => Outcome::Error,
        (done, all) if done == all => Outcome::Done,
        _ => Outcome::Part,
    }
}

fn backend<'t>(topology: &'t Topology, name: &str) -> Option<&'t Arc<Backend>> {
    let mut backends = topology.backends.iter();
    let named = topology
        .backends
        .iter()
        .find(|backend| backend.config.name == name);
    named.or_else(|| {
        let number: u32 = name.strip_prefix('#')?.parse().ok()?;
        backends.find(|backend| row::backend_number(topology, backend) == number)
    })
}

/// Does it, if the server can. What it is already counts as done, as in HAProxy.
fn act(supervisor: &Rc<Supervisor>, server: &Arc<Server>, action: &Action, who: &str) -> bool {
    let config = &server.config;
    let wish = |admin| {
        supervisor.set_admin(server, admin, who);
        true
    };
    match action {
        Action::Admin(admin) => wish(*admin),
        Action::Enable => match server.status().admin {
            Admin::Maintenance => wish(Admin::Ready),
            _ => true,
        },
        Action::Start => match server.status().admin {
            Admin::Drain => wish(Admin::Ready),
            _ => true,
        },
        Action::Checks(on) if config.check.is_some() => {
            supervisor.switch_checks(server, *on, who);
            true
        }
        Action::Health(up) if config.check.is_some() => {
            supervisor.set_health(server, *up, who);
            true
        }
        Action::Agent(up) if config.agent.is_some() => {
            supervisor.set_agent_health(server, *up, who);
            true
        }
        Action::Checks(_) | Action::Health(_) | Action::Agent(_) => false,
        Action::Weight(wanted) => match weight(wanted, config.weight) {
            Ok(weight) => {
                let who = who.to_owned();
                supervisor.set_weight(server, Some(weight), Reason::Operator { who });
                true
            }
            Err(_) => false,
        },
        Action::Shutdown => {
            supervisor.shut_down_sessions(server, who);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Running;
    use crate::proxy::Sessions;
    use crate::topology::sample::farms;
    use crate::topology::status::State;

    /// What becomes of an order for servers of the first of two farms.
    fn given(running: &Running, backend: &str, servers: &[&str], action: Action) -> Outcome {
        let order = Order {
            backend: backend.to_owned(),
            servers: servers.iter().map(|&name| name.to_owned()).collect(),
            action,
            who: "ops".to_owned(),
        };
        let (sessions, _queues) = Sessions::channel(1);
        let current = running.current.clone();
        let journal = running.journal.clone();
        let supervisor = Supervisor::new(current.clone(), sessions, journal);
        let (orders, inbox) = Orders::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime.unwrap(), async move {
            tokio::task::spawn_local(obey(inbox, current, supervisor));
            orders.give(order).await
        })
    }

    const DRAIN: Action = Action::Admin(Admin::Drain);

    #[test]
    fn an_order_is_carried_out_and_told_with_who_gave_it() {
        let running = Running::of(farms());
        let backend = &running.topology.backends[0];
        let name = backend.servers[0].config.name.as_str();
        assert_eq!(
            given(&running, "bk-app-main", &[name], DRAIN),
            Outcome::Done
        );
        assert_eq!(backend.servers[0].status().state, State::Drain);
        let records = running.journal.after(0, usize::MAX);
        let told = records.iter().map(|record| record.event.to_string());
        let told: Vec<_> = told.collect();
        assert!(told.iter().any(|text| text.contains("ops")), "{told:?}");
        let number = format!("#{}", row::backend_number(&running.topology, backend));
        let ready = Action::Admin(Admin::Ready);
        assert_eq!(given(&running, &number, &[name], ready), Outcome::Done);
        assert_ne!(backend.servers[0].status().state, State::Drain);
    }

    #[test]
    fn what_became_of_an_order_is_told_as_haproxy_tells_it() {
        let running = Running::of(farms());
        let servers = &running.topology.backends[0].servers;
        let (one, two) = (&servers[0].config.name, &servers[1].config.name);
        let main = |servers: &[&str], action| given(&running, "bk-app-main", servers, action);
        assert_eq!(main(&[one, two], DRAIN), Outcome::Done);
        assert_eq!(main(&[one, "nobody"], DRAIN), Outcome::Part);
        assert_eq!(main(&["nobody"], DRAIN), Outcome::Error);
        assert_eq!(main(&[], DRAIN), Outcome::Nothing);
        assert_eq!(given(&running, "nothing", &[one], DRAIN), Outcome::Error);
        assert_eq!(given(&running, "#99", &[one], DRAIN), Outcome::Error);
        assert_eq!(
            main(&[one], Action::Agent(true)),
            Outcome::Error,
            "it has no agent"
        );
        assert_eq!(main(&[one], Action::Weight("50%".into())), Outcome::Done);
        assert_eq!(main(&[one], Action::Weight("257".into())), Outcome::Error);
        assert_eq!(main(&[one], Action::Enable), Outcome::Done);
        assert_eq!(
            servers[0].status().admin,
            Admin::Drain,
            "it was not in maintenance"
        );
        assert_eq!(main(&[one], Action::Start), Outcome::Done);
        assert_eq!(servers[0].status().admin, Admin::Ready);
    }

    #[test]
    fn every_outcome_has_a_word() {
        for (outcome, word) in Outcome::ALL {
            assert_eq!(outcome.word(), word);
            assert_eq!(Outcome::of(word), Some(outcome));
        }
        assert_eq!(Outcome::of("DENY"), None);
    }
}
