//! The demos' files say the same as the scenarios that the tests play. No engine is needed.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::scenario::{
    self, BACKUP_SERVER, FARM_FAILOVER, FARM_FAILOVER_BACKUP_SERVERS, MULTIPLE_BACKUP_SERVERS,
    Scenario,
};

/// Each demo with the last digit of its ports.
pub(crate) const DEMOS: [(&Scenario, u16); 4] = [
    (&BACKUP_SERVER, 1),
    (&MULTIPLE_BACKUP_SERVERS, 2),
    (&FARM_FAILOVER, 3),
    (&FARM_FAILOVER_BACKUP_SERVERS, 4),
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let trials: [(&str, fn()); 5] = [
        ("files::the_readme_shows_the_walk", readmes),
        (
            "files::the_compose_file_has_the_ports_and_servers",
            composes,
        ),
        ("files::the_overview_names_every_demo", overview),
        ("files::the_images_are_built_by_the_same_stage", stages),
        ("files::grafana_finds_what_it_is_given", grafana),
    ];
    trials.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    })
}

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A line that a README has its reader type, and what is printed then.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: String,
    pub(crate) printed: String,
}

/// The walk that the README of a demo shows.
pub(crate) fn walk(demo: &str) -> Vec<Step> {
    let readme = read(&format!("docker/{demo}/README.md"));
    let mut steps: Vec<Step> = Vec::new();
    for shown in console(&readme).lines() {
        if let Some(line) = shown.strip_prefix("$ ") {
            let (line, printed) = (line.to_owned(), String::new());
            steps.push(Step { line, printed });
        } else {
            let step = steps.last_mut().expect("a line to type comes first");
            if !step.printed.is_empty() {
                step.printed.push('\n');
            }
            step.printed.push_str(shown);
        }
    }
    steps
}

/// The text of its only console block.
fn console(readme: &str) -> &str {
    let (_, rest) = readme.split_once("```console\n").expect("a console block");
    let (shown, rest) = rest.split_once("```").expect("its end");
    assert!(!rest.contains("```console"), "another console block");
    shown
}

fn readmes() {
    for (scenario, number) in DEMOS {
        let readme = read(&format!("docker/{}/README.md", scenario.name));
        let transcript = transcript(scenario, 8180 + number);
        assert_eq!(console(&readme), transcript, "{}", scenario.name);
        assert!(readme.contains(&format!("http://localhost:{}/", 8710 + number)));
    }
}

/// What a terminal shows of the scenario.
fn transcript(scenario: &Scenario, port: u16) -> String {
    let shown: Vec<_> = scenario.steps.iter().map(|step| show(step, port)).collect();
    shown.concat()
}

fn show(step: &scenario::Step, port: u16) -> String {
    let each = |numbers: &[usize], text: &str| -> String {
        let with = |number: &usize| text.replace("NUMBER", &number.to_string());
        numbers.iter().map(with).collect()
    };
    match *step {
        scenario::Step::Curl(numbers) | scenario::Step::Turns(numbers) => {
            each(numbers, &format!("$ curl localhost:{port}\nnginx-NUMBER\n"))
        }
        scenario::Step::Stop(numbers) => {
            format!("$ docker compose stop{}\n", each(numbers, " nginx-NUMBER"))
        }
        scenario::Step::Start(numbers) => {
            format!("$ docker compose start{}\n", each(numbers, " nginx-NUMBER"))
        }
    }
}

fn composes() {
    for (scenario, number) in DEMOS {
        let compose = read(&format!("docker/{}/compose.yaml", scenario.name));
        let has = |line: &str| {
            let lines = || compose.lines().map(str::trim);
            assert!(
                lines().any(|found| found == line),
                "{}: {line}",
                scenario.name
            );
        };
        has(&format!("- 127.0.0.1:{}:81", 8180 + number));
        has(&format!("- 127.0.0.1:{}:8711", 8710 + number));
        let config = format!("../../configs/{}.toml", scenario.name);
        has(&format!("- {config}:/etc/backstop/backstop.toml:ro"));
        for server in 1..=scenario.servers() {
            assert!(scenario.config.contains(&format!("\"nginx-{server}:81\"")));
            has(&format!("nginx-{server}:"));
            has(&format!("STR: nginx-{server}"));
        }
    }
}

fn overview() {
    let overview = read("docs/docker.md");
    for (scenario, number) in DEMOS {
        let (name, traffic, stats) = (scenario.name, 8180 + number, 8710 + number);
        let row = format!("| [{name}](../docker/{name}) | {traffic} | {stats} |");
        assert!(overview.contains(&row), "{row}");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docker");
    for entry in fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().unwrap();
        if Path::new(&format!("{folder}/{name}/compose.yaml")).is_file() {
            let row = format!("| [{name}](../docker/{name}) | ");
            assert!(overview.contains(&row), "{row}");
        }
    }
}

/// Two images are built by the same stage, so that what is built for one is there for both.
fn stages() {
    let stage = |path: &str| -> String {
        let file = read(path);
        let (_, rest) = file.split_once("FROM rust:").expect("a stage that builds");
        let (stage, _) = rest.split_once("\nFROM ").expect("the next one");
        stage.to_owned()
    };
    let redis = stage("docker/redis-failover/Dockerfile");
    assert_eq!(redis, stage("docker/Dockerfile"));
}

/// No Grafana was at hand to find out: its files name what the compose file has.
fn grafana() {
    let of_demo = |path: &str| read(&format!("docker/monitoring/{path}"));
    let value = |text: &str, key: &str| -> String {
        let mut values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        let value = values.next().expect("the key");
        assert!(values.next().is_none(), "{key} twice");
        value.to_owned()
    };
    let (compose, prometheus) = (of_demo("compose.yaml"), of_demo("prometheus.yml"));
    let datasources = of_demo("grafana/datasources/prometheus.yaml");
    assert_eq!(value(&datasources, "apiVersion: "), "1");
    assert_eq!(value(&datasources, "url: "), "http://prometheus:9090");
    assert_eq!(
        value(&datasources, "timeInterval: "),
        value(&prometheus, "scrape_interval: ")
    );
    let dashboards = of_demo("grafana/dashboards/backstop.yaml");
    assert_eq!(value(&dashboards, "apiVersion: "), "1");
    let dashboard = format!("{}/backstop.json", value(&dashboards, "path: "));
    let home = value(&compose, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: ");
    assert_eq!(home, dashboard);
    let mounted = |from: &str, to: &str| {
        let line = format!("      - {from}:{to}:ro\n");
        assert!(compose.contains(&line), "{line}");
    };
    let shipped = "../../configs/monitoring";
    mounted(&format!("{shipped}/grafana-dashboard.json"), &dashboard);
    mounted(
        &format!("{shipped}/alerts.yml"),
        "/etc/prometheus/alerts.yml",
    );
    for kind in ["datasources", "dashboards"] {
        let from = format!("./grafana/{kind}");
        mounted(&from, &format!("/etc/grafana/provisioning/{kind}"));
    }
}
