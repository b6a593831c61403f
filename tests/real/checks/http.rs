//! HTTP with nginx.

use std::process::Command;

use backstop::topology::status::CheckStatus::{L7Ok, L7Response, L7Status};
use libtest_mimic::Trial;

use super::certificates::Certificates;
use super::start;
use crate::harness::check::expect;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let needs = &[Need::Program("nginx"), Need::Program("openssl")];
    vec![trial("checks::nginx", needs, nginx)]
}

fn nginx() {
    let (site, certificates) = (Loopback::lease(), Certificates::new());
    let (plain, secured) = (site.next(), site.next());
    let directory = TempDir::new();
    let config = format!(
        r#"daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen {plain};
        listen {secured} ssl;
        ssl_certificate {};
        ssl_certificate_key {};
        location / {{ return 200 "replica: synced\n"; }}
        location /busy {{ return 503; }}
        location /moved {{ return 302 /; }}
        location /private {{ if ($http_authorization != "Bearer secret") {{ return 401; }} return 204; }}
        location /named {{ if ($host != "app.example") {{ return 421; }} return 204; }}
    }}
}}
"#,
        certificates.path("server.pem").display(),
        certificates.path("server.key").display()
    );
    directory.write("nginx.conf", &config);
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory.path())
        .args(["-c", "nginx.conf", "-e", "stderr"]);
    let _nginx = start("nginx", &mut command, plain);

    let http = |settings: &str| format!("type = \"http\", {settings}");
    expect(plain, "type = \"http\"", L7Ok, Some(200), "OK");
    let busy = "503 Service Unavailable";
    expect(plain, &http("path = \"/busy\""), L7Status, Some(503), busy);
    expect(plain, &http("path = \"/moved\""), L7Ok, Some(302), "Found");
    let found = "302 Found";
    expect(
        plain,
        &http("path = \"/moved\", status = 200"),
        L7Status,
        Some(302),
        found,
    );
    let locked = "401 Unauthorized";
    expect(
        plain,
        &http("path = \"/private\""),
        L7Status,
        Some(401),
        locked,
    );
    let token = "path = \"/private\", headers = { Authorization = \"Bearer secret\" }";
    expect(plain, &http(token), L7Ok, Some(204), "No Content");
    let named = "path = \"/named\", host = \"app.example\"";
    expect(plain, &http(named), L7Ok, Some(204), "No Content");
    expect(plain, &http("method = \"HEAD\""), L7Ok, Some(200), "OK");
    expect(
        plain,
        &http("body_contains = \"synced\""),
        L7Ok,
        Some(200),
        "OK",
    );
    let info = "the body does not contain \"lagging\": replica: synced";
    expect(
        plain,
        &http("body_contains = \"lagging\""),
        L7Response,
        Some(200),
        info,
    );
    expect(
        secured,
        &http(&certificates.trusted()),
        L7Ok,
        Some(200),
        "OK",
    );
    let info = "400 Bad Request";
    expect(secured, &http("path = \"/\""), L7Status, Some(400), info);
}
