//! The command line.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{builder::PossibleValuesParser, value_parser, Arg, Args, Parser, Subcommand};

use crate::{
    course, peers,
    runner::Limits,
    scale, worker,
    workloads::{self, Request, Workload},
};

/// Measures hakmem against the system's malloc and other allocators.
///
/// Runs each allocator many times, each time in a process of its own, in an order that is fair to all, and prints one table
/// for each setting: speed, peak memory, page faults. Without arguments it takes about two minutes on two cores. The single
/// runs (CSV) and a chart (SVG) are written to target/hakmem-bench/.
#[derive(Debug, Parser)]
#[command(
    name = "hakmem-bench",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub midlarge: MidLarge,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Blocks of 8 to 32 KiB, by several threads: what is run without a command
    Midlarge(MidLarge),
    /// Small blocks: a suite of workloads, and a summary of all; about five minutes
    #[command(after_help = suite_help(workloads::SMALL, SMALL_EXAMPLES), mut_arg("workload", names_only(workloads::SMALL)))]
    Small(Suite),
    /// Workloads after benchmarks that allocators are usually compared by, and a summary of all; about three minutes
    #[command(after_help = suite_help(workloads::CLASSIC, CLASSIC_EXAMPLES), mut_arg("workload", names_only(workloads::CLASSIC)))]
    Classic(Suite),
    /// Blocks of 8 KiB to 1 GiB: a suite of workloads, and a summary of all; about three minutes
    #[command(after_help = suite_help(workloads::LARGE, LARGE_EXAMPLES), mut_arg("workload", names_only(workloads::LARGE)))]
    Large(Suite),
    /// Rust programs with each allocator as their global one: collections, Arc, JSON, patterns, and a summary of all; about
    /// three minutes
    #[command(after_help = suite_help(workloads::RUST, RUST_EXAMPLES), mut_arg("workload", names_only(workloads::RUST)))]
    Rust(Suite),
    /// Single calls: the longest and the typical time of malloc and free, without the times that the thread did not run;
    /// about a minute
    #[command(after_help = LATENCY_HELP)]
    Latency(Latency),
    /// What hakmem learns: workloads in phases, with learning on and with fixed settings; about ten minutes
    #[command(after_help = suite_help(workloads::ACE, ACE_EXAMPLES), mut_arg("workload", names_only(workloads::ACE)))]
    Ace(Ace),
    /// Thread scaling: throughput and processor time for an operation, with 1 to 32 threads; about three minutes
    #[command(after_help = SCALE_HELP)]
    Scale(Scale),
}

/// What all commands take.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Seed of the random choices [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How often each allocator runs each setting [default: 11 for midlarge, otherwise as often as the time allows]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1000))]
    pub rounds: Option<u64>,

    /// Allocators to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(peer_names()))]
    pub only: Vec<String>,

    /// A short look: fewer rounds and operations, results are rough (midlarge: about ten seconds)
    #[arg(long)]
    pub quick: bool,

    /// Folder for the CSV and the SVG [default: target/hakmem-bench]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What midlarge and the suites take.
#[derive(Args, Clone, Debug)]
pub struct Sizes {
    /// Number of threads [default: chosen for each setting]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,

    /// Operations of each thread: allocations, reallocations and releases [default: chosen for each setting]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000_000))]
    pub ops: Option<u64>,

    /// Size of the working set; what it counts depends on the workload [default: chosen for each setting]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=16_777_216))]
    pub slots: Option<u64>,

    #[command(flatten)]
    pub common: Common,
}

#[derive(Args, Clone, Debug)]
pub struct MidLarge {
    /// Variants of the workload to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(variant_names()))]
    pub variant: Vec<String>,

    #[command(flatten)]
    pub sizes: Sizes,
}

/// What all suites take.
#[derive(Args, Clone, Debug)]
pub struct Suite {
    /// Workloads to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub workload: Vec<String>,

    /// Print a table for each setting too, with peak memory and page faults [default: only with --workload]
    #[arg(long)]
    pub tables: bool,

    #[command(flatten)]
    pub sizes: Sizes,
}

#[derive(Args, Clone, Debug)]
pub struct Latency {
    #[command(flatten)]
    pub sizes: Sizes,
}

#[derive(Args, Clone, Debug)]
pub struct Ace {
    /// Compare allocators on these workloads (all, or those of --only), not hakmem's settings
    #[arg(long)]
    pub peers: bool,

