//! What the process may do after it has started as root.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

/// Nobody's, on every Linux (`user_namespaces(7)`).
const NOBODY: u32 = 65_534;

/// `1 << CAP_NET_BIND_SERVICE` (capabilities(7)).
const BIND_LOW_PORTS: u64 = 1 << 10;

/// `1 << CAP_NET_ADMIN`.
const ADMIN: u64 = 1 << 12;

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 7] = [
        (
            "privileges_root_is_given_up_in_every_thread",
            root_is_given_up,
        ),
        (
            "privileges_groups_of_the_user_are_taken",
            groups_of_the_user,
        ),
        (
            "privileges_only_what_is_needed_is_kept",
            only_what_is_needed,
        ),
        (
            "privileges_are_the_same_after_an_upgrade",
            the_same_after_an_upgrade,
        ),
        (
            "privileges_root_without_a_user_stays_root",
            root_without_a_user,
        ),
        (
            "privileges_landlock_lets_only_named_files_be_written",
            landlocked,
        ),
        ("privileges_another_user_is_for_root_alone", for_root_alone),
    ];
    let trials = tests.map(|(name, test)| trial(name, &[Need::Root], test));
    trials.into()
}

/// A farm with an address that only root may listen on, and `top` at the top.
struct Confined {
    low: SocketAddr,
    backstop: Backstop,
    directory: TempDir,
    _farm: Farm,
    _server: Server,
}

impl Confined {
    fn start(top: &str, backend: &str) -> Self {
        let directory = TempDir::new();
        chown(directory.path(), Some(NOBODY), None).expect("root");
        let farm = Farm::new();
        let mut low = farm.entrance();
        low.set_port(81);
        let top = top.replace("DIR", directory.path().to_str().expect("UTF-8"));
        let server = Server::named(farm.next(), "s1");
        let farm = farm
            .top("threads = 2")
            .top(&top)
            .top(&format!(
                "[frontends.low]\nbind = \"{low}\"\ndefault_backend = \"bk\""
            ))
            .backend(backend)
            .server("s1", server.address(), "check = true");
        Self {
            low,
            backstop: farm.start(),
            directory,
            _farm: farm,
            _server: server,
        }
    }

    fn serves(&self) {
        assert_eq!(http::curl(self.low).expect("an answer"), "s1\n");
    }

    /// What the kernel says of each thread.
    fn threads(&self) -> Vec<Status> {
        let threads = threads(self.backstop.pid());
        assert!(threads.len() >= 4, "{} threads", threads.len());
        threads
    }
}

/// The file `status` of a thread.
struct Status(String);

impl Status {
    fn field(&self, name: &str) -> Vec<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.strip_prefix(':'));
        value.expect("a field").split_whitespace().collect()
    }

    fn capabilities(&self, which: &str) -> u64 {
        u64::from_str_radix(self.field(which)[0], 16).expect("hexadecimal")
    }
}

fn threads(pid: Pid) -> Vec<Status> {
    let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
    let threads = fs::read_dir(folder).expect("a running process");
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
    threads.flatten().filter_map(status).map(Status).collect()
}

fn root_is_given_up() {
    let top =
        format!("user = {NOBODY}\nstate_file = \"DIR/state\"\n[events]\nfile = \"DIR/events\"");
    let confined = Confined::start(&top, "");
    confined.serves();
    let nobody = NOBODY.to_string();
    for thread in confined.threads() {
        assert_eq!(thread.field("Uid"), [nobody.as_str(); 4]);
        assert_eq!(thread.field("Gid"), [nobody.as_str(); 4]);
        assert_eq!(thread.field("Groups"), [nobody.as_str()]);
        for which in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
            assert_eq!(thread.capabilities(which), 0, "{which}");
        }
        assert_eq!(thread.field("NoNewPrivs"), ["1"]);
    }
    // What is opened later is opened by that user.
    let state = confined.directory.path().join("state");
    wait_until("the state is saved", || state.exists());
    confined.backstop.wait_for_log("Backstop is ready");
}

fn groups_of_the_user() {
    let confined = Confined::start("user = \"nobody\"\ngroup = \"daemon\"", "");
    let daemon = fs::read_to_string("/etc/group").expect("groups");
    let daemon = daemon.lines().find(|line| line.starts_with("daemon:"));
    let daemon = daemon.and_then(|line| line.split(':').nth(2));
    for thread in confined.threads() {
        assert_eq!(thread.field("Gid")[1], daemon.expect("a number"));
        // Root's own are gone.
        assert!(!thread.field("Groups").contains(&"0"));
    }
}

