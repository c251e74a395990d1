//! The results in words: a table for each case, and the CSV of every single run.

use std::{fmt::Write as _, io, path::Path};

use comfy_table::{presets, CellAlignment, Table};

use crate::{
    runner::{Contestant, Run},
    stats::{Noise, Summary},
    worker::Measurement,
    workloads::Case,
};

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub cases: Vec<Case>,
    pub contestants: Vec<Contestant>,
    pub runs: Vec<Run>,
}

/// One allocator on one case.
#[derive(Clone, Debug)]
pub struct Row {
    pub contestant: usize,
    /// Millions of operations a second.
    pub mops: Summary,
    pub peak_rss_kib: f64,
    pub minor_faults: f64,
    /// Nanoseconds of processor time for each operation.
    pub cpu_ns: f64,
    /// Empty for allocators that cannot tell.
    pub tiers: String,
}

impl Comparison {
    pub fn measurements(&self, case: usize, contestant: usize) -> impl Iterator<Item = (usize, &Measurement)> {
        self.runs
            .iter()
            .filter(move |run| run.case == case && run.contestant == contestant)
            .filter_map(|run| run.result.as_ref().ok().map(|m| (run.round, m)))
    }

    /// The rows of a case's table: every allocator that has a result, once.
    pub fn rows(&self, case: usize) -> Vec<Row> {
        (0..self.contestants.len())
            .filter(|&contestant| !self.contestants[contestant].again)
            .filter_map(|contestant| {
                let all: Vec<&Measurement> = self.measurements(case, contestant).map(|(_, m)| m).collect();
                let median = |of: fn(&Measurement) -> f64| Summary::of(all.iter().map(|m| of(m))).map(|s| s.median);
                Some(Row {
                    contestant,
                    mops: Summary::of(all.iter().map(|m| m.mops()))?,
                    peak_rss_kib: median(|m| m.peak_rss_kib as f64)?,
                    minor_faults: median(|m| m.minor_faults as f64)?,
                    cpu_ns: median(Measurement::cpu_ns_per_op)?,
                    tiers: tiers(&all),
                })
            })
            .collect()
    }

    /// The fastest median of the allocators that are not ours.
    pub fn best_peer(&self, rows: &[Row]) -> Option<f64> {
        rows.iter()
            .filter(|row| self.contestants[row.contestant].peer != "hakmem")
            .map(|row| row.mops.median)
            .max_by(f64::total_cmp)
    }

    fn median_of(&self, rows: &[Row], peer: &str) -> Option<f64> {
        rows.iter()
            .find(|row| self.contestants[row.contestant].peer == peer)
            .map(|row| row.mops.median)
    }

    /// The allocator that ran twice a round, and how much its two series differ.
    pub fn noise(&self, case: usize) -> Option<(&'static str, Noise)> {
        let again = self.contestants.iter().position(|c| c.again)?;
        let peer = self.contestants[again].peer;
        let first = self.contestants.iter().position(|c| c.peer == peer && !c.again)?;
        let pairs: Vec<(f64, f64)> = self
            .measurements(case, first)
            .filter_map(|(round, a)| {
                let (_, b) = self.measurements(case, again).find(|(other, _)| *other == round)?;
                Some((a.mops(), b.mops()))
            })
            .collect();
        Some((peer, Noise::of(&pairs)?))
    }

    pub fn rounds(&self) -> usize {
        self.runs.iter().map(|run| run.round + 1).max().unwrap_or(0)
    }
}

/// "pool", or with shares when several tiers served: "pool 97%, mid 3%".
fn tiers(all: &[&Measurement]) -> String {
    let mut sums = crate::workloads::Tiers::new();
    for (tier, blocks) in all.iter().flat_map(|m| &m.tiers) {
        *sums.entry(tier.clone()).or_default() += blocks;
    }
    let total: u64 = sums.values().sum();
    let mut sums: Vec<(String, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, blocks)| std::cmp::Reverse(*blocks));
    if let [(tier, _)] = &sums[..] {
        return tier.clone();
    }
    let share = |blocks: u64| 100.0 * blocks as f64 / total as f64;
    let parts: Vec<String> = sums
        .iter()
        .map(|(tier, blocks)| format!("{tier} {:.1}%", share(*blocks)))
        .collect();
    parts.join(", ")
}

/// Processor cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A case's heading: what was run.
pub fn heading(case: &Case) -> String {
    let cores = cores();
    let over = if case.threads > cores {
        format!("; oversubscribed: {} threads on {cores} cores", case.threads)
    } else {
        String::new()
    };
    format!(
        "{}: {}  ({} operations a thread, {} slots, seed {}{over})",
        case.workload,
        case.name,
        grouped(case.ops),
        case.slots,
        case.seed
    )
}

/// 40000 as "40 000".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// With two digits after the point, or with three that are not zero.
pub fn significant(value: f64) -> String {
    let digits = if value >= 0.1 || value <= 0.0 {
        2
    } else {
        (2.0 - value.log10().floor()) as usize
    };
    format!("{value:.digits$}")
}

/// What the numbers were measured on, as far as the system tells.
pub fn machine() -> String {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut parts = vec![format!("{} cores", cores())];
    let cpuinfo = file("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    if let Some((_, model)) = model.and_then(|line| line.split_once(':')) {
        parts.push(model.trim().to_owned());
    }
    let release = file("/proc/sys/kernel/osrelease");
    if !release.trim().is_empty() {
        parts.push(format!("Linux {}", release.trim()));
    }
    let pages = file("/sys/kernel/mm/transparent_hugepage/enabled");
    if let Some((_, rest)) = pages.split_once('[') {
        let mode = rest.split(']').next().unwrap_or_default();
        parts.push(format!("transparent huge pages: {mode}"));
    }
    parts.join(", ")
}

