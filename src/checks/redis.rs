//! The check of a redis server's role, and of its cluster's state.

use super::conversation::{Conversation, Parsed};
use super::finding::{Finding, excerpt, words};
use super::target::Target;
use super::tls::TlsClient;
use crate::config::check::{RedisCheck, RedisRole};

pub(super) async fn check(
    target: &Target<'_>,
    check: &RedisCheck,
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    let mut redis = target.talk(tls).await?;
    log_in(&mut redis, check).await?;
    match ask(&mut redis, &["PING"]).await? {
        Reply::Text(text) if text == b"PONG" => {}
        other => return Err(unexpected("PING", &other)),
    }
    let mut info = "PONG".to_owned();
    if check.role != RedisRole::Any {
        info = role(&mut redis, check.role).await?;
    }
    if check.cluster {
        let state = field(&mut redis, &["CLUSTER", "INFO"], "cluster_state").await?;
        if state != "ok" {
            return Err(Finding::refused(format!(
                "cluster_state is {state}, not ok"
            )));
        }
        info = format!("{info}, cluster_state ok");
    }
    // The check has passed; a server that does not say goodbye passes too.
    let _ = ask(&mut redis, &["QUIT"]).await;
    Ok(Finding::passed(info))
}

async fn log_in(redis: &mut Conversation, check: &RedisCheck) -> Result<(), Finding> {
    let Some(password) = &check.password else {
        return Ok(());
    };
    let mut command = vec!["AUTH"];
    command.extend(check.user.as_deref());
    command.push(password.reveal());
    match ask(redis, &command).await? {
        Reply::Text(text) if text == b"OK" => Ok(()),
        other => Err(unexpected("AUTH", &other)),
    }
}

async fn role(redis: &mut Conversation, wanted: RedisRole) -> Result<String, Finding> {
    let found = field(redis, &["INFO", "replication"], "role").await?;
    let (right, wanted) = match wanted {
        RedisRole::Any => (true, "any"),
        RedisRole::Master => (found == "master", "master"),
        RedisRole::Replica => (found == "slave" || found == "replica", "replica"),
    };
    if right {
        Ok(format!("role {found}"))
    } else {
        Err(Finding::refused(format!(
            "its role is {found}, not {wanted}"
        )))
    }
}

/// One `name:value` line of an answer.
async fn field(redis: &mut Conversation, command: &[&str], name: &str) -> Result<String, Finding> {
    let text = match ask(redis, command).await? {
        Reply::Text(text) => text,
        error @ Reply::Error(_) => return Err(unexpected(&command.join(" "), &error)),
    };
    let value = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"));
    let missing = || {
        let command = command.join(" ");
        Finding::garbage(format!("the answer to {command} has no `{name}`"))
    };
    value.map(excerpt).ok_or_else(missing)
}

async fn ask(redis: &mut Conversation, command: &[&str]) -> Result<Reply, Finding> {
    // What follows AUTH is secret, so only the first word is ever shown.
    let name = command[0];
    redis.send(&encode(command), name).await?;
    redis.answer(name, parse).await
}

/// A command in the protocol's own form, in which arguments may be any bytes.
fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn unexpected(command: &str, reply: &Reply) -> Finding {
    match reply {
        Reply::Error(text) if text.starts_with("NOAUTH") => {
            Finding::refused(format!("{text} Give the check a `password`."))
        }
        Reply::Error(text) => Finding::refused(text.clone()),
        Reply::Text(text) => {
            Finding::garbage(format!("odd answer to {command}: {}", excerpt(text)))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Text(Vec<u8>),
    Error(String),
}

/// A simple string, an error or a bulk string; the commands of checks answer nothing else.
pub(super) fn parse(received: &[u8]) -> Parsed<Reply> {
    let not_redis = || Parsed::Wrong(format!("not an answer of redis: {}", excerpt(received)));
    match received.first() {
        None => return Parsed::More,
        Some(b'+' | b'-' | b'$') => {}
        Some(_) => return not_redis(),
    }
    let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") else {
        return Parsed::More;
    };
    let (first, after) = (&received[1..end], end + 2);
    match received[0] {
        b'+' => Parsed::Done(Reply::Text(first.to_vec()), after),
        b'-' => Parsed::Done(Reply::Error(words(first)), after),
        _ => {
            let length = str::from_utf8(first)
                .ok()
                .and_then(|text| text.parse::<u32>().ok());
            let Some(length) = length else {
                return not_redis();
            };
            let end = after.saturating_add(length as usize);
            match (
                received.get(after..end),
                received.get(end..end.saturating_add(2)),
            ) {
                (Some(text), Some(b"\r\n")) => Parsed::Done(Reply::Text(text.to_vec()), end + 2),
                (Some(_), Some(_)) => not_redis(),
                _ => Parsed::More,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    #[test]
    fn replies() {
        assert_eq!(parse(b"+PONG\r\n"), Parsed::Done(text("PONG"), 7));
        assert_eq!(parse(b"$3\r\na\nb\r\n+"), Parsed::Done(text("a\nb"), 9));
        let error = Reply::Error("ERR no".into());
        assert_eq!(parse(b"-ERR no\r\n"), Parsed::Done(error, 9));
        for part in [&b""[..], b"+PON", b"+PONG\r", b"$3\r\nabc", b"$3\r\nabc\r"] {
            assert_eq!(parse(part), Parsed::More, "{part:?}");
        }
        for wrong in [
            &b"HTTP/1.1 400"[..],
            b"$x\r\n",
            b"$-1\r\n",
            b"$1\r\nabc\r\n",
        ] {
            assert!(matches!(parse(wrong), Parsed::Wrong(_)), "{wrong:?}");
        }
    }

    #[test]
    fn commands() {
        let command = encode(&["AUTH", "pä ss\r\n"]);
        assert_eq!(
            command,
            "*2\r\n$4\r\nAUTH\r\n$8\r\npä ss\r\n\r\n".as_bytes()
        );
    }

    proptest! {
        #[test]
        fn never_panics(received in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&received);
        }

        #[test]
        fn bulk_strings_of_any_length(received in "\\$[0-9]{1,24}\r\n.{0,8}") {
            let _ = parse(received.as_bytes());
        }

        #[test]
        fn a_part_of_an_answer_is_never_an_answer(word in "[a-z\n]{0,20}", cut in 0usize..40) {
            let whole = format!("${}\r\n{word}\r\n", word.len()).into_bytes();
            let part = &whole[..cut.min(whole.len())];
            let wanted = if part.len() == whole.len() {
                Parsed::Done(Reply::Text(word.clone().into()), whole.len())
            } else {
                Parsed::More
            };
            prop_assert_eq!(parse(part), wanted);
        }
    }
}
