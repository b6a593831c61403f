//! One demo, brought up under a project name of its own and taken down whatever happens.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{docker, printed};
use crate::harness::scenario::Stoppable;
use crate::harness::wait::wait_until;
use crate::readme::walk;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker");

/// Stopping takes no longer than this when no session is open.
pub(crate) const SHORT: Duration = Duration::from_secs(10);

/// A port that a demo opens to this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A demo that is up.
#[derive(Debug)]
pub(crate) struct Project {
    /// Of the folder in `docker/`.
    demo: &'static str,
    /// The name that Compose puts before everything it makes.
    name: String,
}

impl Project {
    /// Starts everything in the demo's compose file.
    pub(crate) fn up(demo: &'static str) -> Self {
        Self::up_only(demo, &[])
    }

    /// Starts these services and what they depend on.
    pub(crate) fn up_only(demo: &'static str, services: &[&str]) -> Self {
        let name = format!("backstop-test-{}-{demo}", process::id());
        let project = Self { demo, name };
        // Never built by Compose: the images are made by the script.
        project.compose(&[&["up", "-d", "--no-build"], services].concat());
        project
    }

    /// What `docker-compose` prints for these arguments; it must succeed.
    pub(crate) fn compose(&self, arguments: &[&str]) -> String {
        printed(self.command().args(arguments))
    }

    /// `docker-compose` for this project.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("docker-compose");
        command.current_dir(format!("{FOLDER}/{}", self.demo));
        command.args(["--ansi", "never", "--project-name", &self.name]);
        command
    }

    /// What the shell prints for a line of the demo's README, which must succeed.
    pub(crate) fn type_in(&self, line: &str) -> String {
        let compose = format!("docker-compose --ansi never --project-name {}", self.name);
        let mut shell = Command::new("sh");
        shell.current_dir(format!("{FOLDER}/{}", self.demo));
        shell.args(["-ec", &line.replace("docker compose", &compose)]);
        let lines = printed(&mut shell);
        // A terminal does not show what stands at the end of a line.
        let lines: Vec<_> = lines.lines().map(str::trim_end).collect();
        lines.join("\n")
    }

    /// Plays the walk that the demo's README shows, and compares what is printed. `settle` waits
    /// for what the README has its reader wait for after a line.
    pub(crate) fn walk(&self, settle: impl Fn(&Self, &str)) {
        for step in walk(self.demo) {
            assert_eq!(self.type_in(&step.line), step.printed, "{}", step.line);
            settle(self, &step.line);
        }
    }

    /// Docker finds Backstop healthy by its own word.
    pub(crate) fn is_healthy(&self, service: &str) {
        wait_until("the container should be healthy", || {
            self.inspect(service, "{{.State.Health.Status}}") == "healthy"
        });
    }

    /// Backstop ends soon and well when it is stopped.
    pub(crate) fn stops(&self, service: &str) {
        let begun = Instant::now();
        self.compose(&["stop", service]);
        assert!(begun.elapsed() < SHORT, "{:?}", begun.elapsed());
        assert_eq!(self.inspect(service, "{{.State.ExitCode}}"), "0");
    }

    /// Something of a service's container, as a template of `docker inspect` names it.
    pub(crate) fn inspect(&self, service: &str, template: &str) -> String {
        let container = self.container(service);
        docker(&["inspect", "--format", template, &container])
    }

    /// The id of a service's container, which need not run.
    fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        docker(&[
            "ps", "--all", "--quiet", "--filter", &project, "--filter", &service,
        ])
    }

    /// The name of the network of all services.
    pub(crate) fn network(&self) -> String {
        format!("{}_ha-net", self.name)
    }

    /// A service's address in the network, empty when it does not run.
    pub(crate) fn address(&self, service: &str) -> String {
        let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.inspect(service, template)
    }

    /// The services that can be stopped and started, `nginx-1` and on.
    pub(crate) fn servers(&self, count: usize) -> Vec<Service<'_>> {
        let service = |number| Service {
            project: self,
            name: format!("nginx-{number}"),
        };
        (1..=count).map(service).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if thread::panicking() {
            let logs = self
                .command()
                .args(["logs", "--no-color", "--tail", "40"])
                .output();
            let logs = logs.map(|output| output.stdout).unwrap_or_default();
            eprintln!("{}", String::from_utf8_lossy(&logs));
        }
        let down = ["down", "--volumes", "--timeout", "5"];
        let output = self.command().args(down).output();
        if !output.is_ok_and(|output| output.status.success()) {
            eprintln!("{} is not taken down", self.name);
        }
    }
}

/// A service of a demo.
#[derive(Debug)]
pub(crate) struct Service<'a> {
    project: &'a Project,
    name: String,
}

impl Stoppable for Service<'_> {
    fn stop(&mut self) {
        self.project.compose(&["stop", &self.name]);
    }

    fn start(&mut self) {
        self.project.compose(&["start", &self.name]);
    }
}

/// A container that is none of the demo's, on its network.
#[derive(Debug)]
pub(crate) struct Stranger(String);

impl Stranger {
    /// Starts an nginx that answers with `name`.
    pub(crate) fn start(project: &Project, name: &str) -> Self {
        let (network, text) = (project.network(), format!("STR={name}"));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/nginx");
        let volume = format!("{folder}:/etc/nginx/templates:ro");
        let run = ["run", "--rm", "--detach", "--network", &network];
        let settings = [
            "--env",
            "NGINX_PORT=81",
            "--env",
            &text,
            "--volume",
            &volume,
        ];
        Self(docker(&[&run[..], &settings, &["nginx:1.28"]].concat()))
    }

    pub(crate) fn address(&self) -> String {
        let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", template, &self.0])
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "--force", &self.0])
            .output();
    }
}

/// What the real `curl` prints.
pub(crate) fn curl(address: SocketAddr) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
    let line = printed(command.arg(format!("http://{address}/")));
    format!("{line}\n")
}
