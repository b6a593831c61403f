//! Changing servers on the stats page of the running program, its users and its TLS.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Arc;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::{self, Farm};
use crate::harness::server::Server;
use crate::harness::temp::TempDir;

/// Backstop with two echo servers and a page with some more settings.
struct Served {
    farm: Farm,
    backstop: Backstop,
    _servers: [Server; 2],
}

/// A request to the page.
#[derive(Clone)]
struct Post<'a> {
    user: &'a str,
    origin: Option<String>,
    more: &'a str,
    form: &'a str,
}

impl Served {
    fn start(stats: &str) -> Self {
        let farm = Farm::new();
        let servers = [Server::echo(farm.next()), Server::echo(farm.next())];
        let farm = farm
            .server("s1", servers[0].address(), "check = true")
            .server("s2", servers[1].address(), "check = true");
        let backstop = Backstop::start(&format!("{}{stats}\n", farm.config()));
        Self {
            farm,
            backstop,
            _servers: servers,
        }
    }

    /// What the page itself would send for the user of `auth`.
    fn own<'a>(&self, form: &'a str) -> Post<'a> {
        Post {
            user: "admin:admin",
            origin: Some(format!("http://{}", self.farm.stats().address)),
            more: "",
            form,
        }
    }

    /// The whole answer.
    fn post(&self, post: &Post<'_>) -> String {
        let address = self.farm.stats().address;
        let (user, form) = (STANDARD.encode(post.user), post.form);
        let mut request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{}\
             Authorization: Basic {user}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n",
            post.more,
            form.len(),
        );
        if let Some(origin) = &post.origin {
            write!(request, "Origin: {origin}\r\n").expect("a string");
        }
        let mut stream = farm::connect(address).expect("the page accepts");
        write!(stream, "{request}\r\n{form}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn status(&self, server: &str) -> String {
        self.farm
            .stats()
            .row(server)
            .remove("status")
            .expect("a status")
    }
}

#[track_caller]
fn assert_refused(answer: &str, status: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
}

/// What became of an order.
#[track_caller]
fn outcome(answer: &str) -> &str {
    assert_refused(answer, "303");
    let place = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: /;st="));
    place.unwrap_or_else(|| panic!("no place: {answer}"))
}

#[test]
fn servers_are_changed_and_who_did_it_is_told() {
    let served = Served::start("admin = true");
    let give = |form| outcome(&served.post(&served.own(form))).to_owned();
    assert_eq!(give("s=s1&s=s2&action=drain&b=bk"), "DONE");
    assert_eq!(
        (served.status("s1"), served.status("s2")),
        ("DRAIN".into(), "DRAIN".into())
    );
    let told = served.backstop.wait_for_log("Server bk/s1");
    assert!(
        served
            .backstop
            .wait_for_log("set by admin on the stats page (127.")
            .contains("bk/s"),
        "{told}"
    );
    assert_eq!(give("s=s1&s=nobody&action=ready&b=bk"), "PART");
    assert!(!served.status("s1").starts_with("DRAIN"));
    assert_eq!(give("s=s1&action=weight&weight=7&b=bk"), "DONE");
    assert_eq!(served.farm.stats().row("s1")["weight"], "7");
    assert_eq!(give("s=s1&action=nonsense&b=bk"), "ERRP");
    assert_eq!(give("action=maint&b=bk"), "NONE");
    let long = format!("s=s1&action=maint&b=bk&x={}", "x".repeat(70_000));
    assert_eq!(outcome(&served.post(&served.own(&long))), "EXCD");
    assert!(!served.status("s1").starts_with("MAINT"));
}

#[test]
fn sessions_of_a_server_are_ended() {
    let served = Served::start("admin = true");
    let mut clients: Vec<_> = (0..2).map(|_| served.farm.connect()).collect();
    for client in &mut clients {
        client.write_all(b"four").expect("taken");
        client.read_exact(&mut [0; 4]).expect("echoed");
    }
    let form = "s=s1&s=s2&action=shutdown&b=bk";
    assert_eq!(outcome(&served.post(&served.own(form))), "DONE");
    let ended = served.backstop.wait_for_sessions(2);
    assert!(
        ended.iter().all(|session| session.code == "KD"),
        "{ended:?}"
    );
}

