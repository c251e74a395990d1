//! The command line, and the program's course: arguments, comparison, report.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{builder::PossibleValuesParser, Parser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    chart, peers,
    report::{self, Comparison},
    runner::{self, Limits},
    worker,
    workloads::{self, Request},
};

/// Measures hakmem against the system's malloc and other allocators.
///
/// Runs each allocator many times, each time in a process of its own, in an order that is fair to all, and prints one table
/// for each setting: speed, peak memory, page faults. Without arguments it takes about two minutes on two cores. The single
/// runs (CSV) and a chart (SVG) are written to target/hakmem-bench/.
#[derive(Debug, Parser)]
#[command(name = "hakmem-bench", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to measure
    #[arg(default_value = "midlarge", value_parser = PossibleValuesParser::new(workload_names()))]
    pub workload: String,

    /// Number of threads [default: 2 and 4, depending on the variant]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,

    /// Operations of each thread; an operation is one allocation or one release [default: chosen for each variant]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub ops: Option<u64>,

    /// Slots of the working set: of each thread (own) or of all (shared, pipe) [default: 2048]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub slots: Option<u64>,

    /// Seed of the random choices [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Variants of the workload to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(variant_names()))]
    pub variant: Vec<String>,

    /// How often each allocator runs each setting [default: 11, fewer if that takes too long]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub rounds: Option<u64>,

    /// Allocators to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(peer_names()))]
    pub only: Vec<String>,

    /// A look in about ten seconds: fewer rounds and operations, results are rough
    #[arg(long)]
    pub quick: bool,

    /// Folder for the CSV and the SVG [default: target/hakmem-bench]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Variants of midlarge (blocks of 8 to 32 KiB):
  own     each thread allocates and frees in slots of its own
  shared  all threads swap blocks through the same slots
  pipe    half of the threads allocate, the others free

Examples (with cargo: `cargo run --release -- --quick`, and so on):
  hakmem-bench                                      everything
  hakmem-bench --quick                              a rough look
  hakmem-bench --only hakmem,system --variant shared --threads 8
  hakmem-bench --variant own --threads 2 --ops 40000 --slots 2048 --seed 42";

const ROUNDS: usize = 11;
const QUICK_ROUNDS: usize = 3;

/// With the default number of rounds, the comparison ends by about this time.
const TIME_LIMIT: Duration = Duration::from_secs(105);

fn workload_names() -> Vec<&'static str> {
    workloads::WORKLOADS.iter().map(|w| w.name).collect()
}

fn variant_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in workloads::WORKLOADS.iter().flat_map(|w| w.variants) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

fn peer_names() -> Vec<&'static str> {
    peers::PEERS.iter().map(|p| p.name).collect()
}

impl Cli {
    fn request(&self) -> Request {
        Request {
            variants: self.variant.clone(),
            threads: self.threads.map(|n| n as usize),
            ops: self.ops,
            slots: self.slots.map(|n| n as usize),
            seed: self.seed,
            quick: self.quick,
        }
    }

    /// Nothing was asked for that makes the comparison much shorter or longer.
    fn takes_the_usual_time(&self) -> bool {
        let sizes = [self.threads, self.ops, self.slots, self.rounds];
        !self.quick && sizes.iter().all(Option::is_none) && self.only.is_empty() && self.variant.is_empty()
    }

    fn limits(&self) -> Limits {
        let default = if self.quick { QUICK_ROUNDS } else { ROUNDS };
        Limits {
            rounds: self.rounds.map_or(default, |n| n as usize),
            // Who asks for rounds gets them.
            time: self.rounds.is_none().then_some(TIME_LIMIT),
        }
    }
}

