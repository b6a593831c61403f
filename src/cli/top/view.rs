//! The model drawn. It depends on nothing else, so that it can be tested cell by cell.
//!
//! From top to bottom: a line for the process, one for each frontend ([`routes`]), the table
//! ([`table`]), a line on the chosen row, the last events, and a line for keys and answers.
//! Where there is no room the table and the frontends stay.

mod routes;
mod table;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Widget, Wrap};

use super::keys::KEYS;
use super::model::{Mode, Model};
use super::snapshot::{Happened, Kind, Row};
use super::style::Palette;
use crate::admin::figures;
use crate::admin::row::Standing;

/// Rows with less than this, and events and the line on the chosen row are left out.
const ROOMY: u16 = 10;

/// Events in a print.
const PRINTED_EVENTS: u16 = 10;

/// Draws `model` in `area`.
pub(super) fn draw(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let inner = area.height.saturating_sub(2);
    let routes = routes::lines(model, palette, area.width, (inner / 3).max(1));
    let roomy = inner >= ROOMY;
    let events = events_height(model, inner, routes.len() as u16);
    let parts = Layout::vertical([
        Constraint::Length(u16::from(area.height > 1)),
        Constraint::Length(routes.len() as u16),
        Constraint::Min(0),
        Constraint::Length(u16::from(roomy)),
        Constraint::Length(events),
        Constraint::Length(1),
    ]);
    let [head, ways, rows, chosen, happened, foot] = parts.areas(area);
    draw_head(model, palette, head, buffer);
    Paragraph::new(routes).render(ways, buffer);
    table::draw(model, palette, rows, buffer);
    draw_chosen(model, chosen, buffer);
    draw_events(model, palette, happened, buffer);
    draw_foot(model, palette, foot, buffer);
    if model.mode == Mode::Helping {
        draw_help(area, buffer);
    }
}

/// A quarter of the screen for events, or what the table leaves free.
fn events_height(model: &Model, inner: u16, routes: u16) -> u16 {
    if inner < ROOMY || !model.with_events {
        return 0;
    }
    let rest = inner.saturating_sub(routes + 1);
    rest.saturating_sub(table::height(model))
        .max(inner / 4)
        .max(4)
}

/// All of `model` as text of so many columns, without colours.
pub(super) fn plain(model: &Model, columns: u16) -> String {
    let columns = columns.clamp(40, 500);
    let routes = routes::lines(model, Palette::Plain, columns, u16::MAX);
    let rows = table::height(model);
    let events = PRINTED_EVENTS.min(model.events.len().max(1) as u16) + 1;
    let lines = [1, routes.len() as u16, rows, events];
    let height = lines
        .iter()
        .fold(0, |sum: u16, &part| sum.saturating_add(part));
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, height));
    let parts = Layout::vertical(lines.map(Constraint::Length));
    let [head, ways, table, happened] = parts.areas(buffer.area);
    draw_head(model, Palette::Plain, head, &mut buffer);
    Paragraph::new(routes).render(ways, &mut buffer);
    table::draw(model, Palette::Plain, table, &mut buffer);
    draw_events(model, Palette::Plain, happened, &mut buffer);
    text(&buffer)
}

/// The characters of a buffer, a line for each row.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let row = (buffer.area.left()..buffer.area.right()).map(|x| buffer[(x, y)].symbol());
        text += row.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

fn draw_head(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    if let Some(trouble) = model.trouble() {
        buffer.set_style(area, palette.bad());
        Line::styled(trouble, palette.bad()).render(area, buffer);
        return;
    }
    let Some(snapshot) = &model.snapshot else {
        return Line::raw(format!("Asking {} …", model.socket)).render(area, buffer);
    };
    let process = &snapshot.process;
    let uptime = figures::age(Duration::from_secs(process.uptime));
    let stopping = if process.stopping { " · stopping" } else { "" };
    let reload = match &*process.reload_error {
        "" => "",
        _ => " · the last reload failed",
    };
    let words = format!(
        "{}{stopping}{reload} · {} sessions, {}/s · {} pid {} up {uptime} · {}",
        servers(&snapshot.rows),
        process.sessions,
        process.rate,
        process.node,
        process.pid,
        snapshot.level
    );
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::styled(words, bold).render(area, buffer);
}

