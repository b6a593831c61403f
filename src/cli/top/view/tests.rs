//! What is drawn, cell by cell.

use std::io;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::ask::Told;
use super::super::model::Order;
use super::super::model::tests::model;
use super::super::snapshot::Happened;
use super::*;

fn drawn(model: &Model, palette: Palette, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|frame| draw(model, palette, frame.area(), frame.buffer_mut()))
        .unwrap();
    terminal.backend().buffer().clone()
}

fn shown(model: &Model, columns: u16, rows: u16) -> String {
    text(&drawn(model, Palette::Plain, columns, rows))
}

fn event(severity: &str, text: &str) -> Told {
    Told::Happened(Happened {
        time: "2023-11-14T12:03:04.123Z".to_owned(),
        severity: severity.to_owned(),
        text: text.to_owned(),
    })
}

/// The colours of the first cell with text in the line that contains `part`.
fn colours(buffer: &Buffer, part: &str) -> (Color, Color) {
    let text = text(buffer);
    let row = text.lines().position(|line| line.contains(part)).unwrap();
    let cells = (0..buffer.area.width).map(|x| &buffer[(x, row as u16)]);
    let mut with_text = cells.filter(|cell| cell.symbol() != " ");
    let cell = with_text.next().unwrap();
    (cell.fg, cell.bg)
}

#[test]
fn a_screen_of_usual_size_shows_everything() {
    let mut model = model();
    model.hear(event("warning", "Server main/web1 is DOWN."), model.now);
    model.step(0);
    model.step(3);
    let expected = "\
2 of 4 servers are not available · 12 sessions, 34/s · vm pid 4711 up 1h 12m · a
!! api → other: no server is usable, sessions are refused
   because it is the default and no rule holds, since 12:03:04, for 5m 3s
app → main: 1 of 2 primaries
   because it is the default and no rule holds, since 12:03:04, for 5m 3s
  Name             Status          Sess    Rate    Out/s Check         Since
  api (frontend)   OPEN               0       0        0
  app (frontend)   OPEN               0       0        0
  main             UP                 0       0        0                  2s
>   web1           DOWN               0       0        0 L4CON            2s
    web2           UP 2/3            12      34        0 L4OK             2s
    spare (backup) UP                 0       0        0 L4OK             2s
  other            DOWN               0       0        0                  0s
    o1             MAINT              0       0        0                  0s
main/web1 at 127.0.0.1:28091 · Layer4 connection problem: Connection refused, \"x
Events (UTC)────────────────────────────────────────────────────────────────────
12:03:04 Server main/web1 is DOWN.






d drain  m maint  r ready  w weight  e events  / filter  s sort  ? help  q quit
";
    assert_eq!(shown(&model, 80, 24), expected);
}

#[test]
fn rows_have_the_colours_of_the_stats_page() {
    let buffer = drawn(&model(), Palette::Full, 120, 30);
    let paper = |part| colours(&buffer, part).1;
    assert_eq!(
        colours(&buffer, "  web1 "),
        (Color::Rgb(0, 0, 0), Color::Rgb(0xff, 0x90, 0x90))
    );
    assert_eq!(paper("  web2 "), Color::Rgb(0xff, 0xff, 0xa0));
    assert_eq!(paper("  spare (backup) "), Color::Rgb(0xb0, 0xd0, 0xff));
    assert_eq!(paper("  o1 "), Color::Rgb(0xc0, 0x78, 0x20));
    assert_eq!(paper("  main "), Color::Reset);
    assert_eq!(paper("!! api → other"), Color::Rgb(0xff, 0x90, 0x90));
    assert_eq!(paper("app → main"), Color::Reset);
}

#[test]
fn without_colours_everything_is_said_in_words() {
    let buffer = drawn(&model(), Palette::Plain, 120, 30);
    for cell in &buffer.content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    let text = text(&buffer);
    assert!(text.contains("!! api → other"), "{text}");
    assert!(text.contains("web2           UP 2/3"), "{text}");
    assert!(text.contains("1.54 M"), "{text}");
}

