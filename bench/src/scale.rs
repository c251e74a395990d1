//! The same work with more and more threads: throughput, and the processor time that an operation takes.
//!
//! All settings of a workload do the same number of operations, shared among the threads. With as many threads as cores,
//! throughput should have grown with them; with more, the wall time says little, but the processor time for an operation
//! (user and system, of the whole worker) still tells what contention, spinning and the kernel cost.

use std::{fmt::Write as _, path::Path};

use comfy_table::{presets, CellAlignment, Table};
use plotters::{coord::Shift, prelude::*, style::text_anchor::HPos};

use crate::{
    chart::{self, text, Area, Drawn},
    cli::Scale,
    report::{self, cores, significant, Comparison, Row},
    workloads::{self, Case},
};

/// A workload of the others that is scaled.
struct Scaled {
    name: &'static str,
    workload: &'static str,
    variant: &'static str,
    /// Of all threads together.
    ops: u64,
    slots: usize,
}

impl Scaled {
    /// Producers and consumers come in pairs; only in prodcons may one thread be its own partner.
    fn takes(&self, threads: u64) -> bool {
        match self.name {
            "pipe" => threads % 2 == 0,
            "prodcons" => threads == 1 || threads % 2 == 0,
            _ => true,
        }
    }
}

const SCALED: [Scaled; 5] = [
    Scaled {
        name: "own",
        workload: "midlarge",
        variant: "own",
        ops: 4_000_000,
        slots: 2048,
    },
    Scaled {
        name: "shared",
        workload: "midlarge",
        variant: "shared",
        ops: 1_000_000,
        slots: 2048,
    },
    Scaled {
        name: "pipe",
        workload: "midlarge",
        variant: "pipe",
        ops: 1_000_000,
        slots: 2048,
    },
    Scaled {
        name: "larson",
        workload: "larson",
        variant: "all",
        ops: 2_000_000,
        slots: 1000,
    },
    Scaled {
        name: "prodcons",
        workload: "prodcons",
        variant: "symmetric 64 B",
        ops: 2_000_000,
        slots: 512,
    },
];

const THREADS: [u64; 6] = [1, 2, 4, 8, 16, 32];
const QUICK_DIVISOR: u64 = 8;

pub fn names() -> Vec<&'static str> {
    SCALED.iter().map(|scaled| scaled.name).collect()
}

/// The settings asked for, without those that a workload does not take; or why there are none.
pub fn cases(args: &Scale) -> Result<Vec<Case>, String> {
    let threads = if args.threads.is_empty() {
        &THREADS[..]
    } else {
        &args.threads
    };
    let wanted = |name: &str| args.workload.is_empty() || args.workload.iter().any(|w| w == name);
    let quick = if args.common.quick { QUICK_DIVISOR } else { 1 };
    let mut cases = Vec::new();
    for scaled in SCALED.iter().filter(|scaled| wanted(scaled.name)) {
        for &threads in threads.iter().filter(|&&threads| scaled.takes(threads)) {
            cases.push(Case {
                workload: scaled.workload.into(),
                name: format!(
                    "{}, {threads} thread{}",
                    scaled.name,
                    if threads == 1 { "" } else { "s" }
                ),
                variant: scaled.variant.into(),
                threads: threads as usize,
                ops: args.ops.unwrap_or(scaled.ops / quick).div_ceil(threads),
                slots: scaled.slots,
                seed: args.common.seed.unwrap_or(workloads::SEED),
            });
        }
    }
    if cases.is_empty() {
        return Err(format!(
            "--threads {threads:?}: {} needs an even number of threads",
            args.workload.join(" and ")
        ));
    }
    Ok(cases)
}

/// The cases of one workload, with their rows.
struct Series<'a> {
    name: &'static str,
    points: Vec<(&'a Case, Vec<Row>)>,
}

impl Series<'_> {
    fn figure(&self, contestant: usize, figure: Figure) -> impl Iterator<Item = (usize, Option<f64>)> + '_ {
        self.points.iter().map(move |(case, rows)| {
            let row = rows.iter().find(|row| row.contestant == contestant);
            (case.threads, row.map(figure))
        })
    }
}

fn series(comparison: &Comparison) -> Vec<Series<'_>> {
    let all = SCALED.iter().map(|scaled| {
        let cases = comparison.cases.iter().enumerate();
        let own = cases.filter(|(_, case)| (&*case.workload, &*case.variant) == (scaled.workload, scaled.variant));
        Series {
            name: scaled.name,
            points: own.map(|(index, case)| (case, comparison.rows(index))).collect(),
        }
    });
    all.filter(|series| !series.points.is_empty()).collect()
}

/// What is shown of a row.
type Figure = fn(&Row) -> f64;

const FIGURES: [(&str, Figure); 2] = [("Mops/s", |row| row.mops.median), ("processor ns/op", |row| row.cpu_ns)];

/// How a number of threads is headed: more than there are cores are marked.
fn heading(threads: usize) -> String {
    format!("{threads}{}", if threads > cores() { " over" } else { "" })
}

