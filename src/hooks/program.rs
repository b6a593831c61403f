//! The program of a hook.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use super::Failure;
use crate::checks::finding::describe;
use crate::checks::program;
use crate::config::hook::HookProgram;
use crate::events::{Place, Record};
use crate::topology::status::State;
use crate::topology::{Backend, Topology};

/// What the program gets in its environment, by the names of the variables.
pub(super) fn facts(
    hook: &str,
    record: &Record,
    attempt: u32,
    topology: &Topology,
) -> Vec<(String, String)> {
    let event = record.value();
    let mut facts = vec![
        ("BACKSTOP_HOOK".to_owned(), hook.to_owned()),
        ("BACKSTOP_ATTEMPT".to_owned(), attempt.to_string()),
        ("BACKSTOP_EVENT".to_owned(), record.event.kind().to_owned()),
    ];
    let mut tell = |name: &str, value: &Value| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        facts.push((format!("BACKSTOP_{name}"), value));
    };
    for (key, value) in event.as_object().into_iter().flatten() {
        match key.as_str() {
            "kind" => {}
            "number" => tell("EVENT_NUMBER", value),
            "cause" => tell("CAUSE", value.get("kind").unwrap_or(&Value::Null)),
            key => tell(&key.to_uppercase(), value),
        }
    }
    let (Place::Backend(name) | Place::Server(name, _)) = record.event.place() else {
        return facts;
    };
    let mut backends = topology.backends.iter();
    if let Some(backend) = backends.find(|backend| backend.config.name == name) {
        facts.push(("BACKSTOP_SERVERS".to_owned(), servers(backend)));
    }
    facts
}

/// The servers of a backend as they are now, in one word each: `name=host:port=STATE`.
fn servers(backend: &Backend) -> String {
    let words = backend.servers.iter().map(|server| {
        let configured = &server.config.address;
        let address = match server.address() {
            Some(address) => address.to_string(),
            None => configured.to_string(),
        };
        let state = match server.status().state {
            State::Up | State::Unchecked => "UP",
            State::Down => "DOWN",
            State::Drain => "DRAIN",
            State::Maintenance => "MAINT",
        };
        format!("{}={address}={state}", server.config.name)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs the program once, with the event as JSON on its standard input. Nothing of this
/// process's environment is passed on but `PATH`, because passwords may stand in it.
pub(super) async fn run(
    config: &HookProgram,
    facts: Vec<(String, String)>,
    record: &Record,
    limit: Duration,
) -> Result<String, Failure> {
    let mut command = Command::new(&config.command);
    let own = config.environment.iter();
    command
        .args(&config.arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(own.map(|(name, value)| (name, value.reveal())))
        .envs(facts);
    let input = record.json() + "\n";
    let failure = |info| Failure { info, again: true };
    let ran = program::run(command, input.as_bytes(), Instant::now() + limit).await;
    let run = ran.map_err(|error| {
        let name = config.command.display();
        failure(format!("{name} cannot be run: {}", describe(&error)))
    })?;
    match &run.ended {
        None => {
            let info = format!("killed: it did not end within {limit:?}");
            Err(failure(run.with_first_line(&info)))
        }
        Some(Err(error)) => Err(failure(describe(error))),
        Some(Ok(status)) if status.success() => Ok(run.first_line),
        Some(Ok(status)) => {
            let info = run.with_first_line(&program::exit_words(*status));
            Err(failure(info))
        }
    }
}
