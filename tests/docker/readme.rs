//! The demos' files say the same as the scenarios that the tests play. No engine is needed.

use std::fs;

use libtest_mimic::Trial;

use crate::harness::scenario::{
    BACKUP_SERVER, FARM_FAILOVER, FARM_FAILOVER_BACKUP_SERVERS, MULTIPLE_BACKUP_SERVERS, Scenario,
    Step,
};

/// Each demo with the last digit of its ports.
pub(crate) const DEMOS: [(&Scenario, u16); 4] = [
    (&BACKUP_SERVER, 1),
    (&MULTIPLE_BACKUP_SERVERS, 2),
    (&FARM_FAILOVER, 3),
    (&FARM_FAILOVER_BACKUP_SERVERS, 4),
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let trials: [(&str, fn()); 3] = [
        ("files::the_readme_shows_the_walk", readmes),
        (
            "files::the_compose_file_has_the_ports_and_servers",
            composes,
        ),
        ("files::the_overview_names_every_demo", overview),
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

fn readmes() {
    for (scenario, number) in DEMOS {
        let readme = read(&format!("docker/{}/README.md", scenario.name));
        let (_, rest) = readme.split_once("```console\n").expect("a console block");
        let (shown, _) = rest.split_once("```").expect("its end");
        assert_eq!(
            shown,
            transcript(scenario, 8180 + number),
            "{}",
            scenario.name
        );
        assert!(readme.contains(&format!("http://localhost:{}/", 8710 + number)));
    }
}

/// What a terminal shows of the scenario.
fn transcript(scenario: &Scenario, port: u16) -> String {
    let shown: Vec<_> = scenario.steps.iter().map(|step| show(step, port)).collect();
    shown.concat()
}

fn show(step: &Step, port: u16) -> String {
    let each = |numbers: &[usize], text: &str| -> String {
        let with = |number: &usize| text.replace("NUMBER", &number.to_string());
        numbers.iter().map(with).collect()
    };
    match *step {
        Step::Curl(numbers) | Step::Turns(numbers) => {
            each(numbers, &format!("$ curl localhost:{port}\nnginx-NUMBER\n"))
        }
        Step::Stop(numbers) => format!("$ docker compose stop{}\n", each(numbers, " nginx-NUMBER")),
        Step::Start(numbers) => {
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
        let row = format!("| [{name}](../docker/{name}/README.md) | {traffic} | {stats} |");
        assert!(overview.contains(&row), "{row}");
    }
}
