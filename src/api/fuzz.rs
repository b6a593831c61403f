//! The runtime API, without a socket.

use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Api;
use super::serve::converse;
use crate::admin::Running;
use crate::config::operation::Level;
use crate::proxy::Sessions;
use crate::supervisor::Supervisor;
use crate::topology::Current;
use crate::topology::sample::single_farm;

/// More than any answer about the made-up topology.
const ROOM: usize = 1 << 20;

/// Has somebody who may do everything say `data`.
pub(crate) async fn commands(data: &[u8]) {
    let (mut client, server) = tokio::io::duplex(ROOM);
    let (input, output) = tokio::io::split(server);
    let talked = converse(input, output, api(), Level::Admin, "somebody".into());
    let said = async {
        let _ = client.write_all(data).await;
        let _ = client.shutdown().await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(
            std::str::from_utf8(&answer).is_ok(),
            "{:?}",
            answer.escape_ascii().to_string()
        );
    };
    let _ = tokio::join!(talked, said);
}

fn api() -> Rc<Api> {
    let running = Running::of(single_farm(false));
    // No worker answers here, and nobody reloads.
    let (sessions, _) = Sessions::channel(1);
    let (topology, journal) = (running.topology.clone(), running.journal.clone());
    Rc::new(Api {
        supervisor: Supervisor::new(Current::new(topology), sessions.clone(), journal),
        sessions,
        running,
        asks: tokio::sync::mpsc::unbounded_channel().0,
    })
}
