//! The Debian package, installed for real in a root of its own: the machine's file system with a
//! layer over it that keeps every change and is gone with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};
use crate::programs::{Need, find, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [
        Need::Root,
        Need::Program("dpkg"),
        Need::Program("dpkg-shlibdeps"),
        Need::Program("adduser"),
        Need::Program("man"),
        Need::Program("nsenter"),
        Need::Program("setpriv"),
        Need::Program("ip"),
    ];
    let name = "packages::the_debian_package_installs_runs_upgrades_and_goes";
    vec![trial(name, &needs, package)]
}

/// Keeps the root for as long as it lives.
const HOLD: &str = "\
mount -t tmpfs tmpfs $1
mkdir $1/upper $1/work $1/root
mount -t overlay overlay -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/root
mount -t proc proc $1/root/proc
mount --rbind /dev $1/root/dev
mount -t tmpfs tmpfs $1/root/tmp
mount -t tmpfs tmpfs $1/root/run
ip link set lo up
touch $1/root/run/ready
exec sleep infinity";

/// Says what it is asked, and that the service runs.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >>/tmp/systemctl.log\n";

struct Root {
    holder: std::process::Child,
    /// The process whose namespaces these are.
    inside: String,
    directory: TempDir,
}

impl Root {
    fn new() -> Self {
        let directory = TempDir::new();
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private", "sh", "-ec", HOLD, "sh"])
            .arg(directory.path())
            .spawn()
            .expect("unshare runs");
        let id = holder.id();
        let inside = wait_for("a process in the namespaces", || {
            assert!(holder.try_wait().expect("a child").is_none(), "no root");
            let children = format!("/proc/{id}/task/{id}/children");
            let children = std::fs::read_to_string(children).ok()?;
            children.split_whitespace().next().map(str::to_owned)
        });
        let root = Self {
            holder,
            inside,
            directory,
        };
        wait_until("the root", || {
            root.command("test -e /run/ready")
                .output()
                .expect("nsenter")
                .status
                .success()
        });
        root
    }

