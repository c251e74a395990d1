//! What is measured: the tables of workloads, and what all of them share.
//!
//! A new workload is a file beside these with a `run` function and a `WORKLOAD`; it is added to one of the tables
//! ([`SMALL`], [`CLASSIC`], [`LARGE`], [`ACE`]) and to [`run`].

pub mod block;
pub mod midlarge;
pub mod sizes;
pub mod working_set;

pub mod aligned;
pub mod bulk;
pub mod cache;
pub mod calloc;
pub mod churn;
pub mod larson;
pub mod mixed;
pub mod pairs;
pub mod prodcons;
pub mod strings;
pub mod thread_churn;
pub mod tree;

pub mod alloc_test;
pub mod cfrac;
pub mod espresso;
pub mod glibc_thread;
pub mod mstress;
pub mod rptest;
pub mod sh;
pub mod xmalloc;

pub mod buffers;
pub mod huge;
pub mod matrices;
pub mod vector;

pub mod latency;

pub mod rust;

pub mod adversarial;
pub mod phased;
pub mod phases;
pub mod steady;

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{gate::Gate, peers::Peer, worker};
use latency::Latency;
use phases::Phase;

/// One setting that every allocator is measured on; a table in the report, a panel in the chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub workload: String,
    /// Unique among the cases of a comparison: "own, long".
    pub name: String,
    pub variant: String,
    pub threads: usize,
    /// Operations of each thread.
    pub ops: u64,
    pub slots: usize,
    pub seed: u64,
}

/// What the command line asks of a workload; None is the workload's own choice.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub variants: Vec<String>,
    pub threads: Option<usize>,
    pub ops: Option<u64>,
    pub slots: Option<usize>,
    pub seed: Option<u64>,
    /// A tenth of the operations or less: to see that everything works.
    pub quick: bool,
}

impl Request {
    pub fn wants(&self, variant: &str) -> bool {
        self.variants.is_empty() || self.variants.iter().any(|v| v == variant)
    }
}

/// One line of a table of workloads.
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    /// Names of the variants and what each does.
    pub variants: &'static [(&'static str, &'static str)],
    /// Its default cases.
    pub settings: &'static [Setting],
    /// What is wrong with a case that a request made of them.
    pub check: fn(&Case) -> Result<(), String>,
    /// See [`Workload::cases`].
    cases: fn(&Workload, &Request) -> Result<Vec<Case>, String>,
}

impl Workload {
    /// What most workloads have in common: one variant, any number of threads.
    pub const PLAIN: Workload = Workload {
        name: "",
        what: "",
        variants: &[("all", "the only one")],
        settings: &[],
        check: |_| Ok(()),
        cases: cases_of,
    };

    /// The cases that a request asks for, or what is wrong with the request.
    pub fn cases(&self, request: &Request) -> Result<Vec<Case>, String> {
        (self.cases)(self, request)
    }
}

/// The program's first workload, which it runs without a subcommand.
pub const MIDLARGE: &[Workload] = &[midlarge::WORKLOAD];

/// Small blocks, most of them below 1 KiB: `hakmem-bench small`.
pub const SMALL: &[Workload] = &[
    churn::WORKLOAD,
    pairs::WORKLOAD,
    larson::WORKLOAD,
    prodcons::WORKLOAD,
    thread_churn::WORKLOAD,
    tree::WORKLOAD,
    strings::WORKLOAD,
    calloc::WORKLOAD,
    aligned::WORKLOAD,
    cache::SCRATCH,
    cache::THRASH,
    bulk::WORKLOAD,
    mixed::WORKLOAD,
];

/// After benchmarks that allocators are usually compared by: `hakmem-bench classic`.
pub const CLASSIC: &[Workload] = &[
    sh::SIX,
    sh::EIGHT,
    xmalloc::WORKLOAD,
    mstress::WORKLOAD,
    rptest::WORKLOAD,
    alloc_test::WORKLOAD,
    glibc_thread::WORKLOAD,
    cfrac::WORKLOAD,
    espresso::WORKLOAD,
];

/// Blocks of 8 KiB to 1 GiB: `hakmem-bench large`.
pub const LARGE: &[Workload] = &[huge::WORKLOAD, vector::WORKLOAD, matrices::WORKLOAD, buffers::WORKLOAD];

/// What Rust programs do, in programs with the allocator as their global one: `hakmem-bench rust`. Not in [`all`] and [`run`].
pub const RUST: &[Workload] = rust::WORKLOADS;

/// The time that single calls take: `hakmem-bench latency`.
pub const LATENCY: &[Workload] = &[latency::WORKLOAD];

/// Blocks of 8 KiB to 1 MiB in phases, for what hakmem learns: `hakmem-bench ace`.
pub const ACE: &[Workload] = &[phased::WORKLOAD, steady::WORKLOAD, adversarial::WORKLOAD];

pub fn all() -> impl Iterator<Item = &'static Workload> {
    let tables = [MIDLARGE, SMALL, CLASSIC, LARGE, LATENCY, ACE];
    tables.into_iter().flatten()
}

