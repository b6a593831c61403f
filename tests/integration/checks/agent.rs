//! Agents.

use backstop::checks::agent::{AgentAnswer, AgentHealth, AgentWeight};
use backstop::topology::status::CheckStatus::{
    L4Connection, L7Ok, L7Response, L7Status, L7Timeout,
};

use super::peers::{hear, say, scripted};
use crate::harness::check::ask;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

#[test]
fn an_answer_in_parts_to_a_question() {
    let site = Loopback::lease();
    let turns = vec![hear("app/s1\n"), say("up 5"), say("0%\nignored")];
    let agent = scripted(&site, turns);
    let port = agent.address().port();
    let report = ask(
        agent.address(),
        &format!("port = {port}, send = \"app/s1\\n\""),
    );
    assert_eq!(report.check.status, L7Ok);
    assert_eq!(report.check.info, "via agent : up");
    let wanted = AgentAnswer {
        health: Some(AgentHealth::Up),
        weight: Some(AgentWeight::Percent(50)),
        ..AgentAnswer::default()
    };
    assert_eq!(report.answer, Some(wanted));
}

#[test]
fn the_reason_of_a_down() {
    let site = Loopback::lease();
    let agent = scripted(&site, vec![say("fail#disk full\r\n")]);
    let port = agent.address().port();
    let report = ask(agent.address(), &format!("port = {port}"));
    assert_eq!(report.check.status, L7Status);
    assert_eq!(report.check.info, "via agent : fail (disk full)");
}

#[test]
fn an_agent_that_says_nothing_gives_no_answer() {
    let site = Loopback::lease();
    let ask_with = |port: u16, settings: &str| {
        let report = ask(site.port(port), &format!("port = {port}{settings}"));
        assert_eq!(report.answer, None);
        report.check.status
    };
    assert_eq!(ask_with(site.next().port(), ""), L4Connection);
    let silent = scripted(&site, vec![]);
    assert_eq!(
        ask_with(silent.address().port(), ", interval = \"200ms\""),
        L7Timeout
    );
    let closing = Server::start(site.next(), |_| {});
    assert_eq!(ask_with(closing.address().port(), ""), L7Response);
    let endless = scripted(&site, vec![say(vec![b'x'; 20_000])]);
    assert_eq!(ask_with(endless.address().port(), ""), L7Response);
}
