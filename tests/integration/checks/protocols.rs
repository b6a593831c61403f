//! What servers say in each protocol, good and bad.

use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc;

use backstop::topology::status::CheckStatus::{
    L6Ok, L6Response, L7Ok, L7Response, L7Status, L7Timeout,
};

use super::peers::{Turn, hear, say, scripted};
use crate::harness::check::expect;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;

fn http(answer: &str) -> Vec<Turn> {
    vec![hear("\r\n\r\n"), say(answer)]
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nstatus: ready\n";

#[test]
fn http_status() {
    let site = Loopback::lease();
    let check = "type = \"http\"";
    let good = scripted(&site, http(OK));
    expect(good.address(), check, L7Ok, Some(200), "OK");
    let only_204 = "type = \"http\", status = [204, \"300-399\"]";
    expect(good.address(), only_204, L7Status, Some(200), "200 OK");
    let bad = scripted(
        &site,
        http("HTTP/1.1 503 Hidden\r\nContent-Length: 0\r\n\r\n"),
    );
    expect(
        bad.address(),
        check,
        L7Status,
        Some(503),
        "503 Service Unavailable",
    );
    let old = scripted(&site, http("HTTP/1.0 204 No Content\r\n\r\n"));
    expect(old.address(), check, L7Ok, Some(204), "No Content");
}

#[test]
fn http_request() {
    let site = Loopback::lease();
    let (heard, requests) = mpsc::channel();
    let server = Server::start(site.next(), move |mut stream| {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        lines[1..].sort();
        heard.send(lines).expect("the test waits");
        stream.write_all(OK.as_bytes()).expect("the check listens");
    });
    let check = r#"type = "http", method = "HEAD", path = "/health?full=1", host = "app.example",
        headers = { User-Agent = "me", X-Token = "secret" }"#;
    expect(
        server.address(),
        &check.replace('\n', " "),
        L7Ok,
        Some(200),
        "OK",
    );
    let wanted = [
        "HEAD /health?full=1 HTTP/1.1",
        "connection: close",
        "host: app.example",
        "user-agent: me",
        "x-token: secret",
    ];
    assert_eq!(requests.try_recv().expect("a request"), wanted);
}

#[test]
fn http_body() {
    let site = Loopback::lease();
    let server = scripted(&site, http(OK));
    let check =
        |text: &str| format!("type = \"http\", body_contains = \"{text}\", timeout = \"300ms\"");
    expect(server.address(), &check("ready"), L7Ok, Some(200), "OK");
    let info = "the body does not contain \"steady\": status: ready";
    expect(
        server.address(),
        &check("steady"),
        L7Response,
        Some(200),
        info,
    );
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1 << 20));
    let endless = scripted(&site, http(&endless));
    let info = format!("the body does not contain \"ready\": {}…", "x".repeat(80));
    expect(
        endless.address(),
        &check("ready"),
        L7Response,
        Some(200),
        &info,
    );
    let slow = scripted(
        &site,
        http("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrea"),
    );
    let info = "no answer to GET / within 300ms";
    expect(slow.address(), &check("ready"), L7Timeout, None, info);
}

#[test]
fn http_headers_without_end() {
    let site = Loopback::lease();
    let answer = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20));
    let server = scripted(&site, http(&answer));
    let info = "the answer's headers are larger than 16384 bytes";
    expect(server.address(), "type = \"http\"", L7Response, None, info);
}

fn redis(exchange: &[(&str, &str)]) -> Vec<Turn> {
    let turn = |(command, answer): &(&str, &str)| [hear(format!("{command}\r\n")), say(*answer)];
    exchange.iter().flat_map(turn).collect()
}

#[test]
fn redis_roles() {
    let site = Loopback::lease();
    let info = "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\n";
    let answer = format!("${}\r\n{info}\r\n", info.len());
    let replica = scripted(
        &site,
        redis(&[
            ("PING", "+PONG\r\n"),
            ("replication", &answer),
            ("QUIT", "+OK\r\n"),
        ]),
    );
    let check = |role: &str| format!("type = \"redis\", role = \"{role}\"");
    expect(
        replica.address(),
        &check("replica"),
        L7Ok,
        None,
        "role slave",
    );
    let info = "its role is slave, not master";
    expect(replica.address(), &check("master"), L7Status, None, info);
}

