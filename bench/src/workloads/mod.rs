//! What is measured: the table of workloads, and what all of them share.
//!
//! A new workload is a file beside this one with a `run` function and a `WORKLOAD`; it is added to [`WORKLOADS`] and [`run`].

pub mod midlarge;

use std::{
    collections::BTreeMap,
    sync::Barrier,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{peers::Peer, worker};

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

/// One line of the table of workloads.
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    /// Names of the variants and what each does.
    pub variants: &'static [(&'static str, &'static str)],
    /// The cases that a request asks for, or what is wrong with the request.
    pub cases: fn(&Request) -> Result<Vec<Case>, String>,
}

pub const WORKLOADS: [Workload; 1] = [midlarge::WORKLOAD];

pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Runs a case. With `CHECK`, blocks are filled on allocation and compared on release.
pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    match case.workload.as_str() {
        "midlarge" => midlarge::run::<A, CHECK>(case),
        other => Err(format!("no workload is called {other}")),
    }
}

/// What threads did, by their own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub allocs: u64,
    pub frees: u64,
    /// Blocks left at the end and freed after the clock had stopped.
    pub leftover: u64,
    /// With CHECK: blocks whose content had changed when they were freed.
    pub corrupt: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.allocs += other.allocs;
        self.frees += other.frees;
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
}

/// The timed part of a run.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the first thread's first operation to the last thread's last one.
    pub wall: Duration,
    /// Page faults that needed no disk, of the whole process, in that time.
    pub minor_faults: u64,
    /// The most memory the process has had in RAM until the end of it.
    pub peak_rss_kib: u64,
}

/// Runs `threads` threads through three steps, each of which all of them enter together: `setup` (untimed), `work` (timed),
/// `finish` (untimed, after the measurements were read). Starting the threads is not timed.
pub fn timed<A, S, T>(
    threads: usize,
    setup: impl Fn(usize) -> S + Sync,
    work: impl Fn(&mut S) + Sync,
    finish: impl Fn(S) -> T + Sync,
) -> (Timing, Vec<T>)
where
    A: Peer,
    T: Send,
{
    let ready = Barrier::new(threads + 1);
    let go = Barrier::new(threads + 1);
    let done = Barrier::new(threads + 1);
    let read = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (ready, go, done, read) = (&ready, &go, &done, &read);
                let (setup, work, finish) = (&setup, &work, &finish);
                scope.spawn(move || {
                    A::thread_start();
                    let mut state = setup(index);
                    ready.wait();
                    go.wait();
                    let start = Instant::now();
                    work(&mut state);
                    let end = Instant::now();
                    done.wait();
                    read.wait();
                    let result = finish(state);
                    A::thread_end();
                    (start, end, result)
                })
            })
            .collect();
        ready.wait();
        let faults_before = worker::minor_faults();
        go.wait();
        done.wait();
        let minor_faults = worker::minor_faults() - faults_before;
        let peak_rss_kib = worker::peak_rss_kib();
        read.wait();

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
                minor_faults,
                peak_rss_kib,
            },
            results,
        )
    })
}
