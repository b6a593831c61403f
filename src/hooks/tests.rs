use super::*;
use crate::events::{Reason, ServerChange};
use crate::topology::status::{State, Toll};

fn server_event(server: &str, to: State) -> Event {
    let change = ServerChange {
        server: server.into(),
        backup: false,
        from: State::Up,
        to,
        reason: Reason::Errors,
        primaries: 1,
        backups: 0,
        on_backup: false,
        sessions: 0,
        toll: Toll::default(),
        held: None,
    };
    change.event()
}

fn record(number: u64, event: Event) -> Arc<Record> {
    Arc::new(Record {
        number,
        at: std::time::SystemTime::UNIX_EPOCH,
        event,
    })
}

fn queue(debounce: u64, concurrency: usize, size: usize) -> Queue {
    Queue::new(&HookConfig {
        name: "h".into(),
        filter: EventFilter::default(),
        action: HookAction::Program(HookProgram {
            command: "true".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }),
        debounce: Duration::from_millis(debounce),
        timeout: Duration::from_secs(1),
        retries: 0,
        concurrency,
        queue: size,
    })
}

fn taken(queue: &mut Queue, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| queue.take(now))
        .map(|record| record.number)
        .collect()
}

#[test]
fn a_filter_wants_one_of_each_of_its_lists() {
    let down = server_event("bk/s1", State::Down);
    let up = server_event("bk/s1", State::Up);
    let backend_down = Event::BackendDown {
        backend: "bk".into(),
    };
    let mut filter = EventFilter::default();
    assert!(matches(&filter, &down) && matches(&filter, &backend_down));
    filter.backends = vec!["bk".into()];
    assert!(matches(&filter, &down) && matches(&filter, &backend_down));
    filter.servers = vec!["bk/s1".into(), "bk/s2".into()];
    assert!(matches(&filter, &down) && !matches(&filter, &backend_down));
    filter.states = vec!["DOWN"];
    assert!(matches(&filter, &down) && !matches(&filter, &up));
    filter.kinds = vec!["server_up"];
    assert!(!matches(&filter, &down));
    filter.kinds = vec!["server_down"];
    assert!(matches(&filter, &down));
    filter.backends = vec!["other".into()];
    assert!(!matches(&filter, &down));
}

#[test]
fn no_hook_runs_on_what_hooks_did() {
    let failed = Event::HookFailed(HookRun {
        hook: "h".into(),
        number: 1,
        on: "server_down bk/s1".into(),
        attempts: 1,
        duration: Duration::ZERO,
        info: String::new(),
    });
    assert!(!matches(&EventFilter::default(), &failed));
}

#[test]
fn without_debouncing_each_event_runs_in_order_and_one_at_a_time_per_subject() {
    let (mut queue, now) = (queue(0, 2, 9), Instant::now());
    for (number, server) in [(1, "bk/a"), (2, "bk/a"), (3, "bk/b"), (4, "bk/c")] {
        let put = queue.put(record(number, server_event(server, State::Down)), now);
        assert_eq!(put, Put::Waits);
    }
    assert_eq!(taken(&mut queue, now), [1, 3]);
    assert_eq!(queue.next_due(), None, "as many run as may");
    queue.ended("bk/b");
    assert_eq!(taken(&mut queue, now), [4]);
    queue.ended("bk/c");
    assert_eq!(taken(&mut queue, now), [0; 0], "another for `a` runs");
    queue.ended("bk/a");
    assert_eq!(taken(&mut queue, now), [2]);
}

#[test]
fn debounced_a_subject_runs_once_it_is_quiet_with_its_last_event() {
    let (mut queue, start) = (queue(100, 9, 9), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    queue.put(record(1, server_event("bk/a", State::Down)), at(0));
    queue.put(record(2, server_event("bk/b", State::Down)), at(10));
    assert_eq!(
        queue.put(record(3, server_event("bk/a", State::Up)), at(60)),
        Put::Merged
    );
    assert_eq!(taken(&mut queue, at(109)), [0; 0]);
    assert_eq!(queue.next_due(), Some(at(110)));
    assert_eq!(taken(&mut queue, at(110)), [2]);
    assert_eq!(taken(&mut queue, at(160)), [3]);
}

#[test]
fn a_subject_that_is_never_quiet_is_not_put_off_for_ever() {
    let (mut queue, start) = (queue(100, 1, 9), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    for number in 0..=20 {
        assert_eq!(
            taken(&mut queue, at(number * 50)).len(),
            usize::from(number == 20)
        );
        queue.put(
            record(number, server_event("bk/a", State::Down)),
            at(number * 50),
        );
    }
}

#[test]
fn events_that_find_no_place_are_dropped_and_told_once() {
    let (mut queue, now) = (queue(0, 1, 2), Instant::now());
    let put = |queue: &mut Queue| queue.put(record(1, server_event("bk/a", State::Down)), now);
    assert_eq!([put(&mut queue), put(&mut queue)], [Put::Waits, Put::Waits]);
    assert_eq!(put(&mut queue), Put::Dropped { first: true });
    assert_eq!(put(&mut queue), Put::Dropped { first: false });
    assert_eq!(taken(&mut queue, now).len(), 1);
    assert_eq!(put(&mut queue), Put::Waits);
    assert_eq!(put(&mut queue), Put::Dropped { first: true });
}

#[test]
fn pauses_grow_up_to_a_limit() {
    let seconds: Vec<_> = [1, 2, 3, 5, 6, 100].map(|n| pause(n).as_secs()).into();
    assert_eq!(seconds, [1, 2, 4, 16, 30, 30]);
}
