//! The demo of two Backstops with one address.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use libtest_mimic::Trial;

use crate::engine::trial;
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::project::{Project, SHORT, local};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial("demo::pair", pair)].into_iter()
}

const SHARED: &str = "10.81.81.100";

fn pair() {
    let project = Project::up("pair");
    has_the_address(&project, "keepalived-1");
    for port in [8717, 8727] {
        let stats = Stats::at(local(port));
        wait_until("the stats page should answer", || stats.rows().is_ok());
        stats.wait_for_check("nginx1");
        stats.wait_for_check("nginx2");
    }
    project.walk(|project, line| match line {
        "docker compose kill backstop-1" => has_the_address(project, "keepalived-2"),
        "docker compose kill keepalived-2 backstop-2" => has_the_address(project, "keepalived-1"),
        "docker compose start backstop-1" => project.is_healthy("backstop-1"),
        "docker compose start keepalived-2 backstop-2" => project.is_healthy("backstop-2"),
        _ => {}
    });
    goes_on(&project);
    // One that is stopped in peace gives the address away, too.
    project.stops("backstop-2");
    has_the_address(&project, "keepalived-1");
}

/// A client does not wait long while the address moves.
fn goes_on(project: &Project) {
    let client = Client::start(project);
    project.compose(&["kill", "backstop-1"]);
    has_the_address(project, "keepalived-2");
    client.went_on();
    project.compose(&["start", "backstop-1"]);
    project.is_healthy("backstop-1");
    has_the_address(project, "keepalived-2");
}

/// Waits until this service has the address of the pair, and nothing else has it.
fn has_the_address(project: &Project, service: &str) {
    let has = |service: &str| {
        // A container that was killed has none.
        project.inspect(service, "{{.State.Running}}") == "true"
            && project
                .compose(&["exec", "-T", service, "hostname", "-I"])
                .contains(SHARED)
    };
    wait_until("one machine should have the address", || {
        ["keepalived-1", "keepalived-2"]
            .iter()
            .all(|one| has(one) == (*one == service))
    });
}

/// A client in a container of its own, which asks again and again.
struct Client {
    process: Child,
    answers: Receiver<Instant>,
}

impl Client {
    fn start(project: &Project) -> Self {
        let address = format!("{SHARED}:81");
        // Ends by itself, whatever becomes of the test.
        let ask = format!(
            "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); curl -s -m 1 {address}; sleep 0.05; done"
        );
        let mut command = project.command();
        command.args(["exec", "-T", "client", "sh", "-c", &ask]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("docker-compose runs");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if line.starts_with("nginx-") && sender.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        answers.recv().expect("a first answer");
        Self { process, answers }
    }

    /// It was answered to the end, and never waited longer than `SHORT`.
    fn went_on(mut self) {
        let now = Instant::now();
        let mut answers = Vec::new();
        wait_until("the client should still be answered", || {
            answers.extend(self.answers.try_iter());
            answers.last().is_some_and(|last| *last > now)
        });
        let _ = self.process.kill();
        let _ = self.process.wait();
        let waits = answers.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = waits.max().expect("two answers at least");
        println!("the client waited at most {longest:?}");
        assert!(longest < SHORT, "{longest:?}");
    }
}