/// The program. Exit code 2: wrong arguments; 1: something failed.
pub fn main() -> ExitCode {
    // Output into a pipe that closes early (`| head`) ends the program quietly.
    // SAFETY: restores the default that Rust's start-up code changed, before there are other threads.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let args: Vec<String> = std::env::args().collect();
    let result = if args.get(1).is_some_and(|arg| arg == worker::ARGUMENT) {
        worker::main(&args[2..])
    } else {
        drive(&Cli::parse())
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hakmem-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn drive(cli: &Cli) -> Result<(), String> {
    let workload = workloads::find(&cli.workload).ok_or("no such workload")?;
    let cases = (workload.cases)(&cli.request()).unwrap_or_else(|why| {
        use clap::{error::ErrorKind, CommandFactory};
        Cli::command().error(ErrorKind::ValueValidation, why).exit()
    });
    let field = runner::field(&cli.only);
    if field.contestants.is_empty() {
        for (name, why) in &field.absent {
            eprintln!("{name}: {why}");
        }
        return Err("no allocator is left to run".into());
    }
    if cfg!(debug_assertions) {
        eprintln!("hakmem-bench: this is a debug build, its numbers mean nothing; add --release\n");
    }
    let limits = cli.limits();
    println!("{}", report::machine());
    if let Some(note) = report::busy() {
        println!("{note}");
    }
    for (name, why) in &field.absent {
        println!("{name}: {why}");
    }
    println!(
        "Settings: {}. Allocators: {}. Rounds: up to {}. One allocator runs twice a round, to show the noise.",
        cases.len(),
        field.contestants.len() - 1,
        limits.rounds
    );
    if cli.takes_the_usual_time() {
        println!("This takes about two minutes.");
    }

    let bar = ProgressBar::new((limits.rounds * cases.len() * field.contestants.len()) as u64);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent:>3}%  {elapsed}, {eta} to go  {msg}")
            .map_err(|e| e.to_string())?,
    );
    let start = Instant::now();
    let mut failures = Vec::new();
    let runs = runner::compare(
        &cases,
        &field.contestants,
        limits,
        |case, contestant| {
            bar.set_message(format!("{}: {}", case.name, contestant.label()));
        },
        |contestant, case| {
            let result = runner::measure_in_worker(contestant, case);
            bar.inc(1);
            if let Err(why) = &result {
                failures.push(format!("{}, {}: {why}", case.name, contestant.label()));
            }
            result
        },
    );
    bar.finish_and_clear();

    let comparison = Comparison {
        cases,
        contestants: field.contestants,
        runs,
    };
    print!("{}", report::tables(&comparison));
    let out = cli.out.clone().unwrap_or_else(default_out);
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
    let csv = out.join(format!("{}.csv", cli.workload));
    let svg = out.join(format!("{}.svg", cli.workload));
    report::write_csv(&comparison, &csv).map_err(|e| format!("cannot write {}: {e}", csv.display()))?;
    chart::write_svg(&comparison, &svg).map_err(|e| format!("cannot write {}: {e}", svg.display()))?;
    println!(
        "\nEvery run:  {}\nChart:      {}\nTook {:.0} s.",
        shown(&csv),
        shown(&svg),
        start.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        return Ok(());
    }
    failures.dedup();
    for failure in &failures {
        eprintln!("{failure}");
    }
    Err(format!("{} runs failed", failures.len()))
}

/// `hakmem-bench` in the folder that cargo built this program in, which cargo marks with CACHEDIR.TAG.
fn default_out() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| PathBuf::from("target"), Path::to_path_buf)
        .join("hakmem-bench")
}

/// The path as seen from here, when it lies below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &str) -> Result<Cli, String> {
        Cli::try_parse_from(std::iter::once("hakmem-bench").chain(args.split_whitespace())).map_err(|e| e.to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_arguments_mean_midlarge_with_the_default_cases() {
        let cli = parse("").unwrap();
        assert_eq!(cli.workload, "midlarge");
        let cases = (workloads::find("midlarge").unwrap().cases)(&cli.request()).unwrap();
        let first = &cases[0];
        assert_eq!(first.name, "own, short, 2 threads");
        assert_eq!(
            (first.threads, first.ops, first.slots, first.seed),
            (2, 40_000, 2048, 42)
        );
        assert_eq!(cases.len(), 6);
        assert_eq!(cli.limits().rounds, ROUNDS);
        assert_eq!(cli.limits().time, Some(TIME_LIMIT));
    }

    #[test]
    fn arguments_reach_the_cases() {
        let cli = parse(
            "midlarge --threads 8 --ops 1000 --slots 64 --seed 7 --variant own,pipe --rounds 2 --only hakmem,system",
        )
        .unwrap();
        let cases = (workloads::find("midlarge").unwrap().cases)(&cli.request()).unwrap();
        let names: Vec<_> = cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["own, 8 threads", "pipe, 8 threads"]);
        assert!(cases
            .iter()
            .all(|c| (c.threads, c.ops, c.slots, c.seed) == (8, 1000, 64, 7)));
        assert_eq!((cli.limits().rounds, cli.limits().time), (2, None));
        assert_eq!(cli.only, ["hakmem", "system"]);
    }

    #[test]
    fn quick_keeps_the_reports_command_and_shortens_the_others() {
        let cli = parse("--quick").unwrap();
        let cases = (workloads::find("midlarge").unwrap().cases)(&cli.request()).unwrap();
        assert_eq!(cases[0].ops, 40_000);
        let full = (workloads::find("midlarge").unwrap().cases)(&Request::default()).unwrap();
        assert!(cases[1..]
            .iter()
            .zip(&full[1..])
            .all(|(quick, full)| quick.ops < full.ops));
    }

    #[test]
    fn wrong_arguments_are_answered_with_what_is_allowed() {
        for (args, answer) in [
            ("--only hakmen", "possible values: system, mimalloc,"),
            ("--variant private", "possible values: own, shared, pipe"),
            ("larsen", "possible values: midlarge"),
            ("--threads 0", "0 is not in 1..=1024"),
            ("--rounds x", "invalid digit"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(answer), "{args}: {error}");
        }
    }

    #[test]
    fn pipe_with_an_odd_number_of_threads_is_refused() {
        let cli = parse("--threads 3").unwrap();
        let error = (workloads::find("midlarge").unwrap().cases)(&cli.request()).unwrap_err();
        assert!(error.contains("even"), "{error}");
        let cli = parse("--threads 3 --variant own,shared").unwrap();
        assert_eq!(
            (workloads::find("midlarge").unwrap().cases)(&cli.request())
                .unwrap()
                .len(),
            3
        );
    }
}
