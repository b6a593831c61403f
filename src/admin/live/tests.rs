use std::sync::Arc;

use http_body_util::BodyExt as _;

use super::*;
use crate::admin::Running;
use crate::admin::auth::Visitor;
use crate::admin::view::View;
use crate::events::Event;
use crate::topology::Topology;
use crate::topology::sample::{farms, settings, take_down};

fn open(running: &Running) -> Option<Stream> {
    let (live, report) = (running.live.clone(), running.clone());
    let visitor = Visitor::ANYONE;
    let report = move || Report::of(&report, settings().into(), View::default(), visitor.clone());
    let deadline = Deadline::after(Duration::from_secs(60));
    live.stream(&running.journal, deadline, report)
}

/// The ids in the next message that has any, and their markup.
async fn next(stream: &mut Stream) -> Vec<(String, String)> {
    loop {
        let frame = stream.frame().await.expect("a stream").expect("a frame");
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        let mut parts = Vec::new();
        for event in text.split("\n\n").filter(|event| !event.is_empty()) {
            let Some(json) = event.strip_prefix("data: ") else {
                continue;
            };
            let message: serde_json::Value = serde_json::from_str(json).unwrap();
            assert!(message["t"].as_f64() >= Some(4_320.0), "{message}");
            let texts = |pair: &serde_json::Value| -> (String, String) {
                serde_json::from_value(pair.clone()).unwrap()
            };
            parts.extend(message["parts"].as_array().unwrap().iter().map(texts));
        }
        if !parts.is_empty() {
            return parts;
        }
    }
}

async fn everything(stream: &mut Stream, topology: &Topology) {
    let mut all: Vec<_> = Part::all(topology).map(Part::id).collect();
    while !all.is_empty() {
        for (id, _) in next(stream).await {
            all.retain(|other| *other != id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_at_first_and_then_what_changes() {
    let topology = farms();
    let running = Running::of(Arc::clone(&topology));
    let mut stream = open(&running).unwrap();
    everything(&mut stream, &topology).await;
    take_down(&topology, 0, 2);
    let changed = next(&mut stream).await;
    let ids: Vec<_> = changed.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        ["title", "state", "troubles", "r0", "u0", "b0-2", "b0-4"]
    );
    let row = &changed[5].1;
    assert!(row.starts_with("<tr class=\"down\" id=\"b0-2\">"), "{row}");
}

#[tokio::test(start_paused = true)]
async fn events_are_told() {
    let topology = farms();
    let running = Running::of(Arc::clone(&topology));
    let mut stream = open(&running).unwrap();
    everything(&mut stream, &topology).await;
    let backend = "<bk>".to_owned();
    running.journal.record(Event::BackendDown { backend });
    let changed = next(&mut stream).await;
    assert_eq!(changed[0].0, "events");
    assert!(
        changed[0].1.contains("&lt;bk&gt; has no server"),
        "{changed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_stays_as_it_is_is_not_told_and_the_stream_is_seen_to_live() {
    let topology = farms();
    let running = Running::of(Arc::clone(&topology));
    let mut stream = open(&running).unwrap();
    everything(&mut stream, &topology).await;
    for _ in 0..5 {
        let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.ends_with(b"\"parts\":[]}\n\n"), "{frame:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_reader_too_many_is_refused_until_another_goes() {
    let running = Running::of(farms());
    let mut streams: Vec<_> = (0..MOST).map(|_| open(&running).unwrap()).collect();
    assert!(open(&running).is_none());
    streams.pop();
    assert!(open(&running).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_reader_is_dropped_and_the_others_are_not() {
    let topology = farms();
    let running = Running::of(Arc::clone(&topology));
    let (mut reader, mut stalled) = (open(&running).unwrap(), open(&running).unwrap());
    everything(&mut reader, &topology).await;
    for _ in 0..3 * QUEUE {
        take_down(&topology, 0, 0);
        reader.frame().await.unwrap().unwrap();
    }
    assert_eq!(running.live.readers().queues.len(), 1);
    let mut frames = 0;
    while stalled.frame().await.is_some() {
        frames += 1;
    }
    assert!(frames <= QUEUE + 2, "{frames}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_when_nobody_looks_any_more() {
    let topology = farms();
    let running = Running::of(Arc::clone(&topology));
    for _ in 0..2 {
        let mut stream = open(&running).unwrap();
        everything(&mut stream, &topology).await;
        assert!(running.live.readers().told);
        drop(stream);
        tokio::time::sleep(3 * PERIOD).await;
        assert!(!running.live.readers().told);
    }
}
