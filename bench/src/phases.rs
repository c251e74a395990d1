//! The report on workloads in phases: a line for each phase, a column for each contestant; and hakmem's settings as
//! contestants, of which the learned one is compared with the fixed ones.

use std::{fmt::Write as _, io, path::Path};

use comfy_table::{presets, CellAlignment, Table};

use crate::{
    report::{self, Comparison},
    runner::{Contestant, Field},
    stats::Summary,
    workloads::phases::Phase,
};

/// Turns learning on and off, and multiplies the capacities by a power of two while it is off.
const LEARN: &str = "HAKMEM_ACE_LEARN";
const SHIFT: &str = "HAKMEM_ACE_SHIFT";
const SHIFTS: std::ops::RangeInclusive<i32> = -3..=3;

const LEARNED: &str = "learned";

/// hakmem with learning, and with each of the fixed settings; with learning once more, for the noise.
pub fn settings() -> Field {
    let learned = Contestant {
        name: Some(LEARNED.into()),
        env: vec![(LEARN, "1".into())],
        ..Contestant::of("hakmem")
    };
    let fixed = SHIFTS.map(|shift| Contestant {
        name: Some(match shift {
            ..0 => format!("x1/{}", 1 << -shift),
            0.. => format!("x{}", 1 << shift),
        }),
        env: vec![(LEARN, "0".into()), (SHIFT, shift.to_string())],
        ..Contestant::of("hakmem")
    });
    let again = Contestant {
        again: true,
        ..learned.clone()
    };
    Field {
        contestants: std::iter::once(learned).chain(fixed).chain([again]).collect(),
        absent: Vec::new(),
    }
}

fn is_fixed(contestant: &Contestant) -> bool {
    contestant.name.as_deref().is_some_and(|name| name != LEARNED)
}

/// Medians over the rounds of one contestant's phases: millions of operations a second, and MiB at the end.
fn medians(comparison: &Comparison, case: usize, contestant: usize, phase: usize) -> Option<(f64, f64)> {
    let of = |figure: fn(&Phase) -> f64| {
        let all = comparison.measurements(case, contestant);
        let values = all.filter_map(|(_, m)| m.phases.get(phase)).map(figure);
        Some(Summary::of(values)?.median)
    };
    let mops = of(|phase| phase.ops as f64 / phase.seconds.max(1e-9) / 1e6)?;
    Some((mops, of(|phase| phase.rss_kib as f64 / 1024.0)?))
}

fn names(comparison: &Comparison, case: usize) -> Vec<String> {
    let first = (0..comparison.contestants.len()).find_map(|c| comparison.measurements(case, c).next());
    first.map_or_else(Vec::new, |(_, m)| {
        m.phases.iter().map(|phase| phase.name.clone()).collect()
    })
}

/// Two tables for each case that has phases: speed and memory.
pub fn tables(comparison: &Comparison) -> String {
    let mut out = String::new();
    for (case, what) in comparison.cases.iter().enumerate() {
        let names = names(comparison, case);
        if names.is_empty() {
            continue;
        }
        let figures: Vec<Vec<Option<(f64, f64)>>> = (0..names.len())
            .map(|phase| {
                let all = 0..comparison.contestants.len();
                all.map(|contestant| medians(comparison, case, contestant, phase))
                    .collect()
            })
            .collect();
        let _ = writeln!(out, "\n{}", report::heading(what));
        speeds(&mut out, comparison, &names, &figures);
        let _ = writeln!(out, "\nRSS in MiB at the end of each phase, and its peak");
        let mut lines: Vec<Line> = names
            .iter()
            .zip(&figures)
            .map(|(name, figures)| (name.clone(), figures.iter().map(|f| Some(f.as_ref()?.1)).collect()))
            .collect();
        let peaks = (0..comparison.contestants.len()).map(|contestant| {
            let all = comparison.measurements(case, contestant);
            Some(Summary::of(all.map(|(_, m)| m.peak_rss_kib as f64 / 1024.0))?.median)
        });
        lines.push(("peak".into(), peaks.collect()));
        let _ = writeln!(out, "{}", table(comparison, &lines, 1));
    }
    out
}

type Line = (String, Vec<Option<f64>>);

