//! A suite in one table: the speed of hakmem relative to every peer in every setting, and the geometric means.

use std::{fmt::Write as _, io, path::Path};

use comfy_table::{presets, CellAlignment, Table};

use crate::report::{significant, Comparison, Row};

const OURS: &str = "hakmem";

/// One allocator's figures in one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub mops: f64,
    pub peak_rss_kib: f64,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Line {
    pub case: usize,
    pub ours: Figures,
    /// In the order of [`Summary::peers`]; None when it has no result.
    pub peers: Vec<Option<Figures>>,
    /// How much hakmem differs from itself, as a fraction: what is less means nothing.
    pub noise: f64,
}

impl Line {
    /// The fastest peer: its place and its speed.
    pub fn best(&self) -> Option<(usize, f64)> {
        let results = self.peers.iter().enumerate();
        let speeds = results.filter_map(|(place, figures)| Some((place, figures.as_ref()?.mops)));
        speeds.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Our speed relative to that of the fastest peer.
    pub fn vs_best(&self) -> Option<f64> {
        self.best().map(|(_, mops)| self.ours.mops / mops)
    }

    /// A peer is faster, by more than the noise.
    pub fn is_behind(&self) -> bool {
        self.vs_best().is_some_and(|ratio| ratio < 1.0 - self.noise)
    }
}

#[derive(Clone, Debug)]
pub struct Summary {
    pub peers: Vec<&'static str>,
    pub lines: Vec<Line>,
}

impl Summary {
    /// None when there is nothing to compare.
    pub fn of(comparison: &Comparison) -> Option<Self> {
        let others = comparison.contestants.iter().filter(|c| !c.again && c.peer != OURS);
        let peers: Vec<&'static str> = others.map(|c| c.peer).collect();
        let lines: Vec<Line> = (0..comparison.cases.len())
            .filter_map(|case| {
                let rows = comparison.rows(case);
                let figures = |peer: &str| {
                    let row: &Row = rows
                        .iter()
                        .find(|r| comparison.contestants[r.contestant].peer == peer)?;
                    Some(Figures {
                        mops: row.mops.median,
                        peak_rss_kib: row.peak_rss_kib,
                    })
                };
                let noise = comparison.noise(case).map_or(0.0, |(_, n)| n.medians.max(n.rounds));
                Some(Line {
                    case,
                    ours: figures(OURS)?,
                    peers: peers.iter().map(|peer| figures(peer)).collect(),
                    noise,
                })
            })
            .collect();
        (!peers.is_empty() && !lines.is_empty()).then_some(Summary { peers, lines })
    }

    /// For each peer, the geometric mean over the settings of `ratio` of our figures to its.
    pub fn means(&self, ratio: fn(&Figures, &Figures) -> f64) -> Vec<Option<f64>> {
        (0..self.peers.len())
            .map(|peer| {
                let ratios = self.lines.iter();
                geometric_mean(ratios.filter_map(|line| Some(ratio(&line.ours, line.peers[peer].as_ref()?))))
            })
            .collect()
    }