#[test]
fn redis_errors() {
    let site = Loopback::lease();
    let loading = scripted(&site, redis(&[("PING", "-LOADING dataset\r\n")]));
    expect(
        loading.address(),
        "type = \"redis\"",
        L7Status,
        None,
        "LOADING dataset",
    );
    let locked = scripted(
        &site,
        redis(&[("PING", "-NOAUTH Authentication required.\r\n")]),
    );
    let info = "NOAUTH Authentication required. Give the check a `password`.";
    expect(locked.address(), "type = \"redis\"", L7Status, None, info);
    let wrong = scripted(&site, redis(&[("hunter2", "-WRONGPASS no\r\n")]));
    let check = "type = \"redis\", user = \"me\", password = \"hunter2\"";
    expect(wrong.address(), check, L7Status, None, "WRONGPASS no");
    let odd = scripted(&site, redis(&[("PING", "+PANG\r\n")]));
    expect(
        odd.address(),
        "type = \"redis\"",
        L7Response,
        None,
        "odd answer to PING: PANG",
    );
}

#[test]
fn redis_cluster() {
    let site = Loopback::lease();
    let cluster = |state: &str| {
        let info = format!("cluster_enabled:1\r\ncluster_state:{state}\r\n");
        let answer = format!("${}\r\n{info}\r\n", info.len());
        scripted(
            &site,
            redis(&[
                ("PING", "+PONG\r\n"),
                ("INFO", &answer),
                ("QUIT", "+OK\r\n"),
            ]),
        )
    };
    let check = "type = \"redis\", cluster = true";
    expect(
        cluster("ok").address(),
        check,
        L7Ok,
        None,
        "PONG, cluster_state ok",
    );
    let info = "cluster_state is fail, not ok";
    expect(cluster("fail").address(), check, L7Status, None, info);
}

#[test]
fn smtp() {
    let site = Loopback::lease();
    let good = vec![
        say("220-mx\r\n220 mx.example ESMTP\r\n"),
        hear("EHLO localhost\r\n"),
        say("250-mx.example\r\n250 SIZE 1\r\n"),
        hear("QUIT\r\n"),
        say("221 bye\r\n"),
    ];
    let good = scripted(&site, good);
    expect(
        good.address(),
        "type = \"smtp\"",
        L7Ok,
        Some(250),
        "mx.example ESMTP",
    );
    let old = vec![
        say("220 mx\r\n"),
        hear("EHLO me\r\n"),
        say("502 what\r\n"),
        hear("HELO me\r\n"),
        say("250 hello\r\n"),
    ];
    let old = scripted(&site, old);
    let check = "type = \"smtp\", domain = \"me\", timeout = \"300ms\"";
    expect(old.address(), check, L7Ok, Some(250), "mx");
    let full = scripted(&site, vec![say("421 too many connections\r\n")]);
    let info = "421 too many connections in answer to the connection";
    expect(full.address(), "type = \"smtp\"", L7Status, Some(421), info);
}

#[test]
fn mysql_errors_before_the_login() {
    let site = Loopback::lease();
    let blocked = b"\x18\0\0\0\xff\x69\x04Host 'proxy' is block".to_vec();
    let blocked = scripted(&site, vec![say(blocked)]);
    let info = "error 1129: Host 'proxy' is block";
    expect(
        blocked.address(),
        "type = \"mysql\"",
        L7Status,
        Some(1129),
        info,
    );
}

#[test]
fn ldap() {
    let site = Loopback::lease();
    let bind = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
    let answer = |result: u8| {
        let mut answer = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec();
        answer[9] = result;
        scripted(&site, vec![hear(*bind), say(answer)])
    };
    expect(
        answer(0).address(),
        "type = \"ldap\"",
        L7Ok,
        Some(0),
        "Success",
    );
    let info = "result 48 (inappropriateAuthentication): ";
    expect(
        answer(48).address(),
        "type = \"ldap\"",
        L7Status,
        Some(48),
        info,
    );
}

#[test]
fn tls_hello() {
    let site = Loopback::lease();
    let alert = scripted(
        &site,
        vec![hear(b"\x00"), say(b"\x15\x03\x03\x00\x02\x02\x28")],
    );
    let info = "the server refused the ClientHello by TLS alert 40 (handshake_failure)";
    let check = "type = \"tls-hello\", sni = \"db.example.org\"";
    expect(alert.address(), check, L6Response, Some(40), info);
    let hello = scripted(
        &site,
        vec![hear(b"db.example.org"), say(b"\x16\x03\x03\x00\x50\x02")],
    );
    expect(hello.address(), check, L6Ok, None, "");
}

#[test]
fn postgres_without_tls() {
    let site = Loopback::lease();
    let server = scripted(&site, vec![hear(b"\x04\xd2\x16\x2f"), say("N")]);
    let check = "type = \"postgres\", user = \"me\", tls = true, verify = false, sni = \"db\"";
    let info = "error performing TLS handshake: server does not support TLS";
    expect(server.address(), check, L6Response, None, info);
}
