//! The demo of a PostgreSQL primary and its standby.

use libtest_mimic::Trial;

use crate::engine::trial;
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::project::{Project, local};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial("demo::postgres_failover", postgres_failover)].into_iter()
}

fn stats() -> Stats {
    Stats::at(local(8716))
}

fn postgres_failover() {
    let project = Project::up("postgres-failover");
    wait_until("the stats page should answer", || stats().rows().is_ok());
    roles("pg1", "pg2");
    project.walk(|_, line| match line {
        "docker compose stop pg-1" => {
            stats().wait_for_down("primary/pg1");
            stats().wait_for_down("standbys/pg1");
        }
        "docker compose start pg-1" => roles("pg2", "pg1"),
        _ if line.contains("pg_promote") => {
            stats().wait_for_up("primary/pg2");
            stats().wait_for_down("standbys/pg2");
        }
        _ => {}
    });
    let rows = "docker compose exec -T pg-1 psql -h localhost -U postgres -Atc \
                \"SELECT count(*), pg_is_in_recovery() FROM notes\"";
    wait_until("the old primary should have every row", || {
        project.type_in(rows) == "3|t"
    });
    project.is_healthy("backstop");
    project.stops("backstop");
}

/// Waits until Backstop has found the servers in these roles.
fn roles(primary: &str, standby: &str) {
    stats().wait_for_up(&format!("primary/{primary}"));
    stats().wait_for_up(&format!("standbys/{standby}"));
    stats().wait_for_down(&format!("primary/{standby}"));
    stats().wait_for_down(&format!("standbys/{primary}"));
}