    #[command(flatten)]
    pub suite: Suite,
}

#[derive(Args, Clone, Debug)]
pub struct Scale {
    /// Numbers of threads, separated by commas [default: 1,2,4,8,16,32]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = value_parser!(u64).range(1..=1024))]
    pub threads: Vec<u64>,

    /// Workloads to run, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(scale::names()))]
    pub workload: Vec<String>,

    /// Operations of all threads together [default: chosen for each workload]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000_000))]
    pub ops: Option<u64>,

    #[command(flatten)]
    pub common: Common,
}

const AFTER_HELP: &str = "\
Variants of midlarge (blocks of 8 to 32 KiB):
  own     each thread allocates and frees in slots of its own
  shared  all threads swap blocks through the same slots
  pipe    half of the threads allocate, the others free

Examples (with cargo: `cargo run --release -- --quick`, and so on):
  hakmem-bench                                      midlarge, everything
  hakmem-bench --quick                              a rough look
  hakmem-bench --only hakmem,system --variant shared --threads 8
  hakmem-bench --variant own --threads 2 --ops 40000 --slots 2048 --seed 42
  hakmem-bench small                                small blocks: see `hakmem-bench small --help`";

const SMALL_EXAMPLES: &str = "Examples:
  hakmem-bench small                                the whole suite
  hakmem-bench small --quick                        a rough look, below 40 seconds
  hakmem-bench small --workload larson,prodcons --only hakmem,mimalloc
  hakmem-bench small --workload larson --threads 16 --rounds 9";

const CLASSIC_EXAMPLES: &str = "Examples:
  hakmem-bench classic                              the whole suite
  hakmem-bench classic --workload sh8bench,xmalloc --threads 16";

const LARGE_EXAMPLES: &str = "Examples:
  hakmem-bench large                                the whole suite; needs about 2 GiB of memory
  hakmem-bench large --workload vector --slots 256  a vector that grows to 256 MiB";

const RUST_EXAMPLES: &str =
    "An operation is an entry, a record or a pattern: see each workload. The programs are built by
`cargo build --release -p hakmem-bench --bins`, with `--features all-peers` those of all allocators.

Examples:
  hakmem-bench rust                                 the whole suite
  hakmem-bench rust --workload json --only hakmem,mimalloc --rounds 9";

const LATENCY_HELP: &str = "\
Two threads replace random blocks of 16 B to 1 MiB, and a few of 2 to 8 MiB; one in ten is freed by the other thread. Every
call is timed alone. A call above 50 us is looked at closely: whether the thread was preempted in it, waited or took page
faults. All figures are shown for all calls, those of the tail also without preempted ones.

Examples:
  hakmem-bench latency                              all allocators
  hakmem-bench latency --only hakmem,mimalloc --ops 20000000 --rounds 3";

const ACE_EXAMPLES: &str = "Examples:
  hakmem-bench ace                                  learned against HAKMEM_ACE_SHIFT=-3..3 without learning
  hakmem-bench ace --workload phased --rounds 9
  hakmem-bench ace --peers --only hakmem,mimalloc   allocators on the same workloads";

const SCALE_HELP: &str = "\
Workloads:
  own, shared, pipe  those of midlarge
  larson             that of `small`
  prodcons           that of `small`, symmetric, 64 B

Settings with more threads than cores are marked as oversubscribed. All settings of a workload do the same number of
operations, shared among the threads. An odd number of threads is passed over by pipe, and by prodcons except for 1.

Examples:
  hakmem-bench scale                                everything
  hakmem-bench scale --threads 1,2,4,8,16 --workload own,shared,pipe --only hakmem,system,mimalloc,mimalloc2
  hakmem-bench scale --threads 1,2 --workload own --only hakmem,mimalloc";

fn suite_help(suite: &[Workload], examples: &str) -> String {
    let mut out = String::from("Workloads:\n");
    for workload in suite {
        out += &format!("  {:<13} {}\n", workload.name, workload.what);
    }
    out += "\nSpeed is compared by medians; a difference below the noise (hakmem against itself) means nothing. Every run goes \
            to a CSV, the summary to another.\n\n";
    out + examples
}

const ROUNDS: usize = 11;
const QUICK_ROUNDS: usize = 3;

/// With the default number of rounds, the comparison ends by about this time.
const TIME_LIMIT: Duration = Duration::from_secs(105);