/// How many servers cannot be given new sessions, in the words of the stats page.
fn servers(rows: &[Row]) -> String {
    let servers = rows.iter().filter(|row| row.kind == Kind::Server);
    let all = servers.clone().count();
    let out = servers.filter(|row| {
        !matches!(
            row.standing(),
            Standing::Up | Standing::Unchecked | Standing::GoingDown
        )
    });
    match out.count() {
        0 => format!("All {all} servers are available"),
        1 => format!("1 of {all} servers is not available"),
        out => format!("{out} of {all} servers are not available"),
    }
}

/// What there is no column for.
fn draw_chosen(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(row) = model.selected() else {
        return;
    };
    let mut words = row.path();
    let mut add = |word: &str, text: &str| {
        if !text.is_empty() {
            words = format!("{words}{word}{text}");
        }
    };
    add(" at ", row.address.as_deref().unwrap_or_default());
    add(" · ", row.check_desc.as_deref().unwrap_or_default());
    add(": ", row.check_info.as_deref().unwrap_or_default());
    let took = row.check_duration.map(|took| format!("{took}ms"));
    add(" in ", &took.unwrap_or_default());
    let waiting = row.waiting.filter(|&waiting| waiting > 0);
    add(
        " · waiting ",
        &waiting.map_or_else(String::new, |n| n.to_string()),
    );
    Line::styled(words, Style::new().add_modifier(Modifier::BOLD)).render(area, buffer);
}

fn draw_events(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let block = Block::new().borders(Borders::TOP).title("Events (UTC)");
    let inner = block.inner(area);
    block.render(area, buffer);
    if let Some(why) = &model.no_events {
        let text = format!("show events: {why}");
        return Line::styled(text, palette.bad()).render(inner, buffer);
    }
    let skipped = model.events.len().saturating_sub(inner.height.into());
    let last = model.events.iter().skip(skipped);
    let lines: Vec<_> = last.map(|event| event_line(event, palette)).collect();
    Paragraph::new(lines).render(inner, buffer);
}

fn event_line(event: &Happened, palette: Palette) -> Line<'_> {
    let style = match &*event.severity {
        "emerg" | "alert" | "crit" | "err" => palette.bad(),
        "warning" => palette.warn(),
        _ => Style::new(),
    };
    let clock = event.time.get(11..19).unwrap_or(&event.time);
    Line::styled(format!("{clock} {}", event.text), style)
}

fn draw_foot(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let (words, style) = match (&model.mode, &model.said) {
        (Mode::Confirming { question, .. }, _) => (format!("{question} y/n"), palette.warn()),
        (Mode::Weighing { server, typed }, _) => {
            let words = format!("Weight of {server}, 0 to 256 or N%, then Enter: {typed}_");
            (words, palette.warn())
        }
        (Mode::Filtering, _) => (format!("/{}_", model.filter), palette.warn()),
        (_, Some(said)) if said.refused => (said.text.clone(), palette.bad()),
        (_, Some(said)) => (said.text.clone(), Style::new().add_modifier(Modifier::BOLD)),
        _ => (usual_foot(model), Style::new().add_modifier(Modifier::DIM)),
    };
    buffer.set_style(area, style);
    Line::styled(words, style).render(area, buffer);
}

fn usual_foot(model: &Model) -> String {
    let filter = match &*model.filter {
        "" => String::new(),
        filter => format!("/{filter} · "),
    };
    let order = match model.order.words() {
        "" => String::new(),
        words => format!("{words} · "),
    };
    format!(
        "{filter}{order}d drain  m maint  r ready  w weight  e events  / filter  s sort  ? help  q quit"
    )
}

fn draw_help(area: Rect, buffer: &mut Buffer) {
    let lines = KEYS.map(|(key, what)| Line::raw(format!("{key:<12} {what}")));
    let height = (KEYS.len() as u16 + 2).min(area.height);
    let width = 66.min(area.width);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    let block = Block::new().borders(Borders::ALL).title("Keys");
    Paragraph::new(lines.to_vec())
        .wrap(Wrap { trim: false })
        .block(block)
        .render(place, buffer);
}

#[cfg(test)]
mod tests;
