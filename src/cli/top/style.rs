//! Colours: `HAProxy`'s, as on the stats page, as far as the terminal has them.

use std::env;

use ratatui::style::{Color, Modifier, Style};

use crate::admin::row::Standing;
use crate::admin::style::Colour;

/// What colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    /// None: everything is said in words and signs.
    Plain,
    /// The 256 of xterm.
    Xterm,
    /// All.
    Full,
}

impl Palette {
    /// What `NO_COLOR`, `TERM` and `COLORTERM` say.
    pub(super) fn of_environment() -> Self {
        let variable = |name| env::var(name).unwrap_or_default();
        Self::of(
            &variable("NO_COLOR"),
            &variable("TERM"),
            &variable("COLORTERM"),
        )
    }

    fn of(no_color: &str, term: &str, colorterm: &str) -> Self {
        let is_mono = matches!(term, "dumb" | "linux-m" | "vt100" | "vt102" | "vt220");
        if !no_color.is_empty() || is_mono {
            Self::Plain
        } else if matches!(colorterm, "truecolor" | "24bit") {
            Self::Full
        } else {
            Self::Xterm
        }
    }

    /// Dark text on the colour of a row.
    pub(super) fn row(self, standing: Standing, backup: bool) -> Style {
        self.on(Colour::of(standing, backup).light)
    }

    /// What has gone wrong.
    pub(super) fn bad(self) -> Style {
        let plain = Style::new().add_modifier(Modifier::BOLD);
        self.on(Colour::of(Standing::Down, false).light)
            .patch(plain)
    }

    /// What is not as usual.
    pub(super) fn warn(self) -> Style {
        self.on(Colour::of(Standing::GoingUp, false).light)
    }

    fn on(self, paper: u32) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Xterm => Style::new().fg(Color::Indexed(16)).bg(nearest(paper)),
            Self::Full => Style::new()
                .fg(Color::Rgb(0, 0, 0))
                .bg(Color::from_u32(paper)),
        }
    }
}

/// Of xterm's cube of 6 × 6 × 6 colours, whose steps are 0, 95, 135, 175, 215 and 255.
fn nearest(colour: u32) -> Color {
    const STEPS: [u32; 6] = [0, 95, 135, 175, 215, 255];
    let index = |shift: u32| {
        let value = colour >> shift & 0xff;
        let nearest = (0..STEPS.len()).min_by_key(|&step| STEPS[step].abs_diff(value));
        nearest.unwrap_or(0) as u8
    };
    Color::Indexed(16 + 36 * index(16) + 6 * index(8) + index(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_says_which_colours_it_has() {
        assert_eq!(Palette::of("1", "xterm", "truecolor"), Palette::Plain);
        assert_eq!(Palette::of("", "dumb", ""), Palette::Plain);
        assert_eq!(Palette::of("", "xterm-256color", ""), Palette::Xterm);
        assert_eq!(Palette::of("", "xterm", "truecolor"), Palette::Full);
    }

    #[test]
    fn colours_are_the_nearest_of_the_cube() {
        assert_eq!(nearest(0xff_ff_ff), Color::Indexed(231));
        assert_eq!(nearest(0), Color::Indexed(16));
        // #ff8787 for HAProxy's red, #ff9090.
        assert_eq!(nearest(0xff_90_90), Color::Indexed(210));
    }
}
