//! The command line.

mod help;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{builder::PossibleValuesParser, value_parser, Arg, Args, Parser, Subcommand};

use help::{
    suite_help, ACE_EXAMPLES, AFTER_HELP, CLASSIC_EXAMPLES, LARGE_EXAMPLES, LATENCY_HELP, RUST_EXAMPLES, SCALE_HELP,
    SMALL_EXAMPLES,
};

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
mod tests;
