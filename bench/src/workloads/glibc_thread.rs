//! Every thread replaces random blocks of a small working set, of 4 B to 32 KiB, small ones mostly.
//!
//! After malloc-thread of glibc's benchmark suite (benchtests/bench-malloc-thread.c, Will Newton, 2013): sizes whose frequency
//! falls with their square root, a thousand blocks a thread, and many threads that share nothing.

use super::{
    block::{Block, ALIGN},
    sizes, working_set, Case, Outcome, Setting, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "glibc-thread",
    what: "a working set of 4 B to 32 KiB for each thread",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[
    ("all", 1, 1_500_000, 1024),
    ("all", 2, 1_000_000, 1024),
    ("all", 8, 250_000, 1024),
];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(sizes::squares(draw, 2, 181), ALIGN, draw, tally)
    }))
}
