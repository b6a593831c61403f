//! The page's colours and its style sheet.
//!
//! In the light scheme the colours are HAProxy's (`src/stats-html.c`), which users know by
//! heart. The dark ones keep the hue, dark enough for light text.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::embedded::Embedded;
use super::row::Standing;

/// The colour of a row.
#[derive(Debug)]
pub struct Colour {
    /// The class of the row.
    pub class: &'static str,
    /// What the legend says.
    pub meaning: &'static str,
    /// The paper of the light scheme, as 0xRRGGBB.
    pub light: u32,
    dark: u32,
}

const fn colour(class: &'static str, meaning: &'static str, light: u32, dark: u32) -> Colour {
    Colour {
        class,
        meaning,
        light,
        dark,
    }
}

const UP: Colour = colour("up", "active UP", 0xc0_ff_c0, 0x14_53_2d);
const BACKUP_UP: Colour = colour("bup", "backup UP", 0xb0_d0_ff, 0x1e_3f_73);
const GOING_DOWN: Colour = colour("gd", "active UP, going down", 0xff_ff_a0, 0x5f_5a_00);
const BACKUP_GOING_DOWN: Colour = colour("bgd", "backup UP, going down", 0xc0_60_ff, 0x5b_1a_94);
const GOING_UP: Colour = colour("gu", "active DOWN, going up", 0xff_d0_20, 0x86_46_00);
const BACKUP_GOING_UP: Colour = colour("bgu", "backup DOWN, going up", 0xff_80_ff, 0x82_1c_7a);
const DOWN: Colour = colour("down", "active or backup DOWN", 0xff_90_90, 0x8b_1a_1a);
const UNCHECKED: Colour = colour("nc", "not checked", 0xe0_e0_e0, 0x3d_44_4b);
const MAINTENANCE: Colour = colour("mt", "in maintenance", 0xc0_78_20, 0x6e_42_10);
const DRAIN: Colour = colour("dr", "active, no new sessions", 0x20_a0_ff, 0x0a_58_96);
const BACKUP_DRAIN: Colour = colour("bdr", "backup, no new sessions", 0xcc_99_00, 0x6b_50_00);

/// Every colour, in the order of the legend.
pub const COLOURS: [Colour; 11] = [
    UP,
    BACKUP_UP,
    GOING_DOWN,
    BACKUP_GOING_DOWN,
    GOING_UP,
    BACKUP_GOING_UP,
    DOWN,
    UNCHECKED,
    MAINTENANCE,
    DRAIN,
    BACKUP_DRAIN,
];

const LIGHT_INK: u32 = 0x00_00_00;
const DARK_INK: u32 = 0xff_ff_ff;

impl Colour {
    /// The colour of a server.
    pub fn of(standing: Standing, backup: bool) -> &'static Self {
        match (standing, backup) {
            (Standing::Up, false) => &UP,
            (Standing::Up, true) => &BACKUP_UP,
            (Standing::GoingDown, false) => &GOING_DOWN,
            (Standing::GoingDown, true) => &BACKUP_GOING_DOWN,
            (Standing::GoingUp, false) => &GOING_UP,
            (Standing::GoingUp, true) => &BACKUP_GOING_UP,
            (Standing::Down, _) => &DOWN,
            (Standing::Unchecked, _) => &UNCHECKED,
            (Standing::Maintenance, _) => &MAINTENANCE,
            (Standing::Drain, false) => &DRAIN,
            (Standing::Drain, true) => &BACKUP_DRAIN,
        }
    }
}

/// The style sheet of the page.
pub static STYLE: LazyLock<Embedded> = LazyLock::new(|| {
    Embedded::new(format!(
        "{}{}@media (prefers-color-scheme:dark){{{}}}",
        include_str!("style.css"),
        rules(LIGHT_INK, |colour| colour.light),
        rules(DARK_INK, |colour| colour.dark),
    ))
});

fn rules(ink: u32, pick: fn(&Colour) -> u32) -> String {
    COLOURS.iter().fold(String::new(), |mut rules, colour| {
        let (class, paper) = (colour.class, pick(colour));
        let _ = write!(
            rules,
            ".{class}{{background:#{paper:06x};color:#{ink:06x}}}"
        );
        rules
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: u32) -> f64 {
        let channel = |shift: u32| {
            let value = f64::from(colour >> shift & 0xff) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
    }

    fn contrast(one: u32, other: u32) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        for colour in &COLOURS {
            let light = contrast(colour.light, LIGHT_INK);
            let dark = contrast(colour.dark, DARK_INK);
            assert!(light >= 4.5, "{} on light: {light:.1}", colour.meaning);
            assert!(dark >= 4.5, "{} on dark: {dark:.1}", colour.meaning);
        }
    }

    #[test]
    fn the_light_colours_are_those_that_users_know() {
        let known = [
            (Standing::Up, 0xc0_ff_c0, 0xb0_d0_ff),
            (Standing::GoingDown, 0xff_ff_a0, 0xc0_60_ff),
            (Standing::GoingUp, 0xff_d0_20, 0xff_80_ff),
            (Standing::Down, 0xff_90_90, 0xff_90_90),
            (Standing::Unchecked, 0xe0_e0_e0, 0xe0_e0_e0),
            (Standing::Maintenance, 0xc0_78_20, 0xc0_78_20),
            (Standing::Drain, 0x20_a0_ff, 0xcc_99_00),
        ];
        for (standing, active, backup) in known {
            assert_eq!(Colour::of(standing, false).light, active, "{standing:?}");
            assert_eq!(Colour::of(standing, true).light, backup, "{standing:?}");
        }
    }

    #[test]
    fn the_sheet_needs_nothing_from_outside() {
        for outside in ["url(", "@import", "http", "</"] {
            assert!(!STYLE.text.contains(outside), "{outside}");
        }
    }
}
