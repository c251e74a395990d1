//! The results as a picture: one panel a case, one bar an allocator, as SVG without any font of the system.
//!
//! A bar is the median, the thin line on it goes from the slowest to the fastest run. Panels have scales of their own: the
//! cases differ by more than a factor of ten, the allocators within one are what is to be compared.

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::report::{self, Comparison, Row};

const COLUMNS: usize = 2;
const PANEL_WIDTH: i32 = 520;
const BAR_PITCH: i32 = 26;
const BAR_HEIGHT: i32 = 18;
const PANEL_TOP: i32 = 58;
const PANEL_BOTTOM: i32 = 22;
const TITLE_HEIGHT: i32 = 64;
const FOOT_HEIGHT: i32 = 30;
/// Where bars begin, and how much is kept free to the right of the longest one for its value.
const BAR_LEFT: i32 = 110;
const VALUE_WIDTH: i32 = 150;

pub const INK: RGBColor = RGBColor(33, 37, 41);
pub const FAINT: RGBColor = RGBColor(108, 117, 125);
pub const RULE: RGBColor = RGBColor(222, 226, 230);
pub const OURS: RGBColor = RGBColor(214, 93, 14);
const PEER: RGBColor = RGBColor(92, 128, 168);
const SYSTEM: RGBColor = RGBColor(150, 158, 166);

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the chart. The error is in words, for whoever reads the terminal.
pub fn write_svg(comparison: &Comparison, path: &Path) -> Result<(), String> {
    let bars = comparison.contestants.iter().filter(|c| !c.again).count() as i32;
    let panel_height = PANEL_TOP + bars * BAR_PITCH + PANEL_BOTTOM;
    let lines = comparison.cases.len().div_ceil(COLUMNS) as i32;
    let columns = comparison.cases.len().clamp(1, COLUMNS) as i32;
    let size = (
        (columns * PANEL_WIDTH) as u32,
        (TITLE_HEIGHT + lines * panel_height + FOOT_HEIGHT) as u32,
    );
    let area = SVGBackend::new(path, size).into_drawing_area();
    let result = (|| {
        area.fill(&WHITE)?;
        let title = "Allocators compared: millions of operations a second, more is better";
        text(&area, title, (20, 16), 20, INK, HPos::Left)?;
        text(&area, &report::machine(), (20, 42), 13, FAINT, HPos::Left)?;
        for index in 0..comparison.cases.len() {
            let left = (index % COLUMNS) as i32 * PANEL_WIDTH;
            let top = TITLE_HEIGHT + (index / COLUMNS) as i32 * panel_height;
            panel(&area, comparison, index, (left, top), panel_height)?;
        }
        let foot = format!(
            "Bars: medians of {} rounds; thin lines: slowest to fastest run; MiB: peak memory. Each panel has its own scale.",
            comparison.rounds()
        );
        text(
            &area,
            &foot,
            (20, size.1 as i32 - FOOT_HEIGHT + 6),
            12,
            FAINT,
            HPos::Left,
        )?;
        area.present()
    })();
    result.map_err(|e| e.to_string())
}

pub type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn panel(area: &Area, comparison: &Comparison, index: usize, (left, top): (i32, i32), height: i32) -> Drawn {
    let case = &comparison.cases[index];
    let rows = comparison.rows(index);
    rectangle(area, (left + 20, top), (left + PANEL_WIDTH - 20, top + 1), RULE)?;
    text(area, &case.name, (left + 20, top + 12), 16, INK, HPos::Left)?;
    let mut about = format!(
        "{} operations a thread, {} slots",
        report::grouped(case.ops),
        case.slots
    );
    if case.threads > report::cores() {
        about += &format!(", oversubscribed ({} cores)", report::cores());
    }
    text(area, &about, (left + 20, top + 33), 12, FAINT, HPos::Left)?;
    let room = f64::from(PANEL_WIDTH - BAR_LEFT - VALUE_WIDTH);
    let longest = rows.iter().map(|row| row.mops.max).fold(f64::MIN_POSITIVE, f64::max);
    let x = |mops: f64| left + BAR_LEFT + (room * mops / longest).round() as i32;
    if rows.is_empty() {
        let place = (left + PANEL_WIDTH / 2, top + height / 2);
        text(area, "no run succeeded", place, 13, FAINT, HPos::Center)?;
    }
    for (line, row) in rows.iter().enumerate() {
        bar(
            area,
            comparison,
            row,
            top + PANEL_TOP + line as i32 * BAR_PITCH,
            left,
            &x,
        )?;
    }
    Ok(())
}

fn bar(area: &Area, comparison: &Comparison, row: &Row, top: i32, left: i32, x: &impl Fn(f64) -> i32) -> Drawn {
    let peer = comparison.contestants[row.contestant].peer;
    let colour = match peer {
        "hakmem" => OURS,
        "system" => SYSTEM,
        _ => PEER,
    };
    let middle = top + BAR_HEIGHT / 2;
    let label = if peer == "hakmem" { OURS } else { INK };
    text(area, peer, (left + BAR_LEFT - 8, top + 2), 13, label, HPos::Right)?;
    rectangle(
        area,
        (left + BAR_LEFT, top),
        (x(row.mops.median), top + BAR_HEIGHT),
        colour,
    )?;
    rectangle(area, (x(row.mops.min), middle), (x(row.mops.max), middle + 1), INK)?;
    for end in [row.mops.min, row.mops.max] {
        rectangle(area, (x(end), middle - 3), (x(end) + 1, middle + 4), INK)?;
    }
    let value = format!("{:.1}", row.mops.median);
    let memory = format!("{:.0} MiB", row.peak_rss_kib / 1024.0);
    let after = x(row.mops.max.max(row.mops.median)) + 8;
    text(area, &value, (after, top + 2), 13, INK, HPos::Left)?;
    text(
        area,
        &memory,
        (left + PANEL_WIDTH - 24, top + 3),
        12,
        FAINT,
        HPos::Right,
    )
}

pub fn rectangle(area: &Area, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
    area.draw(&Rectangle::new([from, to], colour.filled()))
}

pub fn text(area: &Area, words: &str, at: (i32, i32), size: i32, colour: RGBColor, align: HPos) -> Drawn {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&colour)
        .pos(Pos::new(align, VPos::Top));
    area.draw_text(words, &style, at)
}
