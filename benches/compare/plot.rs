//! The figures as bars.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::metric::Metric;
use super::report::Figures;
use super::subjects::Subject;

const SIZE: (u32, u32) = (960, 560);
const GREY: RGBColor = RGBColor(0x57, 0x60, 0x6a);

const SHOWN: [Metric; 6] = [
    Metric::RequestCpu,
    Metric::ConnectionCpu,
    Metric::Bulk64Cpu,
    Metric::Latency99,
    Metric::IdleBytes,
    Metric::ConnectionRate,
];

/// Writes an SVG picture of the medians.
pub(crate) fn write(figures: &Figures, path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.margin(8, 8, 8, 8).split_evenly((2, 3));
    for (panel, metric) in panels.iter().zip(SHOWN) {
        let bars: Vec<_> = Subject::ALL
            .into_iter()
            .filter_map(|subject| Some((subject, figures.median(metric, subject)?)))
            .collect();
        draw(panel, metric, &bars)?;
    }
    root.present()?;
    Ok(())
}

fn draw(
    panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    metric: Metric,
    bars: &[(Subject, f64)],
) -> Result<(), Box<dyn Error>> {
    let (width, height) = panel.dim_in_pixel();
    let title = ("sans-serif", 15).into_font().color(&BLACK);
    panel.draw(&Text::new(metric.title(), (10, 8), title))?;
    let highest = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let step = (height as i32 - 50) / bars.len().max(1) as i32;
    let left = 95;
    let room = f64::from(width as i32 - left - 85);
    for (row, (subject, value)) in (0..).zip(bars) {
        let (top, bottom) = (36 + row * step, 36 + row * step + step * 2 / 3);
        let middle = i32::midpoint(top, bottom);
        let length = (room * value / highest) as i32;
        let colour = match subject {
            Subject::Backstop => RGBColor(0x1f, 0x88, 0x3d),
            Subject::Haproxy | Subject::Nginx => RGBColor(0x54, 0x8c, 0xd0),
            Subject::Direct | Subject::Floor => RGBColor(0xb0, 0xb8, 0xc0),
        };
        panel.draw(&Rectangle::new(
            [(left, top), (left + length.max(1), bottom)],
            colour.filled(),
        ))?;
        let label = ("sans-serif", 12).into_font().color(&GREY);
        let right = label.pos(Pos::new(HPos::Right, VPos::Center));
        panel.draw(&Text::new(subject.name(), (left - 6, middle), right))?;
        let label = ("sans-serif", 12).into_font().color(&BLACK);
        let label = label.pos(Pos::new(HPos::Left, VPos::Center));
        panel.draw(&Text::new(
            metric.show(*value),
            (left + length + 5, middle),
            label,
        ))?;
    }
    Ok(())
}