#[test]
fn any_size_can_be_drawn() {
    let mut model = model();
    model.hear(event("notice", "something"), model.now);
    model.step(0);
    let situations = [
        Mode::Looking,
        Mode::Helping,
        Mode::Filtering,
        Mode::Weighing {
            server: "a/b".into(),
            typed: "5".into(),
        },
    ];
    for situation in situations {
        model.mode = situation;
        for columns in [1, 2, 3, 7, 19, 20, 21, 40, 300] {
            for rows in 1..16 {
                drawn(&model, Palette::Xterm, columns, rows);
            }
        }
    }
    drawn(&Model::new("/s".into()), Palette::Full, 20, 5);
}

#[test]
fn what_is_worst_has_the_room_that_there_is() {
    let mut model = model();
    model.step(0);
    let text = shown(&model, 20, 5);
    assert!(
        text.starts_with("2 of 4 servers are n\n!! api → other: no s\n"),
        "{text}"
    );
    // More lines than there is room for: those not as usual are first, and the rest is counted.
    let route = model.snapshot.as_ref().unwrap().routes[1].clone();
    let routes = &mut model.snapshot.as_mut().unwrap().routes;
    routes.rotate_left(1);
    routes.extend((0..20).map(|_| route.clone()));
    let text = shown(&model, 80, 24);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("!! api → other"), "{text}");
    assert_eq!(lines[7], "… 22 frontends in all");
}

#[test]
fn a_question_and_an_answer_stand_at_the_bottom() {
    let mut model = model();
    let last = |model: &Model| shown(model, 80, 24).lines().last().unwrap().to_owned();
    model.mode = Mode::Confirming {
        question: "Drain main/web1: no new sessions?".into(),
        command: String::new(),
    };
    assert_eq!(last(&model), "Drain main/web1: no new sessions? y/n");
    model.mode = Mode::Looking;
    let command = "set server main/web1 state drain".to_owned();
    let denied = Ok("Permission denied\n\n".to_owned());
    model.hear(Told::Answered(command, denied), model.now);
    assert_eq!(
        last(&model),
        "set server main/web1 state drain: Permission denied"
    );
    let buffer = drawn(&model, Palette::Full, 80, 24);
    let red = Color::Rgb(0xff, 0x90, 0x90);
    assert_eq!(colours(&buffer, "Permission denied").1, red);
    model.said = None;
    model.filter = "web".into();
    model.order = Order::Trouble;
    assert!(last(&model).starts_with("/web · servers in trouble first · d drain"));
}

#[test]
fn a_process_that_is_gone_is_told_and_what_was_stays() {
    let mut model = model();
    model.now += Duration::from_secs(7);
    model.hear(
        Told::Looked(Err(io::ErrorKind::ConnectionRefused.into())),
        model.now,
    );
    let text = shown(&model, 100, 24);
    let first = "What is shown is 7 s old; asking again: /run/backstop.sock: connection refused";
    assert_eq!(text.lines().next(), Some(first));
    assert!(text.contains("web1"), "{text}");
    model.hear(Told::NoEvents("Permission denied".into()), model.now);
    assert!(shown(&model, 100, 24).contains("show events: Permission denied"));
}

#[test]
fn what_servers_answer_cannot_steer_the_terminal() {
    let mut model = model();
    model.hear(event("notice", "\x1b[2J\x07evil\r\n"), model.now);
    let text = shown(&model, 80, 24) + &plain(&model, 80);
    assert!(text.contains("evil"), "{text}");
    let mut others = text.chars().filter(|&c| c.is_control() && c != '\n');
    assert_eq!(others.next(), None);
}

#[test]
fn a_print_has_every_row_and_no_keys() {
    let mut model = model();
    model.hear(event("notice", "something"), model.now);
    let printed = plain(&model, 120);
    for word in ["api →", "spare (backup)", "MAINT", "12:03:04 something"] {
        assert!(printed.contains(word), "no {word} in\n{printed}");
    }
    assert!(!printed.contains("drain"), "{printed}");
    assert_eq!(printed.lines().count(), 1 + 3 + 9 + 2);
}
