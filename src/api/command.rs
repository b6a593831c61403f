//! Every command, and who may give it.

use std::pin::Pin;

use super::events::Follow;
use super::sessions::SessionList;
use super::{Api, change, events, info, reload, routes, server, sessions, show, state};
use crate::config::operation::Level;
use crate::proxy::registry::SessionId;

/// What one connection has said about itself.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it may do.
    pub level: Level,
    /// Whether there is a prompt, and the connection stays open.
    pub interactive: bool,
    /// What the journal says of whoever is at the other end.
    pub who: String,
}

/// What a command leads to.
pub enum Answer {
    /// This text.
    Text(String),
    /// These texts, one after the other.
    Pieces(Box<dyn Iterator<Item = String>>),
    /// A list of the open sessions.
    Sessions(SessionList),
    /// The end of a session.
    End(SessionId),
    /// Events as they happen, until the client goes away.
    Follow(Follow),
    /// A text that takes its time.
    Later(Pin<Box<dyn Future<Output = String>>>),
    /// The end of the connection.
    Quit,
}

impl Answer {
    /// No text at all, which says that all went well.
    pub fn done() -> Self {
        Self::Text(String::new())
    }

    /// One line.
    pub fn line(text: impl Into<String>) -> Self {
        Self::Text(text.into() + "\n")
    }
}

/// A command. Its words after its name are given to it.
type Run = fn(&Api, &mut Client, &[&str]) -> Answer;

/// A command: its name, what follows, what it does, who may give it.
struct Command {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    level: Level,
    run: Run,
}

const fn command(
    level: Level,
    (name, arguments): (&'static str, &'static str),
    help: &'static str,
    run: Run,
) -> Command {
    Command {
        name,
        arguments,
        help,
        level,
        run,
    }
}

use Level::{Admin, Operator, User};

/// All commands, in the order of `help`.
const COMMANDS: &[Command] = &[
    command(
        Operator,
        ("clear counters", "[all]"),
        "begin the maxima anew, or with all every counter",
        change::clear_counters,
    ),
    command(
        Admin,
        ("diff", "<name> <<<end>"),
        "say what a reload would do if the file said what follows, up to a line with the end",
        reload::diff,
    ),
    command(
        Admin,
        ("disable frontend", "<frontend>"),
        "refuse connections to a frontend",
        change::disable_frontend,
    ),
    command(
        Admin,
        ("disable health", "<bk>/<srv>"),
        "stop a server's checks",
        server::disable_health,
    ),
    command(
        Admin,
        ("disable server", "<bk>/<srv>"),
        "take a server out for maintenance",
        server::disable,
    ),
    command(
        Admin,
        ("enable frontend", "<frontend>"),
        "accept connections to a frontend again",
        change::enable_frontend,
    ),
    command(
        Admin,
        ("enable health", "<bk>/<srv>"),
        "check a server again",
        server::enable_health,
    ),
    command(
        Admin,
        ("enable server", "<bk>/<srv>"),
        "end a server's maintenance",
        server::enable,
    ),
    command(
        User,
        ("get weight", "<bk>/<srv>"),
        "report a server's weight",
        server::get_weight,
    ),
    command(
        User,
        ("help", "[<command>]"),
        "list all commands, or those that begin so",
        |_, client, words| Answer::Text(help(client.level, words)),
    ),
    command(
        User,
        ("operator", ""),
        "lower the level of this connection to operator",
        |_, client, _| lower(client, Operator),
    ),
    command(
        User,
        ("prompt", ""),
        "switch the prompt on or off; with it the connection stays open",
        |_, client, _| {
            client.interactive = !client.interactive;
            Answer::done()
        },
    ),
    command(User, ("quit", ""), "end this connection", |_, _, _| {
        Answer::Quit
    }),
    command(
        Admin,
        ("reload", ""),
        "take the configuration from its file",
        reload::reload,
    ),
    command(
        Admin,
        ("set maxconn", "frontend|server|global"),
        "change how many sessions there may be",
        change::set_maxconn,
    ),
    command(
        Admin,
        ("set server", "<bk>/<srv> [opts]"),
        "change a server's state, weight or address",
        server::set,
    ),
    command(
        Admin,
        ("set weight", "<bk>/<srv> N|N%"),
        "change a server's weight",
        server::set_weight,
    ),
    command(
        User,
        ("show backend", ""),
        "list the backends",
        show::backends,
    ),
    command(
        User,
        ("show cli level", ""),
        "report the level of this connection",
        |_, client, _| Answer::line(level_word(client.level)),
    ),
    command(
        Operator,
        ("show errors", ""),
        "report sessions that failed, by how they ended",
        show::errors,
    ),
    command(
        Operator,
        ("show events", "[json] [-w] [-n]"),
        "report the last events; -w waits for more, -n leaves out the old",
        events::show,
    ),
    command(
        User,
        ("show info", "[json|typed]"),
        "report about the process",
        info::show,
    ),
    command(
        User,
        ("show routes", "[json]"),
        "report where each frontend's new sessions go, and why",
        routes::show,
    ),
    command(
        User,
        ("show servers state", "[<backend>]"),
        "report the state of servers",
        state::show,
    ),
    command(
        Operator,
        ("show sess", "[<id>]"),
        "list the open sessions, or report one",
        sessions::show,
    ),
    command(
        User,
        ("show stat", "[json|no-maint|typed|up]*"),
        "report counters for each frontend, backend and server",
        show::statistics,
    ),
    command(
        User,
        ("show version", ""),
        "report the version of the program",
        |_, _, _| Answer::line(env!("CARGO_PKG_VERSION")),
    ),
    command(
        Admin,
        ("shutdown frontend", "<frontend>"),
        "refuse connections to a frontend",
        change::shutdown_frontend,
    ),
    command(
        Admin,
        ("shutdown session", "<id>"),
        "end a session",
        change::shutdown_session,
    ),
    command(
        Admin,
        ("shutdown sessions server", "<bk>/<srv>"),
        "end every session on a server",
        change::shutdown_sessions,
    ),
    command(
        User,
        ("user", ""),
        "lower the level of this connection to user",
        |_, client, _| lower(client, User),
    ),
];

