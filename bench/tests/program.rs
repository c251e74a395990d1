//! The program from end to end, on a workload of no size: what it prints, and the files it writes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use hakmem_bench::{
    chart, latency, phases,
    report::{self, Comparison, CSV_HEADER},
    runner::{Contestant, Run},
    summary::SUMMARY_HEADER,
    worker::Measurement,
    workloads::{self, Request},
};

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hakmem-bench"))
        .args(args)
        .output()
        .unwrap()
}

/// A comparison that succeeded: what it printed, and the folder with its files.
struct Compared {
    printed: String,
    out: PathBuf,
}

/// Runs a comparison, with its files in a folder of that name.
fn compare(name: &str, args: &str) -> Compared {
    let out = folder(name);
    let args: Vec<&str> = args.split(' ').chain(["--out", out.to_str().unwrap()]).collect();
    let output = run(&args);
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    Compared { printed, out }
}

impl Compared {
    fn assert_printed(&self, texts: &[&str]) {
        assert_printed(&self.printed, texts);
    }

    /// The records of one of its files, the header first.
    fn records(&self, file: &str) -> Vec<Vec<String>> {
        records(&self.out.join(file))
    }

    fn assert_svg(&self, file: &str, texts: &[&str]) {
        assert_svg(&self.out.join(file), texts);
    }
}

fn assert_printed(printed: &str, texts: &[&str]) {
    for text in texts {
        assert!(printed.contains(text), "{text:?} is missing in:\n{printed}");
    }
}

