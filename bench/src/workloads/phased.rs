//! Phases that want different things of an allocator's caches, one after the other and once more; see
//! [`phases`](super::phases).
//!
//! A learned cache has to notice each change, and to let go of what the phase before needed. No published benchmark is known
//! that does this.

use super::{
    phases::{check_threads, Plan, Work},
    Setting, Workload,
};

pub const WORKLOAD: Workload = Workload {
    name: "phased",
    what: "sizes of 8 KiB to 1 MiB and the threads' parts change from phase to phase",
    settings: SETTINGS,
    check: check_threads,
    ..Workload::PLAIN
};

/// The slots are a thread's working set in the phases `own`.
const SETTINGS: &[Setting] = &[("all", 2, 72_000_000, 128)];

const OWN: Work = Work::Churn {
    low: 16 << 10,
    octaves: 2,
};
const BURSTS: Work = Work::Bursts { blocks: 64 };

const fn pipe(swapped: bool) -> Work {
    Work::Pipe {
        low: 100 << 10,
        high: 300 << 10,
        swapped,
    }
}

const fn plan(name: &'static str, work: Work, share: u64) -> Plan {
    Plan { name, work, share }
}

/// The shares make the phases last about as long as each other.
pub const PLAN: [Plan; 8] = [
    plan("own", OWN, 8),
    plan("pipe", pipe(false), 2),
    plan("bursts", BURSTS, 4),
    plan("classes", Work::Classes, 4),
    plan("own, again", OWN, 8),
    plan("pipe, swapped", pipe(true), 2),
    plan("bursts, again", BURSTS, 4),
    plan("classes, again", Work::Classes, 4),
];