fn speeds(out: &mut String, comparison: &Comparison, names: &[String], figures: &[Vec<Option<(f64, f64)>>]) {
    let fixed: Vec<usize> = (0..comparison.contestants.len())
        .filter(|&c| is_fixed(&comparison.contestants[c]))
        .collect();
    let _ = match fixed[..] {
        [] => writeln!(out, "Mops/s in each phase"),
        _ => writeln!(out, "Speed in each phase, relative to the best fixed setting of it"),
    };
    let mut lines: Vec<Line> = Vec::new();
    for (name, figures) in names.iter().zip(figures) {
        let mops = |c: usize| figures[c].as_ref().map(|f| f.0);
        let best = fixed.iter().filter_map(|&c| mops(c)).fold(f64::NAN, f64::max);
        let scale = if fixed.is_empty() { 1.0 } else { best };
        let values = (0..figures.len()).map(|c| mops(c).map(|mops| mops / scale));
        lines.push((name.clone(), values.collect()));
    }
    if !fixed.is_empty() {
        let mean = |c: usize| {
            let logs: Option<Vec<f64>> = lines.iter().map(|(_, values)| values[c].map(f64::ln)).collect();
            let logs = logs.filter(|logs| !logs.is_empty())?;
            Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        let means = (0..comparison.contestants.len()).map(mean).collect();
        lines.push(("geometric mean".into(), means));
    }
    let _ = writeln!(out, "{}", table(comparison, &lines, 2));
}

fn table(comparison: &Comparison, lines: &[Line], digits: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    let labels = comparison.contestants.iter().map(Contestant::label);
    table.set_header(std::iter::once("phase".to_owned()).chain(labels));
    for (name, values) in lines {
        let values = values.iter().map(|v| v.map_or("-".into(), |v| format!("{v:.digits$}")));
        table.add_row(std::iter::once(name.clone()).chain(values));
    }
    for column in 1..=comparison.contestants.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub const CSV_HEADER: [&str; 9] = [
    "workload",
    "case",
    "round",
    "label",
    "phase",
    "ops",
    "seconds",
    "rss_kib",
    "peak_rss_kib",
];

/// One line for each phase of each run.
pub fn write_csv(comparison: &Comparison, path: &Path) -> io::Result<()> {
    let mut csv = csv::Writer::from_path(path)?;
    csv.write_record(CSV_HEADER)?;
    for run in &comparison.runs {
        let case = &comparison.cases[run.case];
        for phase in run.result.iter().flat_map(|m| &m.phases) {
            csv.write_record([
                case.workload.clone(),
                case.name.clone(),
                run.round.to_string(),
                comparison.contestants[run.contestant].label(),
                phase.name.clone(),
                phase.ops.to_string(),
                format!("{:.6}", phase.seconds),
                phase.rss_kib.to_string(),
                run.result.as_ref().map_or(0, |m| m.peak_rss_kib).to_string(),
            ])?;
        }
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{runner::Run, workloads};

    #[test]
    fn the_learned_setting_is_compared_with_the_best_fixed_one_of_each_phase() {
        let contestants = settings().contestants;
        let labels: Vec<String> = contestants.iter().map(Contestant::label).collect();
        let expected = [
            "learned",
            "x1/8",
            "x1/4",
            "x1/2",
            "x1",
            "x2",
            "x4",
            "x8",
            "learned (again)",
        ];
        assert_eq!(labels, expected);
        assert_eq!(contestants[1].env, [(LEARN, "0".into()), (SHIFT, "-3".into())]);
        let phase = |name: &str, ops| Phase {
            name: name.into(),
            ops,
            seconds: 1.0,
            rss_kib: 3 << 10,
        };
        let runs = (0..contestants.len()).map(|contestant| Run {
            case: 0,
            contestant,
            round: 0,
            position: contestant,
            result: Ok(crate::worker::Measurement {
                seconds: 2.0,
                allocs: 10,
                frees: 10,
                peak_rss_kib: 5 << 10,
                phases: vec![
                    phase("up", 100 * (contestant as u64 + 1)),
                    phase("down", 1000 / (contestant as u64 + 1)),
                ],
                ..Default::default()
            }),
        });
        let request = workloads::Request::default();
        let comparison = Comparison {
            cases: workloads::phased::WORKLOAD.cases(&request).unwrap(),
            runs: runs.collect(),
            contestants,
        };
        let text = tables(&comparison);
        let row = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("│ {name}")))
                .unwrap();
            line.split_whitespace()
                .skip(2)
                .take(8)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // 100 of 800, 200 of 800; 1000 of 500, 500 of 500.
        assert_eq!(
            row("up"),
            ["0.12", "0.25", "0.37", "0.50", "0.62", "0.75", "0.88", "1.00"],
            "{text}"
        );
        assert_eq!(row("down")[..2], ["2.00", "1.00"], "{text}");
        assert_eq!(row("peak")[0], "5.0", "{text}");
        let memory = text.split("RSS in MiB").nth(1).unwrap();
        assert!(memory.contains("│ up          3.0 "), "{memory}");
    }
}
