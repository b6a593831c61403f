//! A real PostgreSQL primary with a streaming standby: the proxy follows the primary.

use libtest_mimic::Trial;

use crate::harness::farm::Farm;
use crate::harness::postgres::{Postgres, query};
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let needs = ["postgres", "initdb", "pg_basebackup", "psql"].map(Need::Program);
    [trial(
        "postgres::the_proxy_follows_the_primary",
        &needs,
        the_proxy_follows_the_primary,
    )]
    .into_iter()
}

fn the_proxy_follows_the_primary() {
    let farm = Farm::new()
        .backend(
            r#"check = { type = "postgres", user = "postgres", role = "primary", interval = "300ms", timeout = "2s" }"#,
        )
        .backend(r#"on_marked_down = "shutdown-sessions""#)
        // Longer than the test may take.
        .backend(r#"failback = { delay = "1m" }"#);
    let mut primary = Postgres::primary(farm.next());
    let standby = Postgres::standby_of(&primary, farm.next());
    let farm = farm
        .server("pg1", primary.address(), "check = true")
        .server("pg2", standby.address(), "check = true");
    let backstop = farm.start();
    farm.stats().wait_for_up("pg1");
    assert_eq!(farm.stats().row("pg2")["check_status"], "L7STS");
    farm.stats().wait_for_down("pg2");

    let entrance = farm.entrance();
    let ask = |sql: &str| query(entrance, sql).expect("an answer through the proxy");
    ask("CREATE TABLE written (value text)");
    ask("INSERT INTO written VALUES ('before')");
    wait_until("the standby should have the row", || {
        query(standby.address(), "SELECT value FROM written") == Ok("before".to_owned())
    });

    primary.kill();
    standby.promote();
    wait_until("a client should be able to write", || {
        query(entrance, "INSERT INTO written VALUES ('after')").is_ok()
    });
    let all = "SELECT string_agg(value, ' ') FROM written";
    assert_eq!(standby.tell(all), "before after");

    farm.stats().wait_for_down("pg1");
    // The old primary comes back and still believes that it is one.
    primary.restart();
    backstop.wait_for_log("Server bk/pg1 is UP");
    assert_eq!(primary.tell("SELECT pg_is_in_recovery()"), "f");
    for _ in 0..4 {
        ask("INSERT INTO written VALUES ('later')");
    }
    assert_eq!(primary.tell(all), "before");
    assert_eq!(standby.tell(all), "before after later later later later");
}
