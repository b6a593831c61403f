//! SMTP with OpenSMTPD.

use std::process::Command;

use backstop::topology::status::CheckStatus::L7Ok;
use libtest_mimic::Trial;

use super::start;
use crate::harness::check::expect;
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::programs::{Need, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial(
        "checks::opensmtpd",
        &[Need::Program("smtpd")],
        opensmtpd,
    )]
}

fn opensmtpd() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let address = site.next();
    let config = format!(
        "listen on {} port {} hostname mx.example\n\
         action \"none\" mda \"/bin/true\" user nobody\n\
         match from local for local action \"none\"\n",
        address.ip(),
        address.port()
    );
    let config = directory.write("smtpd.conf", &config);
    let mut command = Command::new("smtpd");
    let _smtpd = start("smtpd", command.arg("-d").arg("-f").arg(config), address);
    let check = "type = \"smtp\", domain = \"proxy.example\"";
    expect(
        address,
        check,
        L7Ok,
        Some(250),
        "mx.example ESMTP OpenSMTPD",
    );
}
