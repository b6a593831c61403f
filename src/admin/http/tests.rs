use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::admin::Running;
use crate::config::StatsConfig;
use crate::config::check::Secret;
use crate::config::stats::{Password, Role, User};
use crate::topology::Topology;
use crate::topology::sample::{backend, farms, server, settings, with_backend};

/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(10);

struct Served {
    address: SocketAddr,
    /// Ends the server when it is dropped.
    _server: JoinSet<Infallible>,
}

async fn start(limits: Limits, settings: StatsConfig, topology: Arc<Topology>) -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(serve_within(
        limits,
        listener,
        Site::new(settings.into(), Running::of(topology), None).into(),
        None,
    ));
    Served {
        address,
        _server: server,
    }
}

fn locked() -> StatsConfig {
    StatsConfig {
        users: vec![User {
            name: "admin".into(),
            password: Password::Plain(Secret::new("admin".into())),
            role: Role::View,
        }],
        ..settings()
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that comes back for `request` until the connection is closed.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        read_to_end(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.request("GET", path, "").await
    }

    async fn request(&self, method: &str, path: &str, headers: &str) -> String {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        self.send(head.as_bytes()).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset ends an answer as well as a close does.
    let _ = read.expect("the connection should be closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_status(answer: &str, status: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
        "{answer:?}"
    );
}

fn authorization(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

#[tokio::test]
async fn the_page_and_its_headers() {
    let served = start(LIMITS, settings(), farms()).await;
    let answer = served.get("/").await;
    assert_status(&answer, "200 OK");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("<!DOCTYPE html>"), "{body}");
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{head}"
    );
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"));
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(head.contains("referrer-policy: same-origin"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
}

#[tokio::test]
async fn csv() {
    let served = start(LIMITS, settings(), farms()).await;
    for path in ["/;csv", "/;csv;norefresh", "/?;csv"] {
        let answer = served.get(path).await;
        assert_status(&answer, "200 OK");
        assert!(answer.contains("content-type: text/plain"), "{answer}");
        assert!(answer.contains("# pxname,svname,"), "{answer}");
        assert!(answer.contains("\nbk-app-backup,BACKEND,"), "{answer}");
    }
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let served = start(LIMITS, locked(), farms()).await;
    let challenge = "www-authenticate: Basic realm=\"Strictly Private\"";
    let wrong = authorization("admin:wrong");
    for headers in [
        "",
        &wrong,
        "Authorization: Basic ?\r\n",
        "Authorization: \r\n",
    ] {
        for path in ["/", "/;csv", "/nothing"] {
            let answer = served.request("GET", path, headers).await;
            assert_status(&answer, "401 Unauthorized");
            assert!(answer.contains(challenge), "{answer}");
            assert!(!answer.contains("bk-app-main"), "{answer}");
        }
    }
    let right = authorization("admin:admin");
    assert_status(&served.request("GET", "/", &right).await, "200 OK");
}

#[tokio::test]
async fn other_paths_say_where_the_page_is() {
    let settings = StatsConfig {
        uri: "/stats".into(),
        ..settings()
    };
    let served = start(LIMITS, settings, farms()).await;
    for path in ["/", "/favicon.ico", "/statsx"] {
        let answer = served.get(path).await;
        assert_status(&answer, "404 Not Found");
        assert!(
            answer.ends_with("The stats page is at /stats\n"),
            "{answer}"
        );
    }
    assert_status(&served.get("/stats;csv").await, "200 OK");
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let served = start(LIMITS, settings(), farms()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"] {
        let answer = served.request(method, "/", "").await;
        assert_status(&answer, "405 Method Not Allowed");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
    let answer = served.request("HEAD", "/", "").await;
    assert_status(&answer, "200 OK");
    assert!(answer.ends_with("\r\n\r\n"), "a head only: {answer}");
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let served = start(LIMITS, settings(), farms()).await;
    let answer = served
        .request("POST", "/", "Content-Length: 1000000000\r\n")
        .await;
    assert_status(&answer, "405 Method Not Allowed");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let served = start(LIMITS, settings(), farms()).await;
    let first = "GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n";
    let last = "GET /nothing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let answer = served.send(format!("{first}{last}").as_bytes()).await;
    assert_eq!(
        answer.matches("HTTP/1.1 404 Not Found").count(),
        2,
        "{answer}"
    );
}

#[tokio::test]
async fn an_old_client_gets_the_page_without_chunks() {
    let served = start(LIMITS, settings(), farms()).await;
    let answer = served.send(b"GET /;csv HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\n\r\n# pxname"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = start(LIMITS, settings(), farms()).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(64 * 1024));
    let answer = served.request("GET", "/", &long).await;
    assert_status(&answer, "431 Request Header Fields Too Large");
    let many = "X-Many: 1\r\n".repeat(1000);
    let answer = served.request("GET", "/", &many).await;
    assert_status(&answer, "431 Request Header Fields Too Large");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let served = start(LIMITS, settings(), farms()).await;
    let answer = served
        .send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        .await;
    assert_status(&answer, "400 Bad Request");
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for() {
    let limits = Limits {
        head: Duration::from_millis(100),
        ..LIMITS
    };
    let served = start(limits, settings(), farms()).await;
    let begun = Instant::now();
    let mut silent = served.connect().await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(!read_to_end(&mut slow).await.contains("200 OK"));
    assert!(begun.elapsed() >= limits.head);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits {
        head: Duration::from_millis(100),
        ..LIMITS
    };
    let served = start(limits, settings(), farms()).await;
    let answer = served
        .send(b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    assert_status(&answer, "404 Not Found");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let limits = Limits {
        lifetime: Duration::from_millis(300),
        ..LIMITS
    };
    let servers = (0..40_000).map(|n| server(&format!("web-{n}"), 80, false));
    let topology = with_backend(backend("bk", false, servers.collect()));
    let served = start(limits, settings(), topology).await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    // Nothing to poll for: whoever does not read cannot see the end either.
    tokio::time::sleep(limits.lifetime * 2).await;
    let answer = read_to_end(&mut stream).await;
    assert_status(&answer, "200 OK");
    assert!(!answer.contains("</html>"), "the page should be cut off");
}

#[tokio::test]
async fn one_connection_too_many_takes_the_place_of_the_oldest() {
    let limits = Limits {
        connections: 2,
        ..LIMITS
    };
    let served = start(limits, settings(), farms()).await;
    let mut stalled = [served.connect().await, served.connect().await];
    let last = b"GET /nothing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    assert_status(&served.send(last).await, "404 Not Found");
    assert_eq!(read_to_end(&mut stalled[0]).await, "");
    stalled[1].write_all(last).await.unwrap();
    assert_status(&read_to_end(&mut stalled[1]).await, "404 Not Found");
}

#[tokio::test]
async fn nobody_who_was_let_in_is_thrown_out_by_strangers() {
    let limits = Limits {
        connections: 3,
        ..LIMITS
    };
    let served = start(limits, locked(), farms()).await;
    let mut known = served.connect().await;
    let request = format!(
        "GET /;csv HTTP/1.1\r\nHost: test\r\n{}\r\n",
        authorization("admin:admin")
    );
    known.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    known.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut strangers = Vec::new();
    for _ in 0..10 {
        strangers.push(served.connect().await);
        assert_status(&served.get("/").await, "401 Unauthorized");
    }
    let last = request.replace("Host", "Connection: close\r\nHost");
    known.write_all(last.as_bytes()).await.unwrap();
    assert!(read_to_end(&mut known).await.contains("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_thousand_connections_in_a_row() {
    let served = start(LIMITS, settings(), farms()).await;
    for _ in 0..1000 {
        drop(served.connect().await);
    }
    let deadline = Instant::now() + PATIENCE;
    while served.get("/nothing").await.is_empty() {
        assert!(Instant::now() < deadline, "the server should be alive");
    }
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let served = start(LIMITS, settings(), farms()).await;
    assert_status(&served.get("/nothing").await, "404 Not Found");
    let mut open = served.connect().await;
    drop(served);
    assert_eq!(read_to_end(&mut open).await, "");
}
