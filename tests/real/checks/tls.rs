//! TLS with `openssl s_server`.

use std::net::SocketAddr;
use std::process::Command;

use backstop::topology::status::CheckStatus::{L6Ok, L6Response, L7Ok};
use libtest_mimic::Trial;

use super::certificates::{BY_SYSTEM, Certificates, UNVERIFIED};
use super::start;
use crate::harness::check::{check, expect};
use crate::harness::daemon::Daemon;
use crate::harness::loopback::Loopback;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let openssl = &[Need::Program("openssl")];
    vec![
        trial("checks::tls_verification", openssl, verification),
        trial("checks::tls_hello", openssl, hello),
    ]
}

fn server(certificates: &Certificates, address: SocketAddr, more: &[&str]) -> Daemon {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-www", "-quiet", "-accept"]);
    command.arg(address.to_string());
    command.arg("-cert").arg(certificates.path("server.pem"));
    command.arg("-key").arg(certificates.path("server.key"));
    start("openssl s_server", command.args(more), address)
}

fn verification() {
    let (site, certificates) = (Loopback::lease(), Certificates::new());
    let address = site.next();
    let _server = server(&certificates, address, &[]);
    let tcp = |settings: &str| format!("type = \"tcp\", {settings}");
    expect(address, &tcp(&certificates.trusted()), L6Ok, None, "");
    expect(address, &tcp(UNVERIFIED), L6Ok, None, "");
    let https = format!("type = \"http\", {}", certificates.trusted());
    expect(address, &https, L7Ok, Some(200), "OK");
    let info = "the certificate is not signed by anyone trusted; name the signer's file in `ca`";
    expect(address, &tcp(BY_SYSTEM), L6Response, None, info);
    let report = check(address, &tcp(&certificates.other_name()));
    assert_eq!(report.status, L6Response);
    assert!(
        report.info.contains("not valid for name"),
        "{}",
        report.info
    );
}

fn hello() {
    let (site, certificates) = (Loopback::lease(), Certificates::new());
    let [any, only_12] = [site.next(), site.next()];
    let _any = server(&certificates, any, &[]);
    let _only_12 = server(&certificates, only_12, &["-tls1_2"]);
    let check = "type = \"tls-hello\"";
    expect(any, check, L6Ok, None, "");
    expect(only_12, check, L6Ok, None, "");
    let old = site.next();
    let _old = server(
        &certificates,
        old,
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    );
    let info = "the server refused the ClientHello by TLS alert 70 (protocol_version)";
    expect(old, check, L6Response, Some(70), info);
}
