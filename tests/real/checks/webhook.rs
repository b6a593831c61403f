//! Webhooks by TLS, which is that of checks, with nginx as the receiver.

use std::process::Command;

use libtest_mimic::Trial;

use super::certificates::Certificates;
use super::start;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let needs = &[Need::Program("nginx"), Need::Program("openssl")];
    vec![trial(
        "checks::webhooks_by_tls_verify_their_receiver",
        needs,
        webhooks,
    )]
}

fn webhooks() {
    let (farm, certificates, directory) = (Farm::new(), Certificates::new(), TempDir::new());
    let receiver = farm.next();
    let config = format!(
        r"daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen {receiver} ssl;
        ssl_certificate {};
        ssl_certificate_key {};
        location / {{ if ($request_method != POST) {{ return 405; }} return 202; }}
    }}
}}
",
        certificates.path("server.pem").display(),
        certificates.path("server.key").display()
    );
    directory.write("nginx.conf", &config);
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory.path())
        .args(["-c", "nginx.conf", "-e", "stderr"]);
    let _nginx = start("nginx", &mut command, receiver);

    let mut server = Server::named(farm.next(), "one");
    let hook = |name: &str, options: &str| {
        format!(
            "[hooks.{name}]\nevents = \"server_down\"\nurl = \"https://{receiver}/\"\n\
             retries = 0\ntimeout = \"10s\"\n{options}"
        )
    };
    let farm = farm
        .top(&hook("strict", ""))
        .top(&hook("lenient", "verify = false"))
        .server(
            "s1",
            server.address(),
            "check = { interval = \"100ms\", fall = 1, rise = 1 }",
        );
    let backstop = farm.start();
    farm.stats().wait_for_check("s1");
    server.stop();
    let line = backstop.wait_for_log("Hook lenient ran for event");
    assert!(line.contains("info: \"202 Accepted\""), "{line}");
    let line = backstop.wait_for_log("Hook strict failed for event");
    assert!(line.contains("certificate"), "{line}");
}