/// Does what `words` say.
pub fn run(api: &Api, client: &mut Client, words: &[String]) -> Answer {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let Some((command, arguments)) = find(&words) else {
        return Answer::Text(unknown(client.level, &words));
    };
    if client.level < command.level {
        return Answer::line("Permission denied");
    }
    (command.run)(api, client, arguments)
}

/// The command with the longest name that the words begin with, and the words after it.
fn find<'w>(words: &'w [&'w str]) -> Option<(&'static Command, &'w [&'w str])> {
    let begins = |command: &&Command| {
        let mut words = words.iter();
        command
            .name
            .split(' ')
            .all(|part| words.next() == Some(&part))
    };
    let longest = COMMANDS
        .iter()
        .filter(begins)
        .max_by_key(|c| c.name.len())?;
    Some((longest, &words[longest.name.split(' ').count()..]))
}

fn lower(client: &mut Client, level: Level) -> Answer {
    client.level = client.level.min(level);
    Answer::done()
}

fn level_word(level: Level) -> &'static str {
    match level {
        User => "user",
        Operator => "operator",
        Admin => "admin",
    }
}

/// The commands that may be given and begin with the words.
fn listed(level: Level, words: &[&str]) -> Vec<String> {
    let begins = |command: &&Command| {
        let mut parts = command.name.split(' ');
        words
            .iter()
            .all(|word| parts.next().is_some_and(|part| part.starts_with(word)))
    };
    let allowed = COMMANDS.iter().filter(|command| command.level <= level);
    let shown = allowed.filter(begins).map(|command| {
        let usage = format!("{} {}", command.name, command.arguments);
        format!("  {:<38}  : {}\n", usage.trim_end(), command.help)
    });
    shown.collect()
}

fn help(level: Level, words: &[&str]) -> String {
    match listed(level, words) {
        lines if lines.is_empty() => unknown(level, words),
        lines => format!(
            "The following commands are valid at this level:\n{}",
            lines.concat()
        ),
    }
}

/// The answer to what is no command: those that begin with the same word, or all of them.
fn unknown(level: Level, words: &[&str]) -> String {
    match listed(level, words.get(..1).unwrap_or_default()) {
        lines if lines.is_empty() => {
            let lines = listed(level, &[]).concat();
            format!("Unknown command. Please enter one of the following commands only:\n{lines}")
        }
        lines => {
            let lines = lines.concat();
            format!(
                "Unknown command, but maybe one of the following ones is a better match:\n{lines}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(line: &str) -> Option<(&'static str, usize)> {
        let words: Vec<_> = line.split(' ').collect();
        find(&words).map(|(command, arguments)| (command.name, arguments.len()))
    }

    #[test]
    fn the_longest_name_counts_and_the_rest_are_arguments() {
        assert_eq!(name("show stat json"), Some(("show stat", 1)));
        assert_eq!(
            name("shutdown sessions server a/b"),
            Some(("shutdown sessions server", 1))
        );
        assert_eq!(name("shutdown session"), Some(("shutdown session", 0)));
        assert_eq!(name("show"), None);
        assert_eq!(name("showstat"), None);
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_known_ones() {
        let near = unknown(User, &["show", "foo"]);
        assert!(
            near.starts_with("Unknown command, but maybe one of"),
            "{near}"
        );
        assert!(
            near.contains("  show info [json|typed]                  : report"),
            "{near}"
        );
        assert!(!near.contains("  show sess "), "{near}");
        let far = unknown(Admin, &["foo"]);
        assert!(
            far.starts_with("Unknown command. Please enter one of"),
            "{far}"
        );
        assert_eq!(far.lines().count(), 1 + COMMANDS.len());
    }

    #[test]
    fn help_lists_what_begins_with_its_words() {
        assert_eq!(help(Admin, &["set"]).lines().count(), 1 + 3);
        assert_eq!(
            help(Admin, &["shutdown", "sessions"]).lines().count(),
            1 + 1
        );
        assert_eq!(help(User, &[]).lines().count(), 1 + 13);
    }

    #[test]
    fn a_level_can_only_be_lowered() {
        let mut client = Client {
            level: Operator,
            interactive: false,
            who: String::new(),
        };
        lower(&mut client, User);
        lower(&mut client, Operator);
        assert_eq!(client.level, User);
    }
}
