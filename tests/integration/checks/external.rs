//! Programs as checks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use backstop::topology::status::CheckStatus::{ProcessError, ProcessOk, ProcessTimeout};

use crate::harness::check::{check, expect};
use crate::harness::loopback::Loopback;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// Settings for a script with this text.
fn script(directory: &TempDir, text: &str) -> String {
    let path = directory.write("check", &format!("#!/bin/sh\n{text}\n"));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("a script of our own");
    format!("type = \"external\", command = \"{}\"", path.display())
}

#[test]
fn arguments_and_environment_are_those_of_haproxy() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let server = site.next();
    let command = script(
        &directory,
        r#"echo "$* $HAPROXY_PROXY_NAME/$HAPROXY_PROXY_ID $HAPROXY_SERVER_NAME/$HAPROXY_SERVER_ID \
$HAPROXY_SERVER_ADDR:$HAPROXY_SERVER_PORT [$HAPROXY_PROXY_ADDR] $HAPROXY_SERVER_CURCONN $HOME""#,
    );
    let settings = format!("{command}, arguments = [\"--deep\", \"a b;c\"]");
    let (ip, port) = (server.ip(), server.port());
    let info = format!("NOT_USED NOT_USED {ip} {port} --deep a b;c app/1 s1/1 {ip}:{port} [] 0");
    expect(server, &settings, ProcessOk, Some(0), &info);
}

#[test]
fn the_exit_code_decides_and_the_first_line_is_shown() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let command = script(
        &directory,
        "echo >&2; echo replication stopped >&2; echo more; exit 3",
    );
    let info = "exit code 3: replication stopped";
    expect(site.next(), &command, ProcessError, Some(3), info);
    let command = script(&directory, "kill -SEGV $$");
    expect(
        site.next(),
        &command,
        ProcessError,
        None,
        "killed by signal 11",
    );
}

#[test]
fn a_program_that_does_not_exist() {
    let site = Loopback::lease();
    let settings = "type = \"external\", command = \"/nonexistent/check\"";
    let info = "/nonexistent/check cannot be run: No such file or directory";
    expect(site.next(), settings, ProcessError, None, info);
}

fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    // A zombie is dead already; somebody only has to notice.
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn a_program_that_does_not_end_is_killed_with_its_children() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let pids = directory.path().join("pids");
    let text = format!(
        "sleep 1000 & echo $! >{0}\necho $$ >>{0}\necho waiting\nwait",
        pids.display()
    );
    let settings = format!("{}, timeout = \"500ms\"", script(&directory, &text));
    let info = "killed: it did not end within 500ms: waiting";
    expect(site.next(), &settings, ProcessTimeout, None, info);
    let pids = fs::read_to_string(pids).expect("the script wrote it");
    assert_eq!(pids.lines().count(), 2);
    wait_until("the program and its child should be gone", || {
        !pids.lines().any(is_alive)
    });
}

#[test]
fn a_child_left_behind_with_the_output_open_is_not_waited_for() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let command = script(&directory, "sleep 3 &\necho ready");
    let began = Instant::now();
    expect(site.next(), &command, ProcessOk, Some(0), "ready");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn endless_output_takes_no_memory_and_no_more_time() {
    let (site, directory) = (Loopback::lease(), TempDir::new());
    let settings = format!("{}, timeout = \"300ms\"", script(&directory, "exec yes"));
    let report = check(site.next(), &settings);
    assert_eq!(report.status, ProcessTimeout);
    assert_eq!(report.info, "killed: it did not end within 300ms: y");
}