    /// The table, and the settings in which hakmem is not first.
    pub fn text(&self, comparison: &Comparison) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "\nSummary: speed of hakmem divided by that of each peer, medians of {} rounds: above 1 hakmem is faster.\n\
             * marks the fastest peer. Noise: hakmem against itself.",
            comparison.rounds()
        );
        let _ = writeln!(out, "{}", self.table(comparison));
        let behind: Vec<String> = self
            .lines
            .iter()
            .filter(|line| line.is_behind())
            .filter_map(|line| {
                let (best, _) = line.best()?;
                let name = &comparison.cases[line.case].name;
                Some(format!("{name} ({:.2} of {})", line.vs_best()?, self.peers[best]))
            })
            .collect();
        if behind.is_empty() {
            let _ = writeln!(
                out,
                "hakmem is first, or within the noise of the first, in all {} settings.",
                self.lines.len()
            );
        } else {
            let (behind_in, all) = (behind.len(), self.lines.len());
            let _ = writeln!(
                out,
                "hakmem is not first beyond the noise in {behind_in} of {all} settings: {}.",
                behind.join("; ")
            );
        }
        out
    }

    fn table(&self, comparison: &Comparison) -> Table {
        let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        let mut header = vec!["setting", "Mops/s", "RSS MiB", "noise", "vs best"];
        header.extend(&self.peers);
        table.set_header(&header);
        for line in &self.lines {
            let best = line.best().map(|(place, _)| place);
            let mut cells = vec![
                comparison.cases[line.case].name.clone(),
                significant(line.ours.mops),
                format!("{:.0}", line.ours.peak_rss_kib / 1024.0),
                format!("{:.1}%", 100.0 * line.noise),
                ratio(line.vs_best()),
            ];
            cells.extend(line.peers.iter().enumerate().map(|(place, peer)| {
                let mark = if best == Some(place) { "*" } else { "" };
                format!("{mark}{}", ratio(peer.as_ref().map(|peer| line.ours.mops / peer.mops)))
            }));
            table.add_row(cells);
        }
        let best = geometric_mean(self.lines.iter().filter_map(Line::vs_best));
        for (name, best, means) in [
            ("geometric mean: speed", ratio(best), self.means(speed_ratio)),
            (
                "geometric mean: peak RSS (less is better)",
                String::new(),
                self.means(rss_ratio),
            ),
        ] {
            let mut cells = vec![name.to_owned(), String::new(), String::new(), String::new(), best];
            cells.extend(means.into_iter().map(ratio));
            table.add_row(cells);
        }
        for column in 1..header.len() {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// One line for each setting and each peer, and the geometric means, whose setting is "geometric mean".
    pub fn write_csv(&self, comparison: &Comparison, path: &Path) -> io::Result<()> {
        let mut csv = csv::Writer::from_path(path)?;
        csv.write_record(SUMMARY_HEADER)?;
        for line in &self.lines {
            let case = &comparison.cases[line.case];
            let best = line.best().map(|(place, _)| place);
            for (place, peer) in self.peers.iter().enumerate() {
                let Some(theirs) = &line.peers[place] else { continue };
                csv.write_record([
                    case.workload.as_str(),
                    &case.name,
                    &case.threads.to_string(),
                    peer,
                    &format!("{:.6}", line.ours.mops),
                    &format!("{:.6}", theirs.mops),
                    &format!("{:.4}", speed_ratio(&line.ours, theirs)),
                    &line.ours.peak_rss_kib.to_string(),
                    &theirs.peak_rss_kib.to_string(),
                    &format!("{:.4}", rss_ratio(&line.ours, theirs)),
                    &format!("{:.4}", line.noise),
                    if best == Some(place) { "1" } else { "0" },
                ])?;
            }
        }
        let means = self.means(speed_ratio).into_iter().zip(self.means(rss_ratio));
        for (peer, means) in self.peers.iter().zip(means) {
            let (Some(speed), Some(rss)) = means else { continue };
            let (speed, rss) = (format!("{speed:.4}"), format!("{rss:.4}"));
            csv.write_record(["", "geometric mean", "", peer, "", "", &speed, "", "", &rss, "", ""])?;
        }
        csv.flush()
    }
}

pub const SUMMARY_HEADER: [&str; 12] = [
    "workload",
    "case",
    "threads",
    "peer",
    "hakmem_mops",
    "peer_mops",
    "speed_ratio",
    "hakmem_peak_rss_kib",
    "peer_peak_rss_kib",
    "peak_rss_ratio",
    "noise",
    "fastest_peer",
];

fn speed_ratio(ours: &Figures, theirs: &Figures) -> f64 {
    ours.mops / theirs.mops
}

fn rss_ratio(ours: &Figures, theirs: &Figures) -> f64 {
    ours.peak_rss_kib / theirs.peak_rss_kib
}

/// None for an empty series.
fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(mops: f64, rss: f64) -> Figures {
        Figures {
            mops,
            peak_rss_kib: rss,
        }
    }

    fn summary() -> Summary {
        let line = |ours, peers, noise| Line {
            case: 0,
            ours,
            peers,
            noise,
        };
        let (ours, none) = (figures(10.0, 100.0), None);
        Summary {
            peers: vec!["system", "mimalloc"],
            lines: vec![
                line(ours, vec![Some(figures(5.0, 100.0)), Some(figures(20.0, 50.0))], 0.1),
                line(ours, vec![Some(figures(10.5, 400.0)), none], 0.1),
            ],
        }
    }

    #[test]
    fn the_best_peer_and_the_noise_decide_who_is_behind() {
        let summary = summary();
        assert_eq!(summary.lines[0].best(), Some((1, 20.0)));
        assert_eq!(summary.lines[0].vs_best(), Some(0.5));
        assert!(summary.lines[0].is_behind());
        assert!(!summary.lines[1].is_behind(), "0.95 is within a noise of 0.1");
    }

    #[test]
    fn means_are_geometric_and_skip_what_has_no_result() {
        let speed = summary().means(speed_ratio);
        let expected = [(2.0f64 * (10.0 / 10.5)).sqrt(), 0.5];
        for (mean, expected) in speed.into_iter().zip(expected) {
            assert!((mean.unwrap() - expected).abs() < 1e-12);
        }
        let rss = summary().means(rss_ratio)[0].unwrap();
        assert!((rss - 0.5).abs() < 1e-12);
        assert_eq!(geometric_mean([].into_iter()), None);
    }
}
