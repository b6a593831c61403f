//! The agent beside a server, which is asked how the server does (`agent-check`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

pub(super) mod answer;

pub use self::answer::{AgentAnswer, AgentHealth, AgentMode, AgentWeight, DownWord};
use super::finding::Finding;
use super::probe;
use super::target::{Limits, Target};
use crate::config::{AgentConfig, CheckConfig, ServerTimeouts};
use crate::events::Reason;
use crate::supervisor::Supervisor;
use crate::topology::Server;
use crate::topology::status::{Admin, CheckReport, CheckStatus};

/// What came of asking an agent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReport {
    /// What it said; `None` if it could not be asked or said nothing that can be read, which
    /// changes nothing about the server.
    pub answer: Option<AgentAnswer>,
    /// The same as a check's result, for people.
    pub check: CheckReport,
}

/// Asks the agent of `server` for ever, the first time after `delay`, and tells `supervisor`.
pub async fn run(
    server: Arc<Server>,
    agent: AgentConfig,
    timeouts: ServerTimeouts,
    delay: Duration,
    supervisor: Rc<Supervisor>,
) {
    sleep(delay).await;
    loop {
        let began = tokio::time::Instant::now();
        if let Some(answer) = ask(&server, &agent, &timeouts).await.answer {
            obey(&server, &answer, &supervisor);
        }
        sleep_until(began + agent.interval).await;
    }
}

/// Has the server become what its agent says. What the agent does not mention stays.
fn obey(server: &Arc<Server>, answer: &AgentAnswer, supervisor: &Rc<Supervisor>) {
    let server = &supervisor.latest(server);
    let mut verdict = server.status().agent.clone();
    match &answer.health {
        Some(AgentHealth::Up) => verdict.down = None,
        Some(AgentHealth::Down { reason, .. }) => verdict.down = Some(reason.clone()),
        None => {}
    }
    match answer.mode {
        Some(AgentMode::Ready) => verdict.admin = Admin::Ready,
        Some(AgentMode::Drain) => verdict.admin = Admin::Drain,
        Some(AgentMode::Maint) => verdict.admin = Admin::Maintenance,
        None => {}
    }
    supervisor.set_agent(server, verdict);
    if let Some(most) = answer.maxconn {
        let why = String::new();
        supervisor.set_server_maxconn(server, most, &Reason::Agent { why });
    }
    if let Some(weight) = answer.weight {
        let weight = weight.of(server.config.weight);
        if weight != server.weight() {
            let why = String::new();
            supervisor.set_weight(server, Some(weight), Reason::Agent { why });
        }
    }
}

/// Asks the agent of `server` once.
pub async fn ask(server: &Server, agent: &AgentConfig, timeouts: &ServerTimeouts) -> AgentReport {
    let began = Instant::now();
    let answer = answer(server, agent, timeouts).await;
    let finding = answer.as_ref().map(finding).map_err(Clone::clone);
    AgentReport {
        check: probe::report(finding, began.elapsed()),
        answer: answer.ok(),
    }
}

async fn answer(
    server: &Server,
    agent: &AgentConfig,
    timeouts: &ServerTimeouts,
) -> Result<AgentAnswer, Finding> {
    let host = agent.host.as_deref();
    let address = probe::address(server, host, Some(agent.port)).await?;
    // "The agent-inter parameter also serves as a timeout" (configuration.txt, "agent-inter").
    let interval = CheckConfig {
        interval: agent.interval,
        ..CheckConfig::default()
    };
    let target = Target::new(
        address,
        host.unwrap_or(&server.config.address.host),
        None,
        Limits::new(&interval, timeouts),
    );
    let mut conversation = target.talk(None).await?;
    if let Some(question) = &agent.send {
        conversation
            .send(question.as_bytes(), "the agent's question")
            .await?;
    }
    conversation
        .answer("the agent's question", answer::line)
        .await
}

/// The result as HAProxy shows it (`src/tcpcheck.c`, `tcpcheck_agent_expect_reply`).
fn finding(answer: &AgentAnswer) -> Finding {
    let status = match answer.health {
        Some(AgentHealth::Down { .. }) => CheckStatus::L7Status,
        Some(AgentHealth::Up) | None => CheckStatus::L7Ok,
    };
    Finding::new(status, answer.to_string())
}
