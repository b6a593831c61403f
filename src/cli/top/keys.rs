//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Mode, Model, Said};
use super::snapshot::Kind;

/// Rows that the page keys pass over.
const PAGE: isize = 10;

/// What a key leads to beside another look of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    /// This command is given to the runtime API.
    Give(String),
    Quit,
}

/// The keys, for help.
pub(super) const KEYS: [(&str, &str); 11] = [
    ("up down j k", "choose a server"),
    ("d", "drain it: it gets no new sessions"),
    ("m", "maintenance: no new sessions and no checks"),
    ("r", "make it ready again"),
    ("w", "set its weight"),
    ("e", "show or hide events"),
    ("/", "show only rows whose name contains what you type"),
    ("s", "sort: file, trouble, sessions, bytes"),
    ("Esc", "take back a question, a filter, an answer"),
    ("?", "this help"),
    ("q", "quit"),
];

/// Does what a key is for.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Act {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Act::Quit,
            _ => Act::Nothing,
        };
    }
    match std::mem::replace(&mut model.mode, Mode::Looking) {
        Mode::Looking => look(model, key.code),
        Mode::Helping => Act::Nothing,
        Mode::Filtering => filter(model, key.code),
        Mode::Weighing { server, typed } => weigh(model, server, typed, key.code),
        Mode::Confirming { command, question } => match key.code {
            KeyCode::Char('y' | 'Y') => Act::Give(command),
            KeyCode::Char('n' | 'N') | KeyCode::Esc => Act::Nothing,
            _ => {
                model.mode = Mode::Confirming { question, command };
                Act::Nothing
            }
        },
    }
}

fn look(model: &mut Model, code: KeyCode) -> Act {
    model.said = None;
    match code {
        KeyCode::Char('q') => return Act::Quit,
        KeyCode::Down | KeyCode::Char('j') => model.step(1),
        KeyCode::Up | KeyCode::Char('k') => model.step(-1),
        KeyCode::PageDown => model.step(PAGE),
        KeyCode::PageUp => model.step(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => model.step(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => {
            model.step(0);
            model.step(isize::MAX);
        }
        KeyCode::Char('d') => ask(model, "drain", "Drain SERVER: no new sessions?"),
        KeyCode::Char('m') => ask(
            model,
            "maint",
            "Take SERVER out: no new sessions and no checks?",
        ),
        KeyCode::Char('r') => ask(model, "ready", "Make SERVER ready again?"),
        KeyCode::Char('w') => {
            if let Some(server) = server(model) {
                let typed = String::new();
                model.mode = Mode::Weighing { server, typed };
            }
        }
        KeyCode::Char('e') => model.with_events = !model.with_events,
        KeyCode::Char('s') => model.order = model.order.next(),
        KeyCode::Char('/') => model.mode = Mode::Filtering,
        KeyCode::Char('?' | 'h') => model.mode = Mode::Helping,
        KeyCode::Esc => model.filter.clear(),
        _ => {}
    }
    Act::Nothing
}

/// Asks whether the chosen server's state is to be changed.
fn ask(model: &mut Model, state: &str, question: &str) {
    if let Some(server) = server(model) {
        model.mode = Mode::Confirming {
            question: question.replace("SERVER", &server),
            command: format!("set server {server} state {state}"),
        };
    }
}

/// The chosen server, or else a word on what to do.
fn server(model: &mut Model) -> Option<String> {
    let row = model.selected().filter(|row| row.kind == Kind::Server);
    let server = row.map(|row| escaped(&row.path()));
    if server.is_none() {
        model.said = Some(Said {
            text: "Choose a server first, with the arrows or j and k.".to_owned(),
            refused: true,
        });
    }
    server
}

/// A name may contain what ends a word of the runtime API.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, ' ' | ';' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn filter(model: &mut Model, code: KeyCode) -> Act {
    match code {
        KeyCode::Enter => return Act::Nothing,
        KeyCode::Esc => {
            model.filter.clear();
            return Act::Nothing;
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(character) => model.filter.push(character),
        _ => {}
    }
    model.mode = Mode::Filtering;
    Act::Nothing
}

fn weigh(model: &mut Model, server: String, mut typed: String, code: KeyCode) -> Act {
    match code {
        KeyCode::Enter if !typed.is_empty() => {
            return Act::Give(format!("set server {server} weight {typed}"));
        }
        KeyCode::Esc => return Act::Nothing,
        KeyCode::Backspace => {
            typed.pop();
        }
        KeyCode::Char(character) if character.is_ascii_digit() || character == '%' => {
            typed.push(character);
        }
        _ => {}
    }
    model.mode = Mode::Weighing { server, typed };
    Act::Nothing
}

#[cfg(test)]
mod tests {
    use super::super::model::Order;
    use super::super::model::tests::model;
    use super::*;

    fn type_in(model: &mut Model, text: &str) -> Act {
        let codes = text.chars().map(|character| match character {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            character => KeyCode::Char(character),
        });
        codes.fold(Act::Nothing, |_, code| press(model, code.into()))
    }

    #[test]
    fn a_server_is_drained_only_after_yes() {
        let mut model = model();
        assert_eq!(type_in(&mut model, "jjjjdx"), Act::Nothing);
        let Mode::Confirming { question, .. } = &model.mode else {
            panic!("{:?}", model.mode);
        };
        assert_eq!(question, "Drain main/web1: no new sessions?");
        assert_eq!(type_in(&mut model, "n"), Act::Nothing);
        assert_eq!(model.mode, Mode::Looking);
        let give = |state| Act::Give(format!("set server main/web1 state {state}"));
        assert_eq!(type_in(&mut model, "dy"), give("drain"));
        assert_eq!(type_in(&mut model, "my"), give("maint"));
        assert_eq!(type_in(&mut model, "ry"), give("ready"));
        assert_eq!(type_in(&mut model, "d\x1by"), Act::Nothing);
    }

    #[test]
    fn only_servers_can_be_changed() {
        for steps in ["", "j", "jjj"] {
            let mut model = model();
            type_in(&mut model, steps);
            assert_eq!(type_in(&mut model, "dy"), Act::Nothing);
            let mut other = super::super::model::tests::model();
            type_in(&mut other, steps);
            type_in(&mut other, "w");
            assert_eq!(other.mode, Mode::Looking);
            assert!(other.said.unwrap().text.starts_with("Choose a server"));
        }
    }

    #[test]
    fn a_weight_is_typed() {
        let mut model = model();
        let weight = Act::Give("set server main/web1 weight 50%".to_owned());
        assert_eq!(type_in(&mut model, "jjjjw\n5x0%\n"), weight);
        assert_eq!(type_in(&mut model, "w5\x1b"), Act::Nothing);
        assert_eq!(model.mode, Mode::Looking);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut model = model();
        assert_eq!(type_in(&mut model, "/dq\n"), Act::Nothing);
        assert_eq!(model.filter, "dq");
        type_in(&mut model, "\x1b");
        assert_eq!(model.filter, "");
        type_in(&mut model, "s");
        assert_eq!(model.order, Order::Trouble);
        type_in(&mut model, "sss");
        assert_eq!(model.order, Order::File);
    }

    #[test]
    fn quitting_needs_no_question() {
        assert_eq!(type_in(&mut model(), "q"), Act::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut model(), control_c), Act::Quit);
        // Help is left by any key.
        assert_eq!(type_in(&mut model(), "?q"), Act::Nothing);
    }

    #[test]
    fn a_name_cannot_become_another_command() {
        assert_eq!(escaped("a/b; c\\"), "a/b\\;\\ c\\\\");
    }
}
