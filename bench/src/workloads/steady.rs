//! The same work all the time, in four parts: what a learned cache is worth when there is one thing to learn.

use super::{
    phases::{check_threads, Plan, Work},
    Setting, Workload,
};

pub const WORKLOAD: Workload = Workload {
    name: "steady",
    what: "a random working set of 8 KiB to 1 MiB, in four parts",
    settings: SETTINGS,
    check: check_threads,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 2, 30_000_000, 128)];

const fn part(name: &'static str) -> Plan {
    Plan {
        name,
        work: Work::Churn {
            low: 8 << 10,
            octaves: 7,
        },
        share: 1,
    }
}

pub const PLAN: [Plan; 4] = [part("first"), part("second"), part("third"), part("fourth")];
