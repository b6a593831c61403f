//! HTTP checks of real nginx servers.

use libtest_mimic::Trial;

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::nginx::Nginx;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial(
        "http_checks::a_server_that_answers_503_is_passed_over",
        &[Need::Program("nginx")],
        a_server_that_answers_503_is_passed_over,
    )]
    .into_iter()
}

fn a_server_that_answers_503_is_passed_over() {
    let farm = Farm::new().backend(
        r#"check = { type = "http", path = "/health", status = 200, interval = "100ms" }"#,
    );
    let addresses = [farm.next(), farm.next()];
    let [sick, _well] = ["a", "b"].map(|name| {
        let address = addresses[usize::from(name == "b")];
        Nginx::start(name, address)
    });
    let farm =
        farm.server("a", addresses[0], "check = true")
            .server("b", addresses[1], "check = true");
    let _backstop = farm.start();
    let ask = |count| -> Vec<String> {
        let ask = |_| http::curl(farm.entrance()).expect("an answer");
        (0..count).map(ask).collect()
    };
    assert_eq!(ask(4), ["a\n", "b\n", "a\n", "b\n"]);

    sick.fall_sick();
    farm.stats().wait_for_down("a");
    let row = farm.stats().row("a");
    assert_eq!(
        (&*row["check_status"], &*row["check_code"]),
        ("L7STS", "503")
    );
    assert_eq!(ask(4), ["b\n"; 4]);
    // Nothing but the check's own path says so.
    assert_eq!(http::curl(addresses[0]).expect("an answer"), "a\n");

    sick.recover();
    farm.stats().wait_for_up("a");
    wait_until("it should get its share again", || {
        ask(2).contains(&"a\n".to_owned())
    });
}
