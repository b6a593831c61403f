use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::health::flap::Bounces;
use crate::topology::sample;
use crate::topology::status::{Admin, Checking, Hold, HoldReason, ServerStatus, State};

fn farm() -> Arc<Topology> {
    sample::single_farm(false)
}

/// A topology that a later process has built, with what `before` has saved.
fn restarted(before: &Topology, then: Arc<Topology>) -> (Arc<Topology>, Vec<String>) {
    let clock = Clock::now();
    let json = Saved::of(before, clock).json();
    let ignored = Saved::parse(&json).unwrap().apply(&then, clock);
    (then, ignored)
}

fn status(topology: &Topology, server: usize) -> ServerStatus {
    topology.backends[0].servers[server].status()
}

#[test]
fn a_server_that_was_down_is_down_until_its_checks_pass_often_enough() {
    let before = farm();
    sample::take_down(&before, 0, 0);
    assert_eq!(before.backends[0].usable().nbsrv(), 1);
    let (after, ignored) = restarted(&before, farm());
    assert_eq!(ignored, [""; 0]);
    assert_eq!(status(&after, 0).state, State::Down);
    assert_eq!(status(&after, 0).check.unwrap().health, 0);
    assert_eq!(status(&after, 0).last_check, status(&before, 0).last_check);
    assert_eq!(status(&after, 0).downs, 0);
    assert_eq!(after.backends[0].usable().nbsrv(), 1);
}

#[test]
fn a_server_that_was_up_has_to_show_that_it_is_as_at_any_start() {
    let before = farm();
    sample::pass_check(&before, 0, 0, 4);
    let (after, _) = restarted(&before, farm());
    let check = status(&after, 0).check.unwrap();
    assert_eq!(check, status(&farm(), 0).check.unwrap());
    assert_eq!(status(&after, 0).last_check, None);
}

#[test]
fn what_the_operator_wants_is_kept() {
    let before = farm();
    before.backends[0].servers[0].update(|status| {
        status.admin = Admin::Maintenance;
        status.checking = Checking::Unwanted;
        status.weight = Some(7);
        status.address = Some("127.0.0.9:99".parse().unwrap());
    });
    before.frontends[0].switch(false);
    let (after, _) = restarted(&before, farm());
    let first = status(&after, 0);
    assert_eq!(first.state, State::Maintenance);
    assert_eq!(first.checking, Checking::Unwanted);
    assert_eq!(after.backends[0].servers[0].weight(), 7);
    let address = after.backends[0].servers[0].address();
    assert_eq!(address, Some("127.0.0.9:99".parse().unwrap()));
    assert!(!after.frontends[0].is_enabled());
    assert_eq!(status(&after, 1).admin, Admin::Ready);
}

#[test]
fn a_probation_goes_on_and_its_past_is_remembered() {
    let before = farm();
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    before.backends[0].servers[0].update(|status| {
        let (until, reason) = (Some(now + hour), HoldReason::Flapping);
        status.hold = Some(Hold { until, reason });
        status.was_silent = true;
        status.bounces = Bounces::counted_at(3.0, now);
    });
    let (after, _) = restarted(&before, farm());
    let first = status(&after, 0);
    let hold = first.hold.unwrap();
    assert_eq!(hold.reason, HoldReason::Flapping);
    let until = hold.until.unwrap();
    let off = until.max(now + hour) - until.min(now + hour);
    assert!(off < Duration::from_secs(5), "{off:?}");
    assert!(first.was_silent);
    let (count, _) = first.bounces.counted().unwrap();
    assert!((count - 3.0).abs() < 0.01, "{count}");
}