/// As many rounds as fit into `seconds`, but `least`.
fn fitting(least: usize, seconds: u64) -> Limits {
    Limits {
        rounds: 51,
        least,
        time: Some(Duration::from_secs(seconds)),
    }
}

/// Lets `--workload` name those of a suite.
fn names_only(suite: &'static [Workload]) -> impl FnOnce(Arg) -> Arg {
    move |arg| arg.value_parser(PossibleValuesParser::new(suite.iter().map(|w| w.name)))
}

fn variant_names() -> Vec<&'static str> {
    let variants = workloads::MIDLARGE.iter().flat_map(|w| w.variants);
    variants.map(|(name, _)| *name).collect()
}

fn peer_names() -> Vec<&'static str> {
    peers::PEERS.iter().map(|p| p.name).collect()
}

impl Common {
    /// `rounds`, when asked for, or else the default.
    pub fn limits(&self, default: Limits) -> Limits {
        match self.rounds {
            // Who asks for rounds gets them.
            Some(n) => Limits {
                rounds: n as usize,
                time: None,
                ..default
            },
            None => default,
        }
    }
}

impl Sizes {
    pub fn request(&self, variants: &[String]) -> Request {
        Request {
            variants: variants.to_vec(),
            threads: self.threads.map(|n| n as usize),
            ops: self.ops,
            slots: self.slots.map(|n| n as usize),
            seed: self.common.seed,
            quick: self.common.quick,
        }
    }
}

impl MidLarge {
    pub fn request(&self) -> Request {
        self.sizes.request(&self.variant)
    }

    /// Nothing was asked for that makes the comparison much shorter or longer.
    pub fn takes_the_usual_time(&self) -> bool {
        let Sizes {
            threads,
            ops,
            slots,
            common,
        } = &self.sizes;
        let all = common.only.is_empty() && self.variant.is_empty();
        !common.quick && [threads, ops, slots, &common.rounds].iter().all(|n| n.is_none()) && all
    }

    pub fn limits(&self) -> Limits {
        let common = &self.sizes.common;
        common.limits(Limits {
            rounds: if common.quick { QUICK_ROUNDS } else { ROUNDS },
            least: 3,
            time: Some(TIME_LIMIT),
        })
    }
}

impl Suite {
    pub fn request(&self) -> Request {
        self.sizes.request(&[])
    }

    pub fn limits(&self, seconds: u64) -> Limits {
        let common = &self.sizes.common;
        common.limits(if common.quick {
            fitting(1, 25)
        } else {
            fitting(5, seconds)
        })
    }
}

impl Latency {
    pub fn request(&self) -> Request {
        self.sizes.request(&[])
    }

    pub fn limits(&self) -> Limits {
        let common = &self.sizes.common;
        common.limits(if common.quick { fitting(1, 15) } else { fitting(3, 60) })
    }
}

impl Scale {
    pub fn limits(&self) -> Limits {
        self.common.limits(if self.common.quick {
            fitting(1, 15)
        } else {
            fitting(3, 150)
        })
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
        course::drive(&Cli::parse())
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hakmem-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &str) -> Result<Cli, String> {
        Cli::try_parse_from(std::iter::once("hakmem-bench").chain(args.split_whitespace())).map_err(|e| e.to_string())
    }

    /// The cases of midlarge, which these arguments must ask for.
    fn midlarge(args: &str) -> Result<(MidLarge, Vec<workloads::Case>), String> {
        let cli = parse(args)?;
        let args = match cli.command {
            None => cli.midlarge,
            Some(Command::Midlarge(args)) => args,
            other => panic!("{other:?}"),
        };
        let cases = (workloads::find("midlarge").unwrap().cases)(&args.request())?;
        Ok((args, cases))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_arguments_mean_midlarge_with_the_default_cases() {
        let (args, cases) = midlarge("").unwrap();
        let first = &cases[0];
        assert_eq!(first.name, "own, short, 2 threads");
        assert_eq!(
            (first.threads, first.ops, first.slots, first.seed),
            (2, 40_000, 2048, 42)
        );
        assert_eq!(cases.len(), 6);
        assert_eq!(args.limits().rounds, ROUNDS);
        assert_eq!(args.limits().time, Some(TIME_LIMIT));
        assert!(args.takes_the_usual_time());
    }

    #[test]
    fn arguments_reach_the_cases() {
        let (args, cases) = midlarge(
            "midlarge --threads 8 --ops 1000 --slots 64 --seed 7 --variant own,pipe --rounds 2 --only hakmem,system",
        )
        .unwrap();
        let names: Vec<_> = cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["own, 8 threads", "pipe, 8 threads"]);
        assert!(cases
            .iter()
            .all(|c| (c.threads, c.ops, c.slots, c.seed) == (8, 1000, 64, 7)));
        assert_eq!((args.limits().rounds, args.limits().time), (2, None));
        assert_eq!(args.sizes.common.only, ["hakmem", "system"]);
    }

