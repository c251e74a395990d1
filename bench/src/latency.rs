//! The report on the time of single calls: two tables, one of malloc and one of free, and the longest calls of hakmem.

use std::{fmt::Write as _, io, path::Path};

use comfy_table::{presets, CellAlignment, Table};

use crate::{
    report::{self, Comparison},
    stats::Summary,
    workloads::latency::{Calls, Latency, Quantiles, Slow},
};

type Side = fn(&Latency) -> &Calls;
const SIDES: [(&str, Side); 2] = [("malloc", |l| &l.malloc), ("free", |l| &l.free)];

const FIGURES: [fn(&Quantiles) -> f64; 5] = [|q| q.p50, |q| q.p99, |q| q.p999, |q| q.p9999, |q| q.max];
const HEADER: [&str; 14] = [
    "allocator",
    "p50",
    "p99",
    "p99.9",
    "p99.99",
    "max",
    "q p99.9",
    "q p99.99",
    "q max",
    "preempted",
    "> 1 ms",
    "own > 1 ms",
    "Mops/s",
    "RSS MiB",
];

/// 12 ns, 3.4 us, 1.2 ms.
fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Summary::of(values).map_or(f64::NAN, |summary| summary.median)
}

pub fn tables(comparison: &Comparison) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "\nTimes of single calls, medians of {} rounds, but the largest of each maximum. \"q\": quiet, without calls in which\n\
         the thread was preempted; \"> 1 ms\": quiet calls above a millisecond, in all rounds; \"own\": those of them that\n\
         neither took a page fault nor are for blocks above 2 MiB. RSS is the peak. The timer's own time is in every figure.",
        comparison.rounds()
    );
    for (index, case) in comparison.cases.iter().enumerate() {
        let _ = writeln!(out, "\n{}", report::heading(case));
        for (name, side) in SIDES {
            let _ = writeln!(out, "\n{name}\n{}", table(comparison, index, side));
        }
        timer(&mut out, comparison, index);
        slowest(&mut out, comparison, index);
    }
    out
}

/// The latencies of a contestant, of all rounds.
fn latencies(comparison: &Comparison, case: usize, contestant: usize) -> Vec<&Latency> {
    let all = comparison.measurements(case, contestant);
    all.filter_map(|(_, m)| m.latency.as_ref()).collect()
}

fn table(comparison: &Comparison, case: usize, side: Side) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(HEADER);
    let rows = comparison.rows(case);
    for (index, contestant) in comparison.contestants.iter().enumerate() {
        let calls: Vec<&Calls> = latencies(comparison, case, index).into_iter().map(side).collect();
        if calls.is_empty() {
            continue;
        }
        let of = |quantiles: fn(&Calls) -> &Quantiles, figure: usize| {
            let values = calls.iter().map(|calls| FIGURES[figure](quantiles(calls)));
            time(if figure == 4 {
                values.fold(0.0, f64::max)
            } else {
                median(values)
            })
        };
        let mut cells = vec![contestant.label()];
        cells.extend((0..5).map(|figure| of(|calls| &calls.all, figure)));
        cells.extend((2..5).map(|figure| of(|calls| &calls.undisturbed, figure)));
        let own: u64 = calls.iter().map(|calls| calls.above_ms_own).sum();
        let system: u64 = calls.iter().map(|calls| calls.above_ms_system).sum();
        cells.push(calls.iter().map(|calls| calls.preempted).sum::<u64>().to_string());
        cells.extend([(own + system).to_string(), own.to_string()]);
        let row = rows.iter().find(|row| row.contestant == index);
        cells.push(row.map_or_else(String::new, |row| report::significant(row.mops.median)));
        cells.push(row.map_or_else(String::new, |row| format!("{:.1}", row.peak_rss_kib / 1024.0)));
        table.add_row(cells);
    }
    for column in 1..HEADER.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn timer(out: &mut String, comparison: &Comparison, case: usize) {
    let all: Vec<&Quantiles> = (0..comparison.contestants.len())
        .flat_map(|index| latencies(comparison, case, index))
        .map(|latency| &latency.timer)
        .collect();
    let figures = FIGURES.map(|figure| time(median(all.iter().map(|q| figure(q)))));
    let _ = writeln!(
        out,
        "The timer around nothing: p50 {}, p99 {}, p99.9 {}, p99.99 {}, max {}.",
        figures[0], figures[1], figures[2], figures[3], figures[4]
    );
}

fn slowest(out: &mut String, comparison: &Comparison, case: usize) {
    let ours = comparison
        .contestants
        .iter()
        .enumerate()
        .filter(|(_, c)| c.peer == "hakmem");
    let mut all: Vec<&Slow> = ours
        .flat_map(|(index, _)| latencies(comparison, case, index))
        .flat_map(|latency| &latency.slowest)
        .collect();
    if all.is_empty() {
        return;
    }
    all.sort_by(|a, b| b.ns.total_cmp(&a.ns));
    let _ = writeln!(out, "\nhakmem's longest calls that were not preempted, of all rounds:");
    for slow in all.iter().take(12) {
        let _ = writeln!(
            out,
            "  {:>9}  {:<6} {:>8} bytes, {} page faults, {} waits",
            time(slow.ns),
            if slow.free { "free" } else { "malloc" },
            slow.bytes,
            slow.faults,
            slow.waits
        );
    }
}

pub const CSV_HEADER: [&str; 16] = [
    "case",
    "round",
    "label",
    "call",
    "which",
    "calls",
    "p50_ns",
    "p99_ns",
    "p99_9_ns",
    "p99_99_ns",
    "max_ns",
    "preempted",
    "above_1_ms",
    "own_above_1_ms",
    "mops",
    "peak_rss_kib",
];

/// Two lines for each run and call: all of them, and without those that were preempted.
pub fn write_csv(comparison: &Comparison, path: &Path) -> io::Result<()> {
    let mut csv = csv::Writer::from_path(path)?;
    csv.write_record(CSV_HEADER)?;
    for run in &comparison.runs {
        let Ok(m) = &run.result else { continue };
        let Some(latency) = &m.latency else { continue };
        for (name, side) in SIDES {
            let calls = side(latency);
            for (which, quantiles) in [("all", &calls.all), ("quiet", &calls.undisturbed)] {
                let mut record = vec![
                    comparison.cases[run.case].name.clone(),
                    run.round.to_string(),
                    comparison.contestants[run.contestant].label(),
                    name.into(),
                    which.into(),
                    quantiles.calls.to_string(),
                ];
                record.extend(FIGURES.map(|figure| format!("{:.0}", figure(quantiles))));
                record.extend([
                    calls.preempted.to_string(),
                    (calls.above_ms_own + calls.above_ms_system).to_string(),
                    calls.above_ms_own.to_string(),
                    format!("{:.6}", m.mops()),
                    m.peak_rss_kib.to_string(),
                ]);
                csv.write_record(&record)?;
            }
        }
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time(12.4), "12 ns");
        assert_eq!(time(3450.0), "3.5 us");
        assert_eq!(time(1.234e6), "1.23 ms");
    }
}
