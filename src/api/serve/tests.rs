use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::task::LocalSet;

use super::*;
use crate::admin::Running;
use crate::proxy::Sessions;
use crate::supervisor::Supervisor;
use crate::topology::Current;
use crate::topology::sample::single_farm;
use crate::topology::status::State;

/// Nothing here should take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// What a client of this level is told when it says all of `said` and then listens.
async fn tell(api: &Rc<Api>, level: Level, said: &[u8]) -> (io::Result<()>, String) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(said).await.unwrap();
    let (ended, told) = tokio::join!(talk(api, level, server), async {
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        String::from_utf8(told).unwrap()
    });
    (ended, told)
}

async fn talk(api: &Rc<Api>, level: Level, stream: DuplexStream) -> io::Result<()> {
    let (input, output) = tokio::io::split(stream);
    let talk = converse(input, output, Rc::clone(api), level, "somebody".into());
    timeout(LIMIT, talk).await?
}

/// Two primaries `s1`, `s2` and two backups of backend `bk`, behind frontend `ft`.
fn api() -> Rc<Api> {
    let running = Running::of(single_farm(false));
    // No worker answers here.
    let (sessions, _) = Sessions::channel(1);
    let (topology, journal) = (running.topology.clone(), running.journal.clone());
    Rc::new(Api {
        supervisor: Supervisor::new(Current::new(topology), sessions.clone(), journal),
        sessions,
        running,
        asks: tokio::sync::mpsc::unbounded_channel().0,
    })
}

async fn said(level: Level, line: &str) -> String {
    let api = api();
    LocalSet::new()
        .run_until(async { tell(&api, level, line.as_bytes()).await.1 })
        .await
}

#[tokio::test]
async fn an_answer_ends_in_an_empty_line() {
    assert_eq!(said(Level::User, "show backend\n").await, "# name\nbk\n\n");
    assert_eq!(
        said(Level::User, "show backend; get weight bk/s1\n").await,
        "# name\nbk\n\n1 (initial 1)\n\n"
    );
    assert_eq!(
        said(Level::Admin, "set server bk/s1 weight 5\n").await,
        "\n"
    );
    assert_eq!(said(Level::User, "\n").await, "\n");
}

#[tokio::test]
async fn lines_that_have_come_are_answered_and_then_the_connection_ends() {
    assert_eq!(
        said(Level::User, "show backend\nget weight bk/s9\n").await,
        "# name\nbk\n\nNo such server.\n\n"
    );
}

#[tokio::test]
async fn a_prompt_keeps_the_connection_open_until_quit() {
    assert_eq!(
        said(Level::User, "prompt\nshow backend\n\nquit\nshow backend\n").await,
        "\n> # name\nbk\n\n> \n> "
    );
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let denied = "Permission denied\n\n";
    assert_eq!(
        said(Level::Operator, "disable server bk/s1\n").await,
        denied
    );
    assert_eq!(said(Level::User, "show sess\n").await, denied);
    assert_eq!(said(Level::Operator, "clear counters all\n").await, denied);
    assert_eq!(said(Level::Operator, "clear counters\n").await, "\n");
    let lowered = said(
        Level::Admin,
        "user; show cli level; operator; show events\n",
    )
    .await;
    assert_eq!(lowered, format!("\nuser\n\n\n{denied}"));
}

#[tokio::test]
async fn what_is_set_is_done_and_recorded_with_who_did_it() {
    let api = api();
    let line = b"set server bk/s1 state maint; set server bk/s2 state drain; set weight bk/s3 7\n";
    let told = LocalSet::new()
        .run_until(async { tell(&api, Level::Admin, line).await.1 })
        .await;
    assert_eq!(told, "\n\n\n");
    let topology = &api.running.topology;
    let state = |server: usize| topology.backends[0].servers[server].status().state;
    assert_eq!([state(0), state(1)], [State::Maintenance, State::Drain]);
    assert_eq!(topology.backends[0].servers[2].weight(), 7);
    let records = api.running.journal.after(0, 9);
    let kinds: Vec<_> = records.iter().map(|record| record.event.kind()).collect();
    assert_eq!(
        kinds,
        ["server_maintenance", "server_drain", "weight_changed"]
    );
    for record in records {
        assert!(
            record.event.to_string().contains("set by somebody"),
            "{}",
            record.event
        );
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_connection() {
    let long = vec![b'x'; LONGEST_LINE + 2];
    let (ended, told) = LocalSet::new()
        .run_until(async { tell(&api(), Level::Admin, &long).await })
        .await;
    assert_eq!(
        (ended.unwrap_err().to_string().as_str(), told.as_str()),
        ("its line is too long", "")
    );
}

#[tokio::test]
async fn what_is_no_text_is_an_unknown_command() {
    let (ended, told) = LocalSet::new()
        .run_until(async { tell(&api(), Level::Admin, b"\xff\x00\xfe\n").await })
        .await;
    assert!(
        ended.is_ok() && told.starts_with("Unknown command."),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_left() {
    let api = api();
    let (_client, server) = tokio::io::duplex(64);
    let ended = LocalSet::new()
        .run_until(async {
            let (input, output) = tokio::io::split(server);
            converse(input, output, api, Level::User, String::new()).await
        })
        .await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_left() {
    let api = api();
    let (mut client, server) = tokio::io::duplex(64);
    client.write_all(b"show stat\n").await.unwrap();
    let ended = LocalSet::new()
        .run_until(talk(&api, Level::User, server))
        .await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}