    #[test]
    fn quick_keeps_the_reports_command_and_shortens_the_others() {
        let (_, cases) = midlarge("--quick").unwrap();
        assert_eq!(cases[0].ops, 40_000);
        let (_, full) = midlarge("").unwrap();
        assert!(cases[1..]
            .iter()
            .zip(&full[1..])
            .all(|(quick, full)| quick.ops < full.ops));
    }

    #[test]
    fn suites_take_their_workloads_and_make_five_rounds() {
        let cli = parse("small --workload larson,tree --threads 16 --ops 7").unwrap();
        let Some(Command::Small(args)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.workload, ["larson", "tree"]);
        assert_eq!(args.limits(100).least, 5);
        let request = args.request();
        let cases = (workloads::find("larson").unwrap().cases)(&request).unwrap();
        let [case] = &cases[..] else {
            panic!("two settings became one: {cases:?}")
        };
        assert_eq!(
            (case.name.as_str(), case.threads, case.ops),
            ("larson, 16 threads", 16, 7)
        );
        let cli = parse("large --rounds 1").unwrap();
        let Some(Command::Large(args)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!((args.limits(100).rounds, args.limits(100).time), (1, None));
    }

    #[test]
    fn names_of_cases_are_unique_in_each_suite() {
        for suite in [
            workloads::MIDLARGE,
            workloads::SMALL,
            workloads::CLASSIC,
            workloads::LARGE,
            workloads::RUST,
            workloads::LATENCY,
            workloads::ACE,
        ] {
            let cases = suite.iter().flat_map(|w| (w.cases)(&Request::default()).unwrap());
            let mut names: Vec<String> = cases.map(|case| case.name).collect();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "{names:?}");
        }
    }

    #[test]
    fn scale_shares_the_operations_among_the_threads() {
        let cli = parse("scale --threads 1,3,4 --workload own,pipe,prodcons --ops 100").unwrap();
        let Some(Command::Scale(args)) = cli.command else {
            panic!("{cli:?}")
        };
        let cases = scale::cases(&args).unwrap();
        let told: Vec<_> = cases.iter().map(|c| (c.name.as_str(), c.ops)).collect();
        let own = [("own, 1 thread", 100), ("own, 3 threads", 34), ("own, 4 threads", 25)];
        let pipe = [("pipe, 4 threads", 25)];
        let prodcons = [("prodcons, 1 thread", 100), ("prodcons, 4 threads", 25)];
        assert_eq!(told, [&own[..], &pipe, &prodcons].concat());

        let cli = parse("scale --threads 1,3 --workload pipe").unwrap();
        let Some(Command::Scale(args)) = cli.command else {
            panic!("{cli:?}")
        };
        assert!(scale::cases(&args).unwrap_err().contains("even"));
    }

    #[test]
    fn wrong_arguments_are_answered_with_what_is_allowed() {
        for (args, answer) in [
            ("--only hakmen", "possible values: system, mimalloc,"),
            ("--variant private", "possible values: own, shared, pipe"),
            ("larg", "similar subcommands exist: 'midlarge', 'large'"),
            ("small --workload larsen", "possible values: churn, pairs, larson,"),
            ("large --workload larson", "possible values: huge, vector,"),
            (
                "scale --workload pipes",
                "possible values: own, shared, pipe, larson, prodcons",
            ),
            ("--threads 0", "0 is not in 1..=1024"),
            ("--rounds x", "invalid digit"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(answer), "{args}: {error}");
        }
    }

    #[test]
    fn pipe_with_an_odd_number_of_threads_is_refused() {
        let error = midlarge("--threads 3").unwrap_err();
        assert!(error.contains("even"), "{error}");
        let (_, cases) = midlarge("--threads 3 --variant own,shared").unwrap();
        assert_eq!(cases.len(), 3);
    }
}
