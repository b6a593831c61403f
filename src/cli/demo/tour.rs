//! The tour: servers fail and return one after the other, with a sentence each.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::servers::{Index, NAMES};
use super::stage::{Note, Stage};

/// How long the traffic may take to move, beyond the time of a step.
const PATIENCE: Duration = Duration::from_secs(10);

const WEB_1: Index = 0;
const WEB_2: Index = 1;
const SPARE_1: Index = 2;
const SPARE_2: Index = 3;
const FARM_1: Index = 4;
const FARM_2: Index = 5;

struct Step {
    say: &'static str,
    stop: &'static [Index],
    start: &'static [Index],
    /// Who answers in the end.
    expect: &'static [Index],
}

const STEPS: [Step; 7] = [
    Step {
        say: "All servers run. The two of the first rank, web-1 and web-2, take turns.",
        stop: &[],
        start: &[WEB_1, WEB_2, SPARE_1, SPARE_2, FARM_1, FARM_2],
        expect: &[WEB_1, WEB_2],
    },
    Step {
        say: "web-1 dies. A request that finds it dead goes on to web-2 at once.",
        stop: &[WEB_1],
        start: &[],
        expect: &[WEB_2],
    },
    Step {
        say: "web-2 dies too. Nobody of the first rank is left, so the spares serve.",
        stop: &[WEB_2],
        start: &[],
        expect: &[SPARE_1, SPARE_2],
    },
    Step {
        say: "spare-1 dies. With one spare left the rule calls the second farm.",
        stop: &[SPARE_1],
        start: &[],
        expect: &[FARM_1, FARM_2],
    },
    Step {
        say: "spare-2 dies. Nobody of the backend main is left, and no client notices.",
        stop: &[SPARE_2],
        start: &[],
        expect: &[FARM_1, FARM_2],
    },
    Step {
        say: "web-1 returns. After two passed checks it has the traffic again.",
        stop: &[],
        start: &[WEB_1],
        expect: &[WEB_1],
    },
    Step {
        say: "The others return, and all is as it was.",
        stop: &[],
        start: &[WEB_2, SPARE_1, SPARE_2],
        expect: &[WEB_1, WEB_2],
    },
];

/// Plays the tour once; each step lasts `pace` at least.
pub(super) async fn play(stage: &Stage, pace: Duration) {
    for (step, number) in STEPS.iter().zip(1..) {
        let next = Instant::now() + pace;
        let say = format!("{number}/{}: {}", STEPS.len(), step.say);
        stage.note(Note::Demo(say));
        for &server in step.stop {
            stage.set_running(server, false).await;
        }
        for &server in step.start {
            stage.set_running(server, true).await;
        }
        wait_for(stage, step.expect, pace + PATIENCE).await;
        sleep_until(next).await;
    }
}

/// Waits until exactly these servers answer.
async fn wait_for(stage: &Stage, expected: &[Index], limit: Duration) {
    let mut answering = stage.answering();
    let arrived = answering.wait_for(|servers| servers == expected);
    if !matches!(timeout(limit, arrived).await, Ok(Ok(_))) {
        let names: Vec<_> = expected.iter().map(|&server| NAMES[server]).collect();
        stage.strayed(&names.join(" and "));
    }
}