pub fn find(name: &str) -> Option<&'static Workload> {
    all().find(|workload| workload.name == name)
}

/// Runs a case. With `CHECK`, blocks are filled on allocation and compared on release.
pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    match case.workload.as_str() {
        "midlarge" => midlarge::run::<A, CHECK>(case),
        "churn" => churn::run::<A, CHECK>(case),
        "pairs" => pairs::run::<A, CHECK>(case),
        "larson" => larson::run::<A, CHECK>(case),
        "prodcons" => prodcons::run::<A, CHECK>(case),
        "thread-churn" => thread_churn::run::<A, CHECK>(case),
        "tree" => tree::run::<A, CHECK>(case),
        "strings" => strings::run::<A, CHECK>(case),
        "calloc" => calloc::run::<A, CHECK>(case),
        "aligned" => aligned::run::<A, CHECK>(case),
        "cache-scratch" => cache::run::<A, CHECK, true>(case),
        "cache-thrash" => cache::run::<A, CHECK, false>(case),
        "bulk" => bulk::run::<A, CHECK>(case),
        "mixed" => mixed::run::<A, CHECK>(case),
        "sh6bench" => sh::run::<A, CHECK, false>(case),
        "sh8bench" => sh::run::<A, CHECK, true>(case),
        "xmalloc" => xmalloc::run::<A, CHECK>(case),
        "mstress" => mstress::run::<A, CHECK>(case),
        "rptest" => rptest::run::<A, CHECK>(case),
        "alloc-test" => alloc_test::run::<A, CHECK>(case),
        "glibc-thread" => glibc_thread::run::<A, CHECK>(case),
        "cfrac" => cfrac::run::<A, CHECK>(case),
        "espresso" => espresso::run::<A, CHECK>(case),
        "huge" => huge::run::<A, CHECK>(case),
        "vector" => vector::run::<A, CHECK>(case),
        "matrices" => matrices::run::<A, CHECK>(case),
        "buffers" => buffers::run::<A, CHECK>(case),
        "latency" => latency::run::<A, CHECK>(case),
        "phased" => phases::run::<A, CHECK>(case, &phased::PLAN),
        "steady" => phases::run::<A, CHECK>(case, &steady::PLAN),
        "adversarial" => phases::run::<A, CHECK>(case, &adversarial::PLAN),
        other => Err(format!("no workload is called {other}")),
    }
}

/// A default case: variant, threads, operations of each thread, slots.
pub type Setting = (&'static str, usize, u64, usize);

pub const SEED: u64 = 42;
const QUICK_DIVISOR: u64 = 8;

/// The cases of a workload whose settings differ by variant and threads only. A case is named after both, or less where
/// that says it all.
fn cases_of(workload: &Workload, request: &Request) -> Result<Vec<Case>, String> {
    let settings = workload.settings;
    let mut cases: Vec<Case> = Vec::new();
    for &(variant, threads, ops, slots) in settings {
        if !request.wants(variant) {
            continue;
        }
        let alone = settings.iter().all(|s| s.1 == 1) && request.threads.is_none();
        let threads = request.threads.unwrap_or(threads);
        let mut name = workload.name.to_owned();
        if workload.variants.len() > 1 {
            name += &format!(", {variant}");
        }
        if !alone {
            name += &format!(", {threads} thread{}", if threads == 1 { "" } else { "s" });
        }
        // Threads from the command line can make two of the settings the same.
        if cases.iter().any(|case| case.name == name) {
            continue;
        }
        cases.push(Case {
            workload: workload.name.into(),
            name,
            variant: variant.into(),
            threads,
            ops: request
                .ops
                .unwrap_or(if request.quick { ops / QUICK_DIVISOR } else { ops }.max(1)),
            slots: request.slots.unwrap_or(slots),
            seed: request.seed.unwrap_or(SEED),
        });
    }
    cases.iter().try_for_each(workload.check)?;
    Ok(cases)
}

/// What a workload answers to a case with a variant that it does not have.
pub fn no_variant(case: &Case) -> String {
    format!("{} has no variant {}", case.workload, case.variant)
}

/// What threads did, by their own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks allocated before the clock started.
    pub before: u64,
    pub allocs: u64,
    pub frees: u64,
    pub reallocs: u64,
    /// Blocks left at the end and freed after the clock had stopped.
    pub leftover: u64,
    /// Blocks whose content had changed when they were freed.
    pub corrupt: u64,
}

impl Tally {
    /// Operations of the timed part.
    #[inline(always)]
    pub fn ops(&self) -> u64 {
        self.allocs + self.frees + self.reallocs
    }

    /// Every block was freed.
    pub fn is_balanced(&self) -> bool {
        self.before + self.allocs == self.frees + self.leftover
    }

    /// To be called at the end of the setup: what was allocated until now is not part of the timed part.
    pub fn set_up(&mut self) {
        debug_assert_eq!(self.frees, 0);
        self.before = std::mem::take(&mut self.allocs);
        self.reallocs = 0;
    }