/// A warning when other programs keep the machine busy; None when it is quiet or cannot be known.
pub fn busy() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    let half_of_it = cores() as f64 / 2.0;
    (load > half_of_it).then(|| {
        format!(
            "note: this machine is busy with other work (load {load:.1} on {} cores): results will be noisy",
            cores()
        )
    })
}

/// All tables, with what is needed to read them.
pub fn tables(comparison: &Comparison) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "\nMedians of {} rounds. Speed in millions of operations a second; spread is the distance of the quartiles.\n\
         Peak RSS is the most memory that the process had in RAM, faults are page faults of the timed part.",
        comparison.rounds()
    );
    let _ = writeln!(out, "Versions: {}", versions(comparison));
    for (index, case) in comparison.cases.iter().enumerate() {
        let _ = writeln!(out, "\n{}", heading(case));
        let rows = comparison.rows(index);
        if rows.is_empty() {
            let _ = writeln!(out, "no run succeeded");
            continue;
        }
        let _ = writeln!(out, "{}", table(comparison, &rows));
        if let Some((peer, noise)) = comparison.noise(index) {
            let _ = writeln!(
                out,
                "noise floor: {:.1}% ({peer} against itself: medians; {:.1}% in a typical round)",
                100.0 * noise.medians,
                100.0 * noise.rounds
            );
        }
    }
    out
}

fn table(comparison: &Comparison, rows: &[Row]) -> Table {
    let system = comparison.median_of(rows, "system");
    let best = comparison.best_peer(rows);
    let show_tiers = rows.iter().any(|row| !row.tiers.is_empty());
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    let mut header = vec![
        "allocator",
        "Mops/s",
        "spread",
        "vs system",
        "vs best peer",
        "peak RSS MiB",
        "faults",
    ];
    if show_tiers {
        header.push("served by");
    }
    table.set_header(header);
    for row in rows {
        let ratio = |to: Option<f64>| to.map_or("-".into(), |to| format!("{:.2}x", row.mops.median / to));
        let mut cells = vec![
            comparison.contestants[row.contestant].label(),
            significant(row.mops.median),
            format!("{:.1}%", 100.0 * row.mops.spread()),
            ratio(system),
            ratio(best),
            format!("{:.1}", row.peak_rss_kib / 1024.0),
            format!("{:.0}", row.minor_faults),
        ];
        if show_tiers {
            cells.push(row.tiers.clone());
        }
        table.add_row(cells);
    }
    for column in 1..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn versions(comparison: &Comparison) -> String {
    let mut parts = Vec::new();
    for (index, contestant) in comparison.contestants.iter().enumerate() {
        let version = comparison
            .runs
            .iter()
            .filter(|run| run.contestant == index && !contestant.again)
            .find_map(|run| run.result.as_ref().ok().map(|m| &m.version));
        if let Some(version) = version {
            let preload = contestant.preload.as_ref();
            let how = preload.map_or(String::new(), |p| format!(" (LD_PRELOAD of {})", p.display()));
            parts.push(format!("{} {version}{how}", contestant.peer));
        }
    }
    parts.join("; ")
}

pub const CSV_HEADER: [&str; 22] = [
    "workload",
    "case",
    "variant",
    "threads",
    "ops_per_thread",
    "slots",
    "seed",
    "round",
    "position",
    "allocator",
    "label",
    "version",
    "seconds",
    "mops",
    "allocs",
    "frees",
    "reallocs",
    "cpu_seconds",
    "peak_rss_kib",
    "minor_faults",
    "tiers",
    "error",
];

/// One line for each run, in the order in which they were made. A failed run has an error and no figures.
pub fn write_csv(comparison: &Comparison, path: &Path) -> io::Result<()> {
    let mut csv = csv::Writer::from_path(path)?;
    csv.write_record(CSV_HEADER)?;
    for run in &comparison.runs {
        let case = &comparison.cases[run.case];
        let contestant = &comparison.contestants[run.contestant];
        let mut record = vec![
            case.workload.clone(),
            case.name.clone(),
            case.variant.clone(),
            case.threads.to_string(),
            case.ops.to_string(),
            case.slots.to_string(),
            case.seed.to_string(),
            run.round.to_string(),
            run.position.to_string(),
            contestant.peer.to_owned(),
            contestant.label(),
        ];
        match &run.result {
            Ok(m) => {
                let tiers: Vec<String> = m.tiers.iter().map(|(t, n)| format!("{t}:{n}")).collect();
                record.extend([
                    m.version.clone(),
                    format!("{:.9}", m.seconds),
                    format!("{:.6}", m.mops()),
                    m.allocs.to_string(),
                    m.frees.to_string(),
                    m.reallocs.to_string(),
                    format!("{:.6}", m.cpu_seconds),
                    m.peak_rss_kib.to_string(),
                    m.minor_faults.to_string(),
                    tiers.join(" "),
                    String::new(),
                ]);
            }
            Err(why) => {
                record.extend(std::iter::repeat_n(String::new(), 10));
                record.push(why.clone());
            }
        }
        csv.write_record(&record)?;
    }
    csv.flush()
}