#[test]
fn only_the_page_itself_may_change_anything() {
    let served = Served::start("admin = true");
    let own = served.own("s=s1&action=maint&b=bk");
    let origin = |origin: Option<&str>| Post {
        origin: origin.map(str::to_owned),
        ..own.clone()
    };
    for foreign in [
        origin(None),
        origin(Some("null")),
        origin(Some("http://evil.example")),
        Post {
            more: "Sec-Fetch-Site: cross-site\r\n",
            ..own.clone()
        },
    ] {
        assert_refused(&served.post(&foreign), "403");
    }
    let user = |user| Post {
        user,
        ..own.clone()
    };
    assert_refused(&served.post(&user("admin:wrong")), "401");
    assert_eq!(served.farm.stats().row("s1")["weight"], "1");
    assert!(!served.status("s1").starts_with("MAINT"));
    served
        .backstop
        .wait_for_log("a change that does not come from the page itself");
    let stats = served.farm.stats();
    let metrics = crate::harness::http::get(stats.address, "/metrics", &stats.authorization());
    let metrics = metrics.expect("metrics").body;
    for line in [
        "backstop_stats_refused_total{reason=\"origin\"} 4",
        "backstop_stats_refused_total{reason=\"password\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
    assert_eq!(outcome(&served.post(&own)), "DONE");
    assert!(served.status("s1").starts_with("MAINT"));
}

#[test]
fn without_admin_nothing_can_be_changed() {
    let served = Served::start("");
    let order = served.own("s=s1&action=maint&b=bk");
    let answer = served.post(&order);
    assert_refused(&answer, "405");
    assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    assert!(!served.status("s1").starts_with("MAINT"));
}

#[test]
fn users_have_passwords_as_hashes_and_in_files_and_roles() {
    let directory = TempDir::new();
    let file = directory.path().join("wall");
    fs::write(&file, "look\nmore\n").expect("a file");
    // As cheap as there is, so that the test is fast.
    let params = Params::new(64, 1, 1, None).expect("valid");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon.hash_password(b"steer").expect("random numbers");
    let served = Served::start(&format!(
        "admin = true\nusers = [\n\
         {{ name = \"wall\", password_file = \"{}\" }},\n\
         {{ name = \"ops\", password_hash = \"{}\", role = \"admin\" }},\n]",
        file.display(),
        hash,
    ));
    let own = served.own("s=s1&action=drain&b=bk");
    let user = |user| Post {
        user,
        ..own.clone()
    };
    assert_refused(&served.post(&user("wall:look")), "403");
    assert_refused(&served.post(&user("wall:steer")), "401");
    assert_refused(&served.post(&user("ops:look")), "401");
    assert!(!served.status("s1").starts_with("DRAIN"));
    for _ in 0..2 {
        assert_eq!(outcome(&served.post(&user("ops:steer"))), "DONE");
    }
    assert_eq!(served.status("s1"), "DRAIN");
}

#[test]
fn too_many_wrong_passwords_are_refused_and_counted() {
    let served = Served::start("admin = true");
    let wrong = Post {
        user: "admin:guess",
        ..served.own("")
    };
    let refusal = (0..100).find_map(|_| {
        let answer = served.post(&wrong);
        (!answer.starts_with("HTTP/1.1 401 ")).then_some(answer)
    });
    let refusal = refusal.expect("a refusal");
    assert_refused(&refusal, "429");
    assert!(refusal.contains("retry-after: "), "{refusal}");
    assert_refused(&served.post(&served.own("")), "429");
    let health = crate::harness::http::get(served.farm.stats().address, "/healthz", "");
    assert_eq!(health.expect("an answer").status, 200);
}

#[test]
fn a_password_is_hashed_for_the_configuration() {
    let directory = TempDir::new();
    let mut program = backstop::command()
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = program.stdin.take().expect("piped");
    stdin
        .write_all("correct hörse\n".as_bytes())
        .expect("taken");
    drop(stdin);
    let output = program.wait_with_output().expect("ended");
    assert!(output.status.success());
    let hash = String::from_utf8(output.stdout).expect("text");
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let file = directory.path().join("ops");
    fs::write(&file, hash).expect("a file");
    let users = format!(
        "admin = true\nusers = [{{ name = \"ops\", password_file = \"{}\", role = \"admin\" }}]",
        file.display()
    );
    let served = Served::start(&users);
    let order = served.own("s=s1&action=drain&b=bk");
    let user = |user| Post {
        user,
        ..order.clone()
    };
    assert_eq!(outcome(&served.post(&user("ops:correct hörse"))), "DONE");
    assert_refused(&served.post(&user("ops:correct horse")), "401");
}

#[test]
fn the_page_is_served_by_tls_and_health_checks_know() {
    let directory = TempDir::new();
    let tls =
        "tls = { cert = \"tests/fixtures/tls/page.pem\", key = \"tests/fixtures/tls/page.key\" }";
    let served = Served::start(tls);
    let address = served.farm.stats().address;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file("tests/fixtures/tls/page.pem");
    roots.add(certificate.expect("PEM")).expect("a certificate");
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "proxy.example".try_into().expect("a name");
    let client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = farm::connect(address).expect("the page accepts");
    let mut stream = rustls::StreamOwned::new(client, stream);
    let authorization = served.farm.stats().authorization();
    write!(stream, "GET /;csv HTTP/1.0\r\n{authorization}\r\n").expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("\r\n\r\n# pxname,"), "{answer}");
    let config = served.farm.config() + tls;
    let file = directory.write("tls.toml", &config);
    let health = backstop::run(&["healthcheck", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(
        (health.code, health.stderr),
        (Some(0), String::new()),
        "{}",
        health.stdout
    );
    // Somebody who does not speak TLS ends that connection alone.
    let plain = crate::harness::http::get(address, "/healthz", "");
    assert!(plain.is_err(), "{plain:?}");
    let health = backstop::run(&["healthcheck", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(health.code, Some(0));
}
