//! The program's course: what was asked for, the comparison, the reports.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{error::ErrorKind, CommandFactory};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    chart,
    cli::{Ace, Cli, Command, Common, Latency, MidLarge, Scale, Suite},
    latency, phases, programs,
    report::{self, Comparison},
    runner::{self, Field, Limits},
    scale,
    summary::Summary,
    workloads::{self, Case, Workload},
};

pub fn drive(cli: &Cli) -> Result<(), String> {
    match &cli.command {
        None => midlarge(&cli.midlarge),
        Some(Command::Midlarge(args)) => midlarge(args),
        Some(Command::Small(args)) => suite("small", workloads::SMALL, runner::field, args, 240),
        Some(Command::Classic(args)) => suite("classic", workloads::CLASSIC, runner::field, args, 150),
        Some(Command::Large(args)) => suite("large", workloads::LARGE, runner::field, args, 150),
        Some(Command::Rust(args)) => suite("rust", workloads::RUST, programs::field, args, 150),
        Some(Command::Latency(args)) => latencies(args),
        Some(Command::Ace(args)) => ace(args),
        Some(Command::Scale(args)) => scaling(args),
    }
}

fn midlarge(args: &MidLarge) -> Result<(), String> {
    let cases = or_usage(workloads::midlarge::WORKLOAD.cases(&args.request()));
    let time = args.takes_the_usual_time().then_some("about two minutes");
    let common = &args.sizes.common;
    let course = Course::run(cases, runner::field(&common.only), common, args.limits(), time)?;
    print!("{}", report::tables(&course.comparison));
    let csv = course.write("midlarge.csv", report::write_csv)?;
    let svg = course.write("midlarge.svg", chart::write_svg)?;
    course.end(&[("Every run:", csv), ("Chart:", svg)])
}

fn suite(
    name: &str,
    all: &[Workload],
    field: fn(&[String]) -> Field,
    args: &Suite,
    seconds: u64,
) -> Result<(), String> {
    let common = &args.sizes.common;
    let course = Course::run(
        wanted(all, args),
        field(&common.only),
        common,
        args.limits(seconds),
        None,
    )?;
    if args.tables || !args.workload.is_empty() {
        print!("{}", report::tables(&course.comparison));
        print!("{}", phases::tables(&course.comparison));
    }
    let mut files = vec![
        ("Every run:", course.write(&format!("{name}.csv"), report::write_csv)?),
        ("Chart:", course.write(&format!("{name}.svg"), chart::write_svg)?),
    ];
    if let Some(summary) = Summary::of(&course.comparison) {
        print!("{}", summary.text(&course.comparison));
        let csv = course.write(&format!("{name}-summary.csv"), |comparison, path| {
            summary.write_csv(comparison, path)
        })?;
        files.push(("Summary:", csv));
    } else {
        println!("\nNo summary: hakmem and another allocator are needed for it, with a result each.");
    }
    course.end(&files)
}

/// The cases of those workloads of a table that were asked for.
fn wanted(all: &[Workload], args: &Suite) -> Vec<Case> {
    let wanted = |workload: &&Workload| args.workload.is_empty() || args.workload.iter().any(|w| w == workload.name);
    let cases = all
        .iter()
        .filter(wanted)
        .flat_map(|w| or_usage(w.cases(&args.request())));
    cases.collect()
}

fn latencies(args: &Latency) -> Result<(), String> {
    let cases = or_usage(workloads::latency::WORKLOAD.cases(&args.request()));
    let common = &args.sizes.common;
    let course = Course::run(cases, runner::field(&common.only), common, args.limits(), None)?;
    print!("{}", latency::tables(&course.comparison));
    let csv = course.write("latency.csv", latency::write_csv)?;
    course.end(&[("Every run:", csv)])
}