fn only_what_is_needed() {
    let top = format!("user = {NOBODY}\nsetcap = \"cap_net_bind_service\"");
    let confined = Confined::start(&top, "socket = { mark = 7 }");
    // Connections have the mark, or the option would be refused.
    confined.serves();
    for thread in confined.threads() {
        let kept = BIND_LOW_PORTS | ADMIN;
        assert_eq!(thread.capabilities("CapEff"), kept);
        assert_eq!(thread.capabilities("CapPrm"), kept);
        assert_eq!(thread.capabilities("CapAmb"), 0);
    }
}

fn the_same_after_an_upgrade() {
    let top = format!(
        "user = {NOBODY}\nsetcap = \"cap_net_bind_service\"\nlandlock = true\nupgrade_socket = \
         \"DIR/upgrade\""
    );
    let mut confined = Confined::start(&top, "socket = { mark = 7 }");
    confined.backstop.signal(Signal::USR2);
    let line = confined.backstop.wait_for_log("has taken over");
    let pid = line.split("Process ").nth(1).expect("a process");
    let pid = pid.split(' ').next().and_then(|pid| pid.parse().ok());
    let pid = pid.and_then(Pid::from_raw).expect("its number");
    wait_until("the old process should end", || {
        confined.backstop.has_ended()
    });
    // The address is one that this process could not have bound, and connections are marked.
    confined.serves();
    for thread in threads(pid) {
        assert_eq!(thread.field("Uid")[1], NOBODY.to_string());
        assert_eq!(thread.capabilities("CapEff"), BIND_LOW_PORTS | ADMIN);
        assert_eq!(thread.capabilities("CapAmb"), 0);
        assert_eq!(thread.capabilities("CapInh"), 0);
    }
    kill_process(pid, Signal::TERM).expect("it runs");
    wait_until("the new process should end", || {
        test_kill_process(pid).is_err()
    });
}

fn root_without_a_user() {
    let confined = Confined::start("", "");
    let own = threads(rustix::process::getpid());
    for thread in confined.threads() {
        assert_eq!(thread.field("Uid"), ["0"; 4]);
        assert_eq!(thread.capabilities("CapEff"), own[0].capabilities("CapEff"));
        assert_eq!(thread.field("NoNewPrivs"), ["1"]);
    }
}

/// A program that a check starts is confined as the proxy is, and tries for us.
fn landlocked() {
    let outside = TempDir::new();
    let program = outside.write(
        "write",
        "#!/bin/sh\necho x >\"$5/in\" || exit 3\n! echo x 2>/dev/null >\"$6/out\"\n",
    );
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("a file of ours");
    let directory = TempDir::new();
    let path = |directory: &TempDir| directory.path().display().to_string();
    let farm = Farm::new();
    let server = Server::named(farm.next(), "s1");
    let check = format!(
        "check = {{ type = \"external\", command = \"{}\", arguments = [\"{}\", \"{}\"], timeout \
         = \"10s\" }}",
        program.display(),
        path(&directory),
        path(&outside)
    );
    let farm = farm
        .top(&format!(
            "landlock = true\nstate_file = \"{}/state\"",
            path(&directory)
        ))
        .server("s1", server.address(), &check);
    let backstop = farm.start();
    farm.stats()
        .wait_for_status("s1", |status| status != "no check");
    let row = farm.stats().row("s1");
    assert_eq!(
        row["check_status"],
        "PROCOK",
        "{row:?} {:?}",
        backstop.log()
    );
    assert!(directory.path().join("in").exists());
    assert!(!outside.path().join("out").exists());
    let state = directory.path().join("state");
    wait_until("the state is saved", || state.exists());
}

fn for_root_alone() {
    let directory = TempDir::new();
    let farm = Farm::new().top("user = \"root\"");
    let address = farm.next();
    let farm = farm.server("s1", address, "");
    let file = directory.write("backstop.toml", &farm.config());
    let mut command = backstop::command();
    command.uid(NOBODY).gid(NOBODY).arg("-f").arg(file);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let wanted = "only root can take on another `user` or `group`, and this process runs as uid";
    assert!(errors.contains(wanted), "{errors}");
}