pub fn tables(comparison: &Comparison) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "\nMedians of {} rounds. Columns are numbers of threads; \"over\": oversubscribed, more threads than the {} cores.\n\
         Mops/s is by the wall clock; processor ns/op is user and system time of the whole process for each operation.",
        comparison.rounds(),
        cores()
    );
    for series in series(comparison) {
        for (figure, value) in FIGURES {
            let _ = writeln!(out, "\n{}: {figure}", series.name);
            let mut table = Table::new();
            table.load_preset(presets::UTF8_BORDERS_ONLY);
            let threads = series.points.iter().map(|(case, _)| heading(case.threads));
            table.set_header(std::iter::once("allocator".to_owned()).chain(threads));
            for (index, contestant) in comparison.contestants.iter().enumerate() {
                if contestant.again {
                    continue;
                }
                let values = series.figure(index, value);
                let values = values.map(|(_, value)| value.map_or("-".to_owned(), significant));
                table.add_row(std::iter::once(contestant.label()).chain(values));
            }
            for column in 1..=series.points.len() {
                if let Some(column) = table.column_mut(column) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            let _ = writeln!(out, "{table}");
        }
    }
    out
}

// ---- The chart -----------------------------------------------------------------------------------------------------

const PANEL: (i32, i32) = (520, 300);
const TOP: i32 = 96;
/// Of the plot in its panel.
const MARGIN: (i32, i32, i32, i32) = (64, 36, 24, 36);

const PALETTE: [RGBColor; 7] = [
    RGBColor(120, 128, 136),
    RGBColor(38, 101, 166),
    RGBColor(110, 170, 220),
    RGBColor(60, 145, 80),
    RGBColor(140, 86, 160),
    RGBColor(180, 150, 40),
    RGBColor(190, 70, 100),
];

/// Two panels a workload: throughput and processor time, over the number of threads, which doubles.
pub fn write_svg(comparison: &Comparison, path: &Path) -> Result<(), String> {
    let all = series(comparison);
    let size = (2 * PANEL.0, TOP + PANEL.1 * all.len().max(1) as i32 + 20);
    let area = SVGBackend::new(path, (size.0 as u32, size.1 as u32)).into_drawing_area();
    let drawn = (|| {
        area.fill(&WHITE)?;
        text(&area, "Thread scaling", (20, 16), 20, chart::INK, HPos::Left)?;
        text(&area, &report::machine(), (20, 42), 13, chart::FAINT, HPos::Left)?;
        legend(&area, comparison)?;
        for (line, series) in all.iter().enumerate() {
            for (column, (figure, value)) in FIGURES.into_iter().enumerate() {
                let corner = (column as i32 * PANEL.0, TOP + line as i32 * PANEL.1);
                let title = format!("{}: {figure}", series.name);
                panel(&area, comparison, series, &title, value, corner)?;
            }
        }
        area.present()
    })();
    drawn.map_err(|e: DrawingAreaErrorKind<std::io::Error>| e.to_string())
}

/// The contestants that are drawn, with their colours.
fn coloured(comparison: &Comparison) -> impl Iterator<Item = (usize, &'static str, RGBColor)> + '_ {
    let shown = comparison.contestants.iter().enumerate().filter(|(_, c)| !c.again);
    shown.map(|(index, contestant)| {
        let colour = match contestant.peer {
            "hakmem" => chart::OURS,
            _ => PALETTE[index % PALETTE.len()],
        };
        (index, contestant.peer, colour)
    })
}

fn legend(area: &Area, comparison: &Comparison) -> Drawn {
    for (place, (_, peer, colour)) in coloured(comparison).enumerate() {
        let left = 20 + 120 * place as i32;
        chart::rectangle(area, (left, 72), (left + 18, 76), colour)?;
        text(area, peer, (left + 24, 67), 13, chart::INK, HPos::Left)?;
    }
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend, Shift>,
    comparison: &Comparison,
    series: &Series,
    title: &str,
    value: Figure,
    (left, top): (i32, i32),
) -> Drawn {
    let points = |contestant| series.figure(contestant, value).filter_map(|(t, v)| Some((t, v?)));
    let highest = coloured(comparison)
        .flat_map(|(index, ..)| points(index))
        .map(|(_, value)| value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let (first, last) = series
        .points
        .iter()
        .fold((f64::MAX, f64::MIN), |(first, last), (case, _)| {
            let x = (case.threads as f64).log2();
            (first.min(x), last.max(x))
        });
    let (width, height) = (PANEL.0 - MARGIN.0 - MARGIN.2, PANEL.1 - MARGIN.1 - MARGIN.3);
    let (origin, base) = (left + MARGIN.0, top + MARGIN.1 + height);
    let x = |threads: usize| {
        let share = ((threads as f64).log2() - first) / (last - first).max(1.0);
        origin + (share * f64::from(width)).round() as i32
    };
    let y = |value: f64| base - (value / highest * f64::from(height)).round() as i32;

    text(area, title, (origin, top + 8), 15, chart::INK, HPos::Left)?;
    for part in 0..=4 {
        let value = highest * f64::from(part) / 4.0;
        chart::rectangle(area, (origin, y(value)), (origin + width, y(value) + 1), chart::RULE)?;
        let place = (origin - 8, y(value) - 7);
        text(area, &significant(value), place, 12, chart::FAINT, HPos::Right)?;
    }
    for (case, _) in &series.points {
        let place = (x(case.threads), base + 8);
        text(area, &heading(case.threads), place, 12, chart::FAINT, HPos::Center)?;
    }
    for (index, peer, colour) in coloured(comparison) {
        let line: Vec<(i32, i32)> = points(index).map(|(threads, value)| (x(threads), y(value))).collect();
        let style = colour.stroke_width(if peer == "hakmem" { 3 } else { 2 });
        for &point in &line {
            area.draw(&Circle::new(point, 3, colour.filled()))?;
        }
        area.draw(&PathElement::new(line, style))?;
    }
    Ok(())
}
