//! Send and expect.

use backstop::topology::status::CheckStatus::{L4Connection, L4Ok, L7Ok, L7Response, L7Timeout};

use super::peers::{hear, say, scripted};
use crate::harness::check::expect;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

#[test]
fn text_bytes_and_expressions_in_turn() {
    let site = Loopback::lease();
    let turns = vec![
        say("hello 7\r\n"),
        hear("PING\r\n"),
        say("+PO"),
        say("NG\r\n"),
        hear(b"\x00\xff"),
        say(b"\x01\x02"),
    ];
    let server = scripted(&site, turns);
    let steps = r#"steps = [
        { expect_regex = "^hello [0-9]+" }, { expect = "hello" },
        { send = "PING\r\n" }, { expect = "+PONG" },
        { send_hex = "00 ff" }, { expect_hex = "0102" },
    ]"#;
    expect(server.address(), steps, L7Ok, None, "");
}

#[test]
fn a_step_that_fails_is_named_with_what_came() {
    let site = Loopback::lease();
    let server = scripted(&site, vec![hear("PING\r\n"), say("-LOADING\r\n")]);
    let steps = r#"steps = [{ send = "PING\r\n" }, { expect = "+PONG" }], timeout = "200ms""#;
    let info = "step 2 of 2 (expect \"+PONG\"): no match within 200ms; the answer was \"-LOADING\"";
    expect(server.address(), steps, L7Timeout, None, info);
}

#[test]
fn a_server_that_closes_before_it_said_enough() {
    let site = Loopback::lease();
    let server = Server::start(site.next(), |_| {});
    let steps = r#"steps = [{ expect_regex = "^220" }]"#;
    let info =
        "step 1 of 1 (expect_regex \"^220\"): the connection was closed before; nothing came";
    expect(server.address(), steps, L7Response, None, info);
}

#[test]
fn what_came_before_a_send_does_not_count_after_it() {
    let site = Loopback::lease();
    let server = scripted(&site, vec![say("+OK\r\n"), hear("x"), say("-NO\r\n")]);
    let steps = r#"steps = [{ expect = "OK" }, { send = "x" }, { expect = "OK" }],
        timeout = "200ms""#;
    let info = "step 3 of 3 (expect \"OK\"): no match within 200ms; the answer was \"-NO\"";
    expect(
        server.address(),
        &steps.replace('\n', " "),
        L7Timeout,
        None,
        info,
    );
}

#[test]
fn several_ports() {
    let site = Loopback::lease();
    let first = scripted(&site, vec![say("one")]);
    let second = scripted(&site, vec![say("two")]);
    let [one, two] = [&first, &second].map(|server| server.address().port());
    let steps = format!(
        "steps = [{{ connect = {one} }}, {{ expect = \"one\" }}, {{ connect = {two} }}, \
         {{ expect = \"two\" }}]"
    );
    let elsewhere = site.next();
    expect(elsewhere, &steps, L7Ok, None, "");
    drop(second);
    let info = format!("step 3 of 4 (connect {two}): Connection refused");
    expect(elsewhere, &steps, L4Connection, None, &info);
}

#[test]
fn steps_without_an_answer_are_a_matter_of_layer_4() {
    let site = Loopback::lease();
    let server = scripted(&site, vec![]);
    let port = server.address().port();
    let steps = format!("steps = [{{ connect = {port} }}]");
    expect(server.address(), &steps, L4Ok, None, "");
}

#[test]
fn an_answer_is_searched_up_to_a_limit() {
    let site = Loopback::lease();
    let mut answer = vec![b'x'; 16_384];
    answer.extend_from_slice(b"needle");
    let server = scripted(&site, vec![say(answer)]);
    let steps = r#"steps = [{ expect = "needle" }]"#;
    let info = format!(
        "step 1 of 1 (expect \"needle\"): not found in the first 16384 bytes of the answer; the \
         answer was \"{}…\"",
        "x".repeat(80)
    );
    expect(server.address(), steps, L7Response, None, &info);
}