#[test]
fn the_configuration_wins_where_it_has_changed() {
    let before = farm();
    for server in &before.backends[0].servers {
        server.update(|status| {
            status.admin = Admin::Drain;
            status.weight = Some(9);
        });
    }
    let mut servers: Vec<_> = (1..=4)
        .map(|n| sample::server(&format!("s{n}"), 80 + n, n > 2))
        .collect();
    servers[0].address.port = 8080;
    servers[1].weight = 50;
    servers[3].name = "other".to_owned();
    let then = sample::with_backend(sample::backend("bk", false, servers));
    let (after, ignored) = restarted(&before, then);
    let ignored = ignored.join("; ");
    assert!(ignored.contains("server bk/s1: it was at "), "{ignored}");
    assert!(
        ignored.contains("server bk/s2: its weight, because"),
        "{ignored}"
    );
    assert!(ignored.contains("server bk/s4: there is none"), "{ignored}");
    assert_eq!(status(&after, 0).admin, Admin::Ready);
    assert_eq!(status(&after, 1).admin, Admin::Drain);
    assert_eq!(after.backends[0].servers[1].weight(), 50);
    assert_eq!(after.backends[0].servers[2].weight(), 9);
    assert_eq!(status(&after, 3).admin, Admin::Ready);
}

#[test]
fn a_smaller_rise_keeps_a_server_down() {
    let before = farm();
    sample::take_down(&before, 0, 0);
    before.backends[0].servers[0].update(|status| {
        if let Some(check) = &mut status.check {
            check.health = check.rise - 1;
        }
    });
    let then = farm();
    then.backends[0].servers[0].update(|status| {
        if let Some(check) = &mut status.check {
            (check.rise, check.health) = (1, 1);
        }
    });
    let (after, _) = restarted(&before, then);
    assert_eq!(status(&after, 0).state, State::Down);
}

#[test]
fn another_version_is_not_read() {
    let json = Saved::of(&farm(), Clock::now()).json();
    let text = String::from_utf8(json).unwrap();
    let other = text.replacen("\"version\": 1", "\"version\": 2", 1);
    let error = Saved::parse(other.as_bytes()).unwrap_err();
    assert_eq!(error, "its version is 2, not 1");
}

#[test]
fn a_part_of_a_file_is_not_read() {
    let json = Saved::of(&farm(), Clock::now()).json();
    for end in (0..json.len()).step_by(7) {
        assert!(Saved::parse(&json[..end]).is_err(), "{end}");
    }
}

#[test]
fn moments_survive_the_way_over_the_wall_clock() {
    let clock = Clock::now();
    let second = Duration::from_secs(1);
    let later = clock.instant + second;
    assert_eq!(clock.future(clock.to_ms(later)), later);
    assert_eq!(clock.future(0), clock.instant);
    assert_eq!(clock.past(u64::MAX), clock.instant);
    // Not on a machine that has just been started.
    if let Some(before) = clock.instant.checked_sub(second) {
        assert_eq!(clock.past(clock.to_ms(before)), before);
    }
}

#[test]
fn nothing_is_saved_of_a_frontend_as_configured() {
    let saved = Saved::of(&farm(), Clock::now());
    assert!(saved.frontends.is_empty());
    assert_eq!(saved.servers.len(), 4);
}

proptest! {
    #[test]
    fn whatever_stands_in_a_server_it_can_be_applied(
        health in any::<u32>(),
        since in any::<u64>(),
        until in any::<u64>(),
        bounces in any::<f64>(),
        weight in any::<u16>(),
    ) {
        let before = farm();
        sample::take_down(&before, 0, 0);
        let json = Saved::of(&before, Clock::now()).json();
        let mut value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let server = &mut value["servers"]["bk/s1"];
        server["down"]["health"] = health.into();
        server["since"] = since.into();
        server["hold"] = serde_json::json!({"until": until, "reason": "flapping"});
        server["bounces"] = serde_json::json!([bounces, since]);
        server["weight"] = weight.into();
        // JSON has no word for what is no number.
        if let Ok(saved) = Saved::parse(value.to_string().as_bytes()) {
            let after = farm();
            saved.apply(&after, Clock::now());
            prop_assert_eq!(status(&after, 0).state, State::Down);
        }
    }
}
