//! A real rsyslogd reads what Backstop sends.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::daemon::Daemon;
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::installed;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_for;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial(
        "syslog::rsyslogd_understands_both_forms_by_udp_and_by_a_unix_socket",
        &[Need::Program("rsyslogd")],
        both_forms,
    )]
    .into_iter()
}

fn both_forms() {
    let (farm, directory) = (Farm::new(), TempDir::new());
    let (udp, path) = (farm.next(), directory.path().display().to_string());
    let config = format!(
        r#"global(workDirectory="{path}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
input(type="imuxsock" Socket="{path}/log.sock")
input(type="imudp" address="{}" port="{}")
template(name="parts" type="string"
  string="%syslogfacility-text%|%syslogseverity-text%|%hostname%|%programname%|%procid%|%msgid%|%msg%\n")
action(type="omfile" file="{path}/received" template="parts")
"#,
        udp.ip(),
        udp.port()
    );
    let file = directory.write("rsyslog.conf", &config);
    let program = installed::find("rsyslogd").expect("it is needed");
    let mut command = Command::new(program);
    command
        .arg("-n")
        .arg("-f")
        .arg(file)
        .arg("-i")
        .arg(format!("{path}/pid"));
    let _rsyslogd = Daemon::spawn("rsyslogd", &mut command);
    wait_for("rsyslogd should make its socket", || {
        fs::metadata(format!("{path}/log.sock")).ok()
    });

    let server = Server::named(farm.next(), "one");
    let farm = farm
        .top(&format!(
            r#"[log]
targets = [
  "stdout",
  {{ syslog = "{path}/log.sock", facility = "local0" }},
  {{ syslog = "{udp}", facility = "local1", protocol = "rfc5424", hostname = "edge", tag = "lb" }},
]"#
        ))
        .server("s1", server.address(), "check = true");
    let backstop = farm.start();
    let pid = backstop.pid().as_raw_nonzero();
    let received = |part: &str| {
        wait_for(&format!("`{part}` from rsyslogd"), || {
            // UDP may have been sent before it listened.
            let _ = http::curl(farm.entrance());
            let text = fs::read_to_string(format!("{path}/received")).unwrap_or_default();
            let mut lines = text.lines().map(str::to_owned);
            lines.find(|line| line.contains(part))
        })
    };
    let line = received("local0|info|");
    assert!(line.contains(&format!("|backstop|{pid}|")), "{line}");
    let line = received("local1|info|edge|lb|");
    let wanted = format!("local1|info|edge|lb|{pid}|session|127.");
    assert!(received(&wanted).contains(" ft bk/s1 "), "{line}");
}