fn records(csv: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(csv).unwrap();
    reader
        .records()
        .map(|r| r.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

fn column(name: &str) -> usize {
    CSV_HEADER.iter().position(|h| *h == name).unwrap()
}

#[test]
fn a_small_comparison() {
    let compared = compare(
        "small",
        "--only hakmem,system --ops 300 --slots 32 --rounds 2 --threads 2",
    );
    let expected = [
        "midlarge: own, 2 threads  (300 operations a thread, 32 slots, seed 42",
        "midlarge: shared, 2 threads",
        "midlarge: pipe, 2 threads",
        "vs best peer",
        "noise floor: ",
        "small/midlarge.csv",
        "small/midlarge.svg",
    ];
    compared.assert_printed(&expected);

    // Three cases, three contestants (hakmem twice), two rounds.
    let records = compared.records("midlarge.csv");
    assert_eq!(records[0], CSV_HEADER);
    assert_eq!(records.len() - 1, 3 * 3 * 2);
    let labels: Vec<&str> = records[1..]
        .iter()
        .filter(|r| r[column("variant")] == "own")
        .map(|r| r[column("label")].as_str())
        .collect();
    let (s, h, a) = ("system", "hakmem", "hakmem (again)");
    assert_eq!(labels, [s, h, a, a, h, s]);
    for record in &records[1..] {
        let number = |name: &str| record[column(name)].parse::<f64>().unwrap();
        assert_eq!(record[column("error")], "", "{record:?}");
        assert!(number("seconds") > 0.0 && number("peak_rss_kib") > 0.0, "{record:?}");
        let ops = number("allocs") + number("frees");
        assert!((600.0..=602.0).contains(&ops), "{record:?}");
        assert!(
            (number("mops") - ops / number("seconds") / 1e6).abs() < 1e-3,
            "{record:?}"
        );
        assert_eq!(record[column("tiers")].is_empty(), record[column("allocator")] == s);
    }

    compared.assert_svg(
        "midlarge.svg",
        &["own, 2 threads", "pipe, 2 threads", "system", "hakmem"],
    );
}

#[test]
fn a_suite_ends_with_its_summary() {
    let compared = compare(
        "suite",
        "small --workload churn,pairs --only hakmem,system --ops 200 --slots 20 --rounds 2",
    );
    let expected = [
        "churn: churn  (200 operations a thread, 20 slots, seed 42",
        "pairs: pairs, fifo 1024 B",
        "Summary: speed of hakmem",
        "geometric mean: speed",
        "geometric mean: peak RSS",
        "suite/small-summary.csv",
    ];
    compared.assert_printed(&expected);
    let printed = &compared.printed;
    let first = printed.lines().any(|l| l.starts_with("hakmem is first, or within"));
    let behind = printed.lines().any(|l| l.starts_with("hakmem is not first beyond"));
    assert!(first != behind, "{printed}");

    // Nine settings, one peer; and its geometric mean.
    let summary = compared.records("small-summary.csv");
    assert_eq!(summary[0], SUMMARY_HEADER);
    assert_eq!(summary.len(), 1 + 9 + 1);
    assert_eq!(summary[10][1], "geometric mean");
    for record in &summary[1..] {
        assert_eq!(record[3], "system");
        assert!(record[6].parse::<f64>().unwrap() > 0.0, "{record:?}");
    }
    assert_eq!(compared.records("small.csv").len(), 1 + 9 * 3 * 2);
    compared.assert_svg("small.svg", &["churn", "pairs, lifo 16 B"]);
}

/// In programs of their own, each with its allocator as the global one.
#[test]
fn rust_programs_run_on_their_allocators() {
    let compared = compare(
        "rust",
        "rust --only hakmem,system,mimalloc,rpmalloc --ops 60 --slots 20 --rounds 1",
    );
    let expected = [
        "rpmalloc: has no complete global allocator for Rust",
        "Summary: speed of hakmem",
        "geometric mean: peak RSS",
        "rust/rust-summary.csv",
    ];
    compared.assert_printed(&expected);
    let records = compared.records("rust.csv");
    let cases = workloads::RUST
        .iter()
        .map(|workload| workload.cases(&Request::default()).unwrap().len());
    assert_eq!(records.len(), 1 + cases.sum::<usize>() * 4);
    for record in &records[1..] {
        assert_eq!(record[column("error")], "", "{record:?}");
        assert!(record[column("allocs")].parse::<u64>().unwrap() >= 60, "{record:?}");
        let version = &record[column("version")];
        assert_eq!(
            version.starts_with("glibc"),
            record[column("allocator")] == "system",
            "{record:?}"
        );
    }
}

/// What cargo has not built is named, with what to do about it; that a program is not on its allocator is noticed.
#[test]
fn rust_programs_that_are_missing_or_wrong_are_noticed() {
    let _ = fs::remove_dir_all(folder("programs"));
    let programs = folder("programs");
    let alone = programs.join("hakmem-bench");
    fs::copy(env!("CARGO_BIN_EXE_hakmem-bench"), &alone).unwrap();
    let rust = |only: &str| {
        let output = Command::new(&alone)
            .args([
                "rust",
                "--only",
                only,
                "--ops",
                "6",
                "--rounds",
                "1",
                "--workload",
                "arc",
            ])
            .arg("--out")
            .arg(&programs)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (succeeded, errors) = rust("hakmem");
    assert!(
        !succeeded && errors.contains("cargo build --release -p hakmem-bench --bins"),
        "{errors}"
    );

    fs::copy(
        env!("CARGO_BIN_EXE_hakmem-bench-rust-system"),
        programs.join("hakmem-bench-rust-hakmem"),
    )
    .unwrap();
    let (succeeded, errors) = rust("hakmem");
    assert!(
        !succeeded && errors.contains("this is the program of system"),
        "{errors}"
    );
}

#[test]
fn scaling_shows_throughput_and_processor_time() {
    let compared = compare(
        "scale",
        "scale --threads 1,2,1024 --workload own,prodcons --only hakmem,system --ops 2000 --rounds 1",
    );
    let titles = [
        "own: Mops/s",
        "own: processor ns/op",
        "prodcons: Mops/s",
        "prodcons: processor ns/op",
    ];
    let printed = &compared.printed;
    for title in titles {
        assert!(
            printed.lines().any(|line| line == title),
            "{title:?} is missing in:\n{printed}"
        );
    }
    assert!(printed.contains("1024 over"), "{printed}");
    let records = compared.records("scale.csv");
    assert_eq!(records.len(), 1 + 2 * 3 * 3);
    assert!(records[1..].iter().all(|r| !r[column("cpu_seconds")].is_empty()));
    compared.assert_svg("scale.svg", &titles);
}

#[test]
fn latency_shows_both_sides_of_each_allocator() {
    let compared = compare(
        "latency",
        "latency --only hakmem,system --ops 3000 --slots 20 --rounds 2",
    );
    let expected = [
        "\nmalloc\n",
        "\nfree\n",
        "q p99.99",
        "own > 1 ms",
        "The timer around nothing: p50 ",
    ];
    compared.assert_printed(&expected);
    // Three contestants, two rounds, malloc and free, all and quiet.
    let records = compared.records("latency.csv");
    assert_eq!(records[0], latency::CSV_HEADER);
    assert_eq!(records.len(), 1 + 3 * 2 * 2 * 2);
    for record in &records[1..] {
        let numbers: Vec<u64> = record[5..11].iter().map(|n| n.parse().unwrap()).collect();
        // Two threads with 3000 operations, half of them allocations.
        assert!((2900..=3200).contains(&numbers[0]), "{record:?}");
        assert!(numbers[1] > 0 && numbers[1..].is_sorted(), "{record:?}");
    }
}

#[test]
fn ace_compares_settings_of_hakmem_or_allocators() {
    let compared = compare("ace", "ace --workload steady --ops 400 --slots 4 --rounds 1");
    let header = "│ phase            learned   x1/8   x1/4   x1/2     x1     x2     x4     x8   learned (again) │";
    let expected = [
        header,
        "relative to the best fixed setting",
        "│ geometric mean ",
        "│ fourth ",
        "│ peak ",
    ];
    compared.assert_printed(&expected);
    let records = compared.records("ace.csv");
    assert_eq!(records[0], phases::CSV_HEADER);
    assert_eq!(records.len(), 1 + 9 * 4);
    let sum: u64 = records[1..5].iter().map(|r| r[5].parse::<u64>().unwrap()).sum();
    assert!((800..=820).contains(&sum), "{records:?}");

    let compared = compare(
        "ace",
        "ace --peers --only system --workload phased --ops 400 --rounds 1",
    );
    compared.assert_printed(&["Mops/s in each phase", "│ pipe, swapped ", "system (again)"]);
    assert_eq!(run(&["ace", "--only", "system"]).status.code(), Some(2));
}

#[test]
fn each_suites_help_lists_its_workloads() {
    for (suite, workloads) in [
        ("small", workloads::SMALL),
        ("classic", workloads::CLASSIC),
        ("large", workloads::LARGE),
        ("ace", workloads::ACE),
    ] {
        let output = run(&[suite, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for workload in workloads {
            assert!(help.contains(&format!("  {:<13} ", workload.name)), "{help}");
        }
        assert!(help.contains("Examples"), "{help}");
    }
    let top = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(
        ["small", "classic", "large", "latency", "ace", "scale"]
            .iter()
            .all(|name| top.contains(&format!("  {name} "))),
        "{top}"
    );
}

fn assert_svg(svg: &Path, texts: &[&str]) {
    let text = fs::read_to_string(svg).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let found: Vec<&str> = document
        .descendants()
        .filter(|n| n.has_tag_name("text"))
        .filter_map(|n| n.text())
        .map(str::trim)
        .collect();
    for text in texts {
        assert!(found.contains(text), "{text:?} is not among {found:?}");
    }
}

#[test]
fn help_says_what_it_does_how_long_it_takes_and_where_results_go() {
    let output = run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let expected = [
        "about two minutes",
        "target/hakmem-bench/",
        "Examples",
        "--only",
        "shared",
    ];
    assert_printed(&help, &expected);
    assert!(!help.contains("worker"), "the worker is not for people");
}

#[test]
fn wrong_arguments_exit_with_2_and_a_failing_worker_with_1() {
    let output = run(&["--only", "hakmen"]);
    assert_eq!(output.status.code(), Some(2));
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(answer.contains("similar value exists: 'hakmem'"), "{answer}");
    let output = run(&["--threads", "3"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["worker", "system", "{}"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a case"));
}

fn contestant(peer: &'static str, again: bool) -> Contestant {
    Contestant {
        again,
        ..Contestant::of(peer)
    }
}

fn measurement(ops: u64) -> Measurement {
    Measurement {
        seconds: 1e-6,
        allocs: ops - ops / 2,
        frees: ops / 2,
        reallocs: 0,
        cpu_seconds: 2e-6,
        leftover: ops % 2,
        minor_faults: 3,
        peak_rss_kib: 2048,
        tiers: [("pool".to_owned(), 3), ("mid".to_owned(), 1)].into(),
        version: "1".into(),
        ..Measurement::default()
    }
}

/// One case; system at 2, hakmem at 6 and (again) at 3 Mops/s, a peer that always fails.
fn comparison() -> Comparison {
    let request = Request {
        variants: vec!["own".into()],
        threads: Some(4096),
        ..Request::default()
    };
    let mut cases = workloads::find("midlarge").unwrap().cases(&request).unwrap();
    cases.truncate(1);
    let results = [
        Ok(measurement(2)),
        Err("it \"crashed\", badly".to_owned()),
        Ok(measurement(6)),
        Ok(measurement(3)),
    ];
    Comparison {
        cases,
        contestants: vec![
            contestant("system", false),
            contestant("mimalloc", false),
            contestant("hakmem", false),
            contestant("hakmem", true),
        ],
        runs: results
            .into_iter()
            .enumerate()
            .map(|(contestant, result)| Run {
                case: 0,
                contestant,
                round: 0,
                position: contestant,
                result,
            })
            .collect(),
    }
}

#[test]
fn the_table_compares_with_the_system_and_the_best_peer() {
    let text = report::tables(&comparison());
    let row = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("│ {name}")))
            .unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row("system").contains("2.00 0.0% 1.00x 1.00x 2.0 3"), "{text}");
    assert!(
        row("hakmem").contains("6.00 0.0% 3.00x 3.00x 2.0 3 pool 75.0%, mid 25.0%"),
        "{text}"
    );
    assert!(
        !text.contains("│ mimalloc"),
        "a peer without a result has no row:\n{text}"
    );
    assert!(text.contains("noise floor: 50.0%"), "{text}");
    assert!(text.contains("oversubscribed: 4096 threads on "), "{text}");
}

#[test]
fn the_csv_keeps_failed_runs_and_quotes_what_needs_it() {
    let path = folder("unit").join("runs.csv");
    report::write_csv(&comparison(), &path).unwrap();
    let records = records(&path);
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|r| r.len() == CSV_HEADER.len()));
    assert_eq!(records[1][column("seconds")], "0.000001000");
    assert_eq!(records[1][column("mops")], "2.000000");
    assert_eq!(records[2][column("error")], "it \"crashed\", badly");
    assert_eq!(records[2][column("mops")], "");
    assert_eq!(records[3][column("tiers")], "mid:1 pool:3");
    assert_eq!(records[4][column("label")], "hakmem (again)");
}

#[test]
fn the_chart_is_well_formed_also_without_results() {
    let path = folder("unit").join("chart.svg");
    chart::write_svg(&comparison(), &path).unwrap();
    let texts = ["own, short, 4096 threads", "hakmem", "6.0", "2 MiB"];
    assert_svg(&path, &texts);

    let mut empty = comparison();
    empty.runs.clear();
    chart::write_svg(&empty, &path).unwrap();
    assert_svg(&path, &["no run succeeded"]);
}
