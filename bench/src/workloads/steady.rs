//! The same work all the time, in four parts: what a learned cache is worth when there is one thing to learn.

use super::{
    cases_of, phases,
    phases::{check_threads, Plan, Work},
    Case, Outcome, Request, Setting, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "steady",
    what: "a random working set of 8 KiB to 1 MiB, in four parts",
    variants: &[("all", "the only one")],
    cases,
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

const PLAN: [Plan; 4] = [part("first"), part("second"), part("third"), part("fourth")];

fn cases(request: &Request) -> Result<Vec<Case>, String> {
    let cases = cases_of(&WORKLOAD, SETTINGS, request);
    cases.iter().try_for_each(check_threads)?;
    Ok(cases)
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    phases::run::<A, CHECK>(case, &PLAN)
}
