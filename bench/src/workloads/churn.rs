//! One thread, a working set of random sizes, random replacements.
//!
//! After alloc-test ("Testing memory allocators: ptmalloc2, tcmalloc, hoard, jemalloc while trying to simulate real-world
//! loads", 'No Bugs' Hare, ithare.com, 2018): slots that are picked at random, sizes up to 1 KiB of which small ones are the
//! most frequent.

use super::{
    block::{Block, ALIGN},
    sizes, working_set, Case, Outcome, Setting, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "churn",
    what: "a random working set of 16 B to 1 KiB, small sizes mostly",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 3_000_000, 10_000)];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(sizes::skewed(draw, 16, 1024), ALIGN, draw, tally)
    }))
}