    /// A shell's line inside.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.inside,
                "--mount",
                "--net",
                "--pid",
                "chroot",
            ])
            .arg(self.directory.path().join("root"))
            .args(["sh", "-ec", line])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8")
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null());
        command
    }

    /// Whether it succeeds, and all that it prints.
    fn tried(&self, line: &str) -> (bool, String) {
        let output = self.command(line).output().expect("nsenter runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        (output.status.success(), said)
    }

    fn run(&self, line: &str) -> String {
        let (success, said) = self.tried(line);
        assert!(success, "{line}\n{said}");
        said
    }

    fn succeeds(&self, line: &str) -> bool {
        self.tried(line).0
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // With it everything inside ends.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The package with the program under test.
fn built() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_backstop"));
    let target = program.parent().and_then(Path::file_name);
    let profile = match target.and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        other => other.expect("a profile"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("packaging/deb/build"))
        .args(["--no-build", profile])
        .output()
        .expect("the script runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    root.join(path)
}

fn package() {
    let package = built();
    let root = Root::new();
    let mut copy = root.command("cat >/tmp/backstop.deb");
    let status = copy
        .stdin(File::open(&package).expect("the package"))
        .status();
    assert!(status.expect("nsenter runs").success());
    installs(&root);
    runs_like_the_unit(&root);
    the_service_is_renewed(&root);
    a_changed_file_is_kept(&root);
    goes(&root);
    assert!(find("backstop").is_none_or(|path| !path.starts_with("/usr/bin")));
}

/// Installs a package. Images for containers leave out documents unless told otherwise.
fn install(root: &Root, options: &str, package: &str) {
    let paths = "--path-include='/usr/share/man/*' --path-include='/usr/share/doc/*'";
    root.run(&format!("dpkg {paths} {options} -i {package}"));
}

fn installs(root: &Root) {
    assert!(!root.succeeds("getent passwd backstop"));
    install(root, "", "/tmp/backstop.deb");
    let passwd = root.run("getent passwd backstop");
    assert!(
        passwd.contains("/nonexistent:") && passwd.ends_with("/nologin"),
        "{passwd}"
    );
    let state = root.run("dpkg-query -W -f '${db:Status-Abbrev} ${Conffiles}' backstop");
    assert!(state.starts_with("ii"), "{state}");
    assert!(state.contains("/etc/backstop/backstop.toml"), "{state}");
    let checked = root.run("backstop check -f /etc/backstop/backstop.toml");
    assert!(checked.contains("example"), "{checked}");
    let man = root.run("man -w backstop-top; man -P cat backstop");
    assert!(
        man.contains("/usr/share/man/man1/backstop-top.1.gz"),
        "{man}"
    );
    assert!(man.contains("backstop-explain(1)"), "{man}");
    let completions = "/usr/share/bash-completion/completions/backstop";
    root.run(&format!("bash -c '. {completions}; complete -p backstop'"));
    for file in [
        "/usr/share/zsh/vendor-completions/_backstop",
        "/usr/share/fish/vendor_completions.d/backstop.fish",
        "/usr/share/doc/backstop/copyright",
        "/usr/share/doc/backstop/docs/operations.md",
        "/usr/share/doc/backstop/examples/backup-server.toml",
    ] {
        root.run(&format!("test -s {file}"));
    }
}

/// The value of a key of the installed unit.
fn key(unit: &str, key: &str) -> String {
    let line = unit.lines().find_map(|line| {
        let value = line.strip_prefix(key)?;
        value.strip_prefix('=')
    });
    line.unwrap_or_else(|| panic!("no {key} in the unit"))
        .to_owned()
}

fn runs_like_the_unit(root: &Root) {
    let unit = root.run("cat /usr/lib/systemd/system/backstop.service");
    let user = key(&unit, "User");
    let places = [
        ("/run", key(&unit, "RuntimeDirectory")),
        ("/var/lib", key(&unit, "StateDirectory")),
        ("/var/log", key(&unit, "LogsDirectory")),
    ];
    for (place, name) in &places {
        root.run(&format!("install -d -o {user} -g {user} {place}/{name}"));
    }
    let ambient = key(&unit, "AmbientCapabilities").to_lowercase();
    let ambient = ambient.trim_start_matches("cap_");
    let confined = format!(
        "exec setpriv --reuid {user} --regid {user} --init-groups --no-new-privs \
         --inh-caps -all,+{ambient} --ambient-caps -all,+{ambient} --bounding-set -all,+{ambient} "
    );
    root.run(&(confined.clone() + &key(&unit, "ExecStartPre")));
    let mut service = root
        .command(&(confined + &key(&unit, "ExecStart")))
        .spawn()
        .expect("nsenter runs");
    let ask = "backstop ctl -s /run/backstop/api.sock";
    wait_until("the runtime API of the service", || {
        assert!(
            service.try_wait().expect("a child").is_none(),
            "it has ended"
        );
        root.succeeds(&format!("{ask} show version"))
    });
    let user_of = root.run("stat -c %U /run/backstop/api.sock");
    assert_eq!(user_of, user);
    let top = root.run("backstop top --once -s /run/backstop/api.sock");
    assert!(top.contains("example → example"), "{top}");
    wait_until("the file of states", || {
        root.succeeds("test -s /var/lib/backstop/state.json")
    });
    let pid = root.run(&format!("{ask} show info | sed -n 's/^Pid: //p'"));
    root.run(&format!("kill {pid}"));
    assert_eq!(service.wait().expect("a child").code(), Some(0));
}

/// The script decides by the configuration what becomes of a running service.
fn the_service_is_renewed(root: &Root) {
    let write = "mkdir -p /run/systemd/system && cat >/usr/local/bin/systemctl && \
                 chmod +x /usr/local/bin/systemctl";
    root.run(&format!("printf '%s' '{SYSTEMCTL}' | ({write})"));
    let upgraded = |config: &str| {
        root.run(&format!(
            "cp /etc/backstop/backstop.toml /tmp/kept; {config}; : >/tmp/systemctl.log; \
             /var/lib/dpkg/info/backstop.postinst configure 0.0.1 2>&1; \
             cp /tmp/kept /etc/backstop/backstop.toml; cat /tmp/systemctl.log"
        ))
    };
    let restarted = upgraded("true");
    assert!(
        restarted.ends_with("try-restart backstop.service"),
        "{restarted}"
    );
    let file = "/etc/backstop/backstop.toml";
    let broken = upgraded(&format!("echo 'nonsense = ' >>{file}"));
    assert!(broken.contains("the old one goes on"), "{broken}");
    assert!(
        broken.ends_with("is-active --quiet backstop.service"),
        "{broken}"
    );
    let socket = "upgrade_socket = \"/run/backstop/upgrade.sock\"";
    let handed = upgraded(&format!("sed -i '1i {socket}' {file}"));
    assert!(
        handed.ends_with("kill --signal USR2 --kill-whom main backstop.service"),
        "{handed}"
    );
    root.run("rm -r /run/systemd /usr/local/bin/systemctl");
}

/// A newer version with another file does not overwrite the administrator's.
fn a_changed_file_is_kept(root: &Root) {
    root.run("echo '# mine' >>/etc/backstop/backstop.toml");
    root.run(
        "dpkg-deb -R /tmp/backstop.deb /tmp/newer; cd /tmp/newer; \
         echo '# theirs' >>etc/backstop/backstop.toml; \
         sed -i 's/^Version: .*/&+newer/' DEBIAN/control; dpkg-deb -Znone -b . /tmp/newer.deb",
    );
    let unattended = "--force-confdef --force-confold";
    install(root, unattended, "/tmp/newer.deb");
    let version = root.run("dpkg-query -W -f '${Version}' backstop");
    assert!(version.ends_with("+newer"), "{version}");
    let file = root.run("cat /etc/backstop/backstop.toml");
    assert!(file.ends_with("# mine"), "{file}");
    assert!(!file.contains("# theirs"), "{file}");
}

fn goes(root: &Root) {
    root.run("dpkg -r backstop");
    assert!(!root.succeeds("test -e /usr/bin/backstop"));
    root.run("test -s /etc/backstop/backstop.toml; getent passwd backstop");
    root.run("dpkg -P backstop");
    for gone in [
        "test -e /etc/backstop",
        "test -e /var/lib/backstop",
        "test -e /var/log/backstop",
        "test -e /usr/lib/systemd/system/backstop.service",
        "getent passwd backstop",
        "dpkg-query -W backstop",
    ] {
        assert!(!root.succeeds(gone), "{gone}");
    }
}