fn ace(args: &Ace) -> Result<(), String> {
    let common = &args.suite.sizes.common;
    let field = match args.peers {
        true => runner::field(&common.only),
        false if common.only.is_empty() => phases::settings(),
        false => or_usage(Err("--only goes with --peers: without it, hakmem runs alone".into())),
    };
    let course = Course::run(
        wanted(workloads::ACE, &args.suite),
        field,
        common,
        args.suite.limits(600),
        None,
    )?;
    print!("{}", phases::tables(&course.comparison));
    let csv = course.write("ace.csv", phases::write_csv)?;
    course.end(&[("Every run:", csv)])
}

fn scaling(args: &Scale) -> Result<(), String> {
    let cases = or_usage(scale::cases(args));
    let course = Course::run(
        cases,
        runner::field(&args.common.only),
        &args.common,
        args.limits(),
        None,
    )?;
    print!("{}", scale::tables(&course.comparison));
    let csv = course.write("scale.csv", report::write_csv)?;
    let svg = course.write("scale.svg", scale::write_svg)?;
    course.end(&[("Every run:", csv), ("Chart:", svg)])
}

/// What was asked for, or the end of the program as with any wrong argument.
fn or_usage<T>(cases: Result<T, String>) -> T {
    cases.unwrap_or_else(|why| Cli::command().error(ErrorKind::ValueValidation, why).exit())
}

/// A comparison that was made, and where its files go.
struct Course {
    comparison: Comparison,
    failures: Vec<String>,
    out: PathBuf,
    start: Instant,
}

impl Course {
    fn run(
        cases: Vec<Case>,
        field: Field,
        common: &Common,
        limits: Limits,
        time: Option<&str>,
    ) -> Result<Self, String> {
        if field.contestants.is_empty() {
            for (name, why) in &field.absent {
                eprintln!("{name}: {why}");
            }
            return Err("no allocator is left to run".into());
        }
        if cfg!(debug_assertions) {
            eprintln!("hakmem-bench: this is a debug build, its numbers mean nothing; add --release\n");
        }
        println!("{}", report::machine());
        if let Some(note) = report::busy() {
            println!("{note}");
        }
        for (name, why) in &field.absent {
            println!("{name}: {why}");
        }
        let rounds = match limits.time {
            Some(time) if limits.rounds > 20 => {
                format!(
                    "as many as fit into {} s, but at least {}",
                    time.as_secs(),
                    limits.least
                )
            }
            _ => format!("up to {}", limits.rounds),
        };
        println!(
            "Settings: {}. Allocators: {}. Rounds: {rounds}. One allocator runs twice a round, to show the noise.",
            cases.len(),
            field.contestants.len() - 1,
        );
        if let Some(time) = time {
            println!("This takes {time}.");
        }

        let a_round = (cases.len() * field.contestants.len()) as u64;
        let bar = ProgressBar::new(a_round * limits.rounds as u64);
        let template = match limits.time {
            Some(_) if limits.rounds > 20 => "{pos} runs  {elapsed}  {msg}",
            _ => "{bar:30} {percent:>3}%  {elapsed}, {eta} to go  {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).map_err(|e| e.to_string())?);
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
        let out = common.out.clone().unwrap_or_else(default_out);
        std::fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
        let contestants = field.contestants;
        Ok(Course {
            comparison: Comparison {
                cases,
                contestants,
                runs,
            },
            failures,
            out,
            start,
        })
    }

    /// Writes a file of the comparison; returns its path.
    fn write<E: std::fmt::Display>(
        &self,
        name: &str,
        write: impl FnOnce(&Comparison, &Path) -> Result<(), E>,
    ) -> Result<PathBuf, String> {
        let path = self.out.join(name);
        write(&self.comparison, &path).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(path)
    }

    /// Says where the files are, and what failed.
    fn end(mut self, files: &[(&str, PathBuf)]) -> Result<(), String> {
        println!();
        for (what, path) in files {
            println!("{what:<11} {}", shown(path));
        }
        println!("Took {:.0} s.", self.start.elapsed().as_secs_f64());
        if self.failures.is_empty() {
            return Ok(());
        }
        let count = self.failures.len();
        self.failures.sort();
        self.failures.dedup();
        for failure in &self.failures {
            eprintln!("{failure}");
        }
        Err(format!("{count} runs failed"))
    }
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
