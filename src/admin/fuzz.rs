//! The stats page, without a network.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::answer::Site;
use super::orders::{self, Orders};
use super::places::Place;
use super::{Running, http};
use crate::config::StatsConfig;
use crate::config::check::Secret;
use crate::config::stats::{Password, Role, User};
use crate::proxy::Sessions;
use crate::supervisor::Supervisor;
use crate::topology::Current;
use crate::topology::sample::{farms, settings};

/// More than any answer about the made-up topology.
const ROOM: usize = 1 << 20;

/// More than any answer takes that has an end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sends `data` to a page whose user `admin` may change servers, and reads until it closes.
pub(crate) async fn requests(data: &[u8]) {
    let current = Current::new(farms());
    let running = Running::of(current.get());
    let (sessions, _) = Sessions::channel(1);
    let journal = running.journal.clone();
    let supervisor = Supervisor::new(current.clone(), sessions, journal);
    let (orders, inbox) = Orders::channel();
    tokio::task::spawn_local(orders::obey(inbox, current, supervisor));
    let site = Arc::new(Site::new(locked().into(), running, Some(orders)));
    let (mut client, page) = tokio::io::duplex(ROOM);
    let peer = ([192, 0, 2, 1], 5000).into();
    let answered = http::requests(http::LIMITS, page, peer, site, Place::default());
    let answered = tokio::task::spawn_local(answered);
    let _ = client.write_all(data).await;
    let _ = client.shutdown().await;
    let mut answer = Vec::new();
    // A live page goes on for as long as somebody reads.
    let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    let is_http = answer.is_empty() || answer.starts_with(b"HTTP/1.");
    assert!(is_http, "{:?}", answer.escape_ascii().to_string());
    answered.abort();
    if let Err(ended) = answered.await
        && let Ok(panic) = ended.try_into_panic()
    {
        resume_unwind(panic);
    }
}

fn locked() -> StatsConfig {
    StatsConfig {
        users: vec![User {
            name: "admin".into(),
            password: Password::Plain(Secret::new("admin".into())),
            role: Role::Admin,
        }],
        admin: true,
        refresh: Some(Duration::from_secs(5)),
        ..settings()
    }
}