    /// Runs `free_rest` after the clock has stopped, so that what it frees counts as left over.
    pub fn finish(mut self, free_rest: impl FnOnce(&mut Tally)) -> Tally {
        let frees = self.frees;
        free_rest(&mut self);
        self.leftover += self.frees - frees;
        self.frees = frees;
        self
    }

    pub fn add(&mut self, other: Tally) {
        self.before += other.before;
        self.allocs += other.allocs;
        self.frees += other.frees;
        self.reallocs += other.reallocs;
        self.leftover += other.leftover;
        self.corrupt += other.corrupt;
    }
}

/// How many live blocks each tier served, for allocators that can tell.
pub type Tiers = BTreeMap<String, u64>;

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub timing: Timing,
    pub tally: Tally,
    pub tiers: Tiers,
    /// Of workloads that have them.
    pub phases: Vec<Phase>,
    /// Of the workload that measures it.
    pub latency: Option<Latency>,
}

/// The sum of what the threads did.
fn outcome(timing: Timing, results: Vec<(Tally, Tiers)>) -> Outcome {
    let mut tally = Tally::default();
    let mut tiers = Tiers::new();
    for (one, some) in results {
        tally.add(one);
        for (tier, blocks) in some {
            *tiers.entry(tier).or_default() += blocks;
        }
    }
    Outcome {
        timing,
        tally,
        tiers,
        phases: Vec::new(),
        latency: None,
    }
}

/// Things made by one thread of which every thread takes its own, once: ends of queues.
pub struct HandOut<T>(Mutex<Vec<Option<T>>>);

impl<T> HandOut<T> {
    pub fn new(things: impl IntoIterator<Item = T>) -> Self {
        HandOut(Mutex::new(things.into_iter().map(Some).collect()))
    }

    pub fn take(&self, index: usize) -> T {
        let mut things = self.0.lock().expect("no thread panics");
        things[index].take().expect("everything is taken once")
    }
}

/// The timed part of a run.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the first thread's first operation to the last thread's last one.
    pub wall: Duration,
    /// Processor time, in the program and in the kernel, of the whole process, in that time.
    pub cpu: Duration,
    /// Page faults that needed no disk, of the whole process, in that time.
    pub minor_faults: u64,
    /// The most memory the process has had in RAM until the end of it.
    pub peak_rss_kib: u64,
}

/// Runs the threads of a case through the steps of `timed`, the last of which says what each of them did.
pub fn measured<A: Peer, S>(
    case: &Case,
    setup: impl Fn(usize) -> S + Sync,
    work: impl Fn(&mut S) + Sync,
    finish: impl Fn(S) -> (Tally, Tiers) + Sync,
) -> Outcome {
    let (timing, results) = timed::<A, _, _>(case.threads, setup, work, finish);
    outcome(timing, results)
}

/// Runs `threads` threads through three steps, each of which all of them enter together: `setup` (untimed), `work` (timed),
/// `finish` (untimed, after the measurements were read). Starting the threads is not timed.
fn timed<A, S, T>(
    threads: usize,
    setup: impl Fn(usize) -> S + Sync,
    work: impl Fn(&mut S) + Sync,
    finish: impl Fn(S) -> T + Sync,
) -> (Timing, Vec<T>)
where
    A: Peer,
    T: Send,
{
    // A thread that panics takes the others with it.
    let gate = Gate::new(threads + 1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (gate, setup, work, finish) = (&gate, &setup, &work, &finish);
                scope.spawn(move || {
                    let gate = gate.guard();
                    A::thread_start();
                    let mut state = setup(index);
                    gate.wait(); // ready
                    gate.wait(); // go
                    let start = Instant::now();
                    work(&mut state);
                    let end = Instant::now();
                    gate.wait(); // done
                    gate.wait(); // the figures were read
                    let result = finish(state);
                    A::thread_end();
                    (start, end, result)
                })
            })
            .collect();
        let gate = gate.guard();
        gate.wait();
        let faults_before = worker::minor_faults();
        let cpu_before = worker::cpu_time();
        gate.wait();
        gate.wait();
        let cpu = worker::cpu_time() - cpu_before;
        let minor_faults = worker::minor_faults() - faults_before;
        let peak_rss_kib = worker::peak_rss_kib();
        gate.wait();

        let mut first = None::<Instant>;
        let mut last = None::<Instant>;
        let mut results = Vec::new();
        for handle in handles {
            let (start, end, result) = handle.join().expect("a workload's threads do not panic");
            first = Some(first.map_or(start, |t| t.min(start)));
            last = Some(last.map_or(end, |t| t.max(end)));
            results.push(result);
        }
        let wall = match (first, last) {
            (Some(first), Some(last)) => last - first,
            _ => Duration::ZERO,
        };
        (
            Timing {
                wall,
                cpu,
                minor_faults,
                peak_rss_kib,
            },
            results,
        )
    })
}
