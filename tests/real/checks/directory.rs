//! LDAP with `OpenLDAP`.

use std::process::Command;

use backstop::topology::status::CheckStatus::{L7Ok, L7Status};
use libtest_mimic::Trial;

use super::certificates::Certificates;
use super::start;
use crate::harness::check::expect;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    let needs = &[Need::Program("slapd"), Need::Program("openssl")];
    vec![trial("checks::slapd", needs, slapd)]
}

fn slapd() {
    let (site, certificates) = (Loopback::lease(), Certificates::new());
    let path = |name| certificates.path(name).display().to_string();
    let tls = format!(
        "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n",
        path("ca.pem"),
        path("server.pem"),
        path("server.key")
    );
    let server = |config: &str, urls: String, address| {
        let directory = TempDir::new();
        let file = directory.write("slapd.conf", config);
        let mut command = Command::new("slapd");
        command.args(["-d", "0", "-h", &urls, "-f"]).arg(file);
        (start("slapd", &mut command, address), directory)
    };
    let (plain, secured, closed) = (site.next(), site.next(), site.next());
    let urls = format!("ldap://{plain} ldaps://{secured}");
    let _open = server(&tls, urls, plain);
    let _closed = server("disallow bind_anon\n", format!("ldap://{closed}"), closed);
    expect(plain, "type = \"ldap\"", L7Ok, Some(0), "Success");
    let over_tls = format!("type = \"ldap\", {}", certificates.trusted());
    expect(secured, &over_tls, L7Ok, Some(0), "Success");
    let info = "result 48 (inappropriateAuthentication): anonymous bind disallowed";
    expect(closed, "type = \"ldap\"", L7Status, Some(48), info);
}
