//! Where each frontend's new sessions go, and why, in the words of the stats page.

use std::time::Duration;

use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::super::model::Model;
use super::super::snapshot::{RouteLine, Way};
use super::super::style::Palette;
use crate::admin::figures;

/// The lines of all frontends, `most` at most and one for those that are left out. When not all
/// have room, those that are not as usual come first.
pub(super) fn lines(
    model: &Model,
    palette: Palette,
    columns: u16,
    most: u16,
) -> Vec<Line<'static>> {
    let Some(snapshot) = &model.snapshot else {
        return Vec::new();
    };
    let mut frontends: Vec<_> = snapshot.routes.iter().collect();
    let most = usize::from(most);
    let mut lines = all(&frontends, palette, columns);
    if lines.len() > most {
        frontends.sort_by_key(|frontend| rank(frontend));
        lines = all(&frontends, palette, columns);
        lines.truncate(most);
        // What is left out is said, unless that would be all there is.
        if most > 1 {
            let shown = most - 1;
            lines.truncate(shown);
            let text = format!("… {} frontends in all", frontends.len());
            lines.push(Line::raw(text));
        }
    }
    lines
}

fn rank(frontend: &RouteLine) -> u8 {
    match &*frontend.usual {
        "bad" => 0,
        "warn" => 1,
        _ => 2,
    }
}

fn all(frontends: &[&RouteLine], palette: Palette, columns: u16) -> Vec<Line<'static>> {
    let lines = frontends.iter().flat_map(|frontend| {
        let (sign, style) = match &*frontend.usual {
            "bad" => ("!! ", palette.bad()),
            "warn" => ("! ", palette.warn()),
            _ => ("", Style::new()),
        };
        let some = frontend.for_some.iter().map(move |way| {
            let (name, because) = (&frontend.frontend, &way.because);
            let words = format!("{name} → {}, for some clients: {because}", to(way));
            Line::raw(words)
        });
        let own = own(frontend, sign, columns.into());
        let own = own.into_iter().map(move |words| Line::styled(words, style));
        some.chain(own)
    });
    lines.collect()
}

/// One line if there is room, else two.
fn own(frontend: &RouteLine, sign: &str, columns: usize) -> Vec<String> {
    let where_to = match &frontend.otherwise {
        Some(way) => to(way),
        None => "refused".to_owned(),
    };
    let otherwise = if frontend.for_some.is_empty() {
        ""
    } else {
        " otherwise"
    };
    let head = format!("{sign}{}{otherwise} → {where_to}", frontend.frontend);
    let why = format!("because {}{}", frontend.because, since(frontend));
    if head.chars().count() + why.chars().count() + 2 <= columns {
        return vec![format!("{head}, {why}")];
    }
    vec![head, format!("   {why}")]
}

fn to(way: &Way) -> String {
    format!("{}: {}", way.backend, way.servers)
}

fn since(frontend: &RouteLine) -> String {
    let (Some(since), Some(age)) = (&frontend.since, frontend.age) else {
        return String::new();
    };
    let clock = since.get(11..19).unwrap_or(since);
    let age = figures::age(Duration::from_secs(age));
    format!(", since {clock}, for {age}")
}

/// The style of a heading.
pub(super) fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
}
