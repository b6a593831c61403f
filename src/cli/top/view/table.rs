//! The table of frontends, backends and servers.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Flex, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, HighlightSpacing, StatefulWidget, Table, TableState};

use super::super::model::{Model, Order};
use super::super::snapshot::{Kind, Row};
use super::super::style::Palette;
use super::routes::heading;
use crate::admin::figures;
use crate::admin::row::Standing;

/// The least room for names.
const NAME: u16 = 14;

/// Stands before the chosen row.
const CHOSEN: &str = "> ";

/// A column after the names.
struct Column {
    title: &'static str,
    width: u16,
    /// Those with high numbers are the first to be left out.
    rank: u8,
    value: fn(&Row) -> String,
}

const fn column(title: &'static str, width: u16, rank: u8, value: fn(&Row) -> String) -> Column {
    Column {
        title,
        width,
        rank,
        value,
    }
}

const COLUMNS: [Column; 8] = [
    column("Status", 12, 0, |row| row.status.clone()),
    column("Sess", 7, 2, |row| row.sessions.to_string()),
    column("Rate", 7, 3, |row| row.rate.to_string()),
    column("In/s", 8, 6, |row| flow(row, |(to, _)| to)),
    column("Out/s", 8, 5, |row| flow(row, |(_, from)| from)),
    column("Wght", 5, 7, |row| {
        row.weight.map_or_else(String::new, |w| w.to_string())
    }),
    column("Check", 9, 4, |row| row.check.clone().unwrap_or_default()),
    column("Since", 9, 1, |row| {
        let age = row.changed.map(Duration::from_secs);
        age.map_or_else(String::new, figures::age)
    }),
];

fn flow(row: &Row, pick: fn((u64, u64)) -> u64) -> String {
    row.flow
        .map_or_else(|| "-".to_owned(), |flow| figures::shortened(pick(flow)))
}

/// The columns that have room beside the names.
fn columns(width: u16) -> Vec<&'static Column> {
    let room = width.saturating_sub(NAME + CHOSEN.len() as u16);
    let mut used = 0;
    let mut by_rank: Vec<_> = COLUMNS.iter().collect();
    by_rank.sort_by_key(|column| column.rank);
    by_rank.retain(|column| {
        used += column.width + 1;
        used <= room
    });
    let has_room = |column: &&Column| by_rank.iter().any(|kept| kept.rank == column.rank);
    COLUMNS.iter().filter(has_room).collect()
}

/// The lines of the whole table.
pub(super) fn height(model: &Model) -> u16 {
    u16::try_from(model.rows().len() + 1).unwrap_or(u16::MAX)
}

pub(super) fn draw(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let rows = model.rows();
    let columns = columns(area.width);
    let titles = columns
        .iter()
        .map(|column| Cell::new(aligned(column.title.to_owned(), column)));
    let head = [Cell::new("Name")].into_iter().chain(titles);
    let lines = rows
        .iter()
        .map(|row| table_row(row, model.order, &columns, palette));
    let widths = columns
        .iter()
        .map(|column| Constraint::Length(column.width));
    let names = rows
        .iter()
        .map(|row| name(row, model.order).chars().count());
    let longest = names.max().unwrap_or(0).max(NAME.into());
    let widths = [Constraint::Max(longest as u16)].into_iter().chain(widths);
    let table = Table::new(lines, widths)
        .flex(Flex::Start)
        .header(ratatui::widgets::Row::new(head).style(heading()))
        .highlight_symbol(CHOSEN)
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(model.position(&rows));
    StatefulWidget::render(table, area, buffer, &mut state);
}

fn table_row<'a>(
    row: &Row,
    order: Order,
    columns: &[&Column],
    palette: Palette,
) -> ratatui::widgets::Row<'a> {
    let cells = columns
        .iter()
        .map(|column| Cell::new(aligned((column.value)(row), column)));
    let cells = [Cell::new(name(row, order))].into_iter().chain(cells);
    ratatui::widgets::Row::new(cells).style(style(row, palette))
}

fn name(row: &Row, order: Order) -> String {
    let backup = if row.is_backup() { " (backup)" } else { "" };
    match (row.kind, order) {
        (Kind::Frontend, _) => format!("{} (frontend)", row.proxy),
        (Kind::Backend, _) => row.proxy.clone(),
        (Kind::Server, Order::File) => format!("  {}{backup}", row.name),
        (Kind::Server, _) => format!("{}{backup}", row.path()),
    }
}

fn style(row: &Row, palette: Palette) -> Style {
    let standing = row.standing();
    match row.kind {
        Kind::Server => palette.row(standing, row.is_backup()),
        Kind::Frontend | Kind::Backend => {
            let bold = Style::new().add_modifier(Modifier::BOLD);
            if standing == Standing::Up {
                bold
            } else {
                bold.patch(palette.row(standing, false))
            }
        }
    }
}

/// Numbers stand at the right, words at the left.
fn aligned(text: String, column: &Column) -> Text<'static> {
    let words = matches!(column.title, "Status" | "Check");
    let alignment = if words {
        Alignment::Left
    } else {
        Alignment::Right
    };
    Text::from(Line::from(text).alignment(alignment))
}
