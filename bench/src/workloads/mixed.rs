//! Blocks of 16 B to 32 KiB in a random working set; one in ten is freed by the next thread.
//!
//! After rpmalloc-benchmark (Jansson, github.com/mjansson/rpmalloc-benchmark): random sizes over several size classes and a
//! rate at which blocks cross threads. Each doubling of the size is equally likely. Blocks cross through bounded queues in a
//! circle of threads; what does not fit is freed where it is.

use super::{
    block::{Block, ALIGN},
    measured, sizes, working_set,
    working_set::{Crossing, WorkingSet},
    Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, ring::Ring, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "mixed",
    what: "a random working set of 16 B to 32 KiB, a tenth freed by others",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 2, 1_500_000, 2000)];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(sizes::octaves(draw, 16, 11), ALIGN, draw, tally)
    };
    let mut queues = working_set::queues(case.threads);
    let ends = HandOut::new(Ring::circle(&mut queues));
    Ok(measured::<A, _>(
        case,
        |index| Crossing::new(WorkingSet::new(case, index, make), ends.take(index)),
        |part| part.replace::<A, CHECK>(case.ops, make),
        |part| part.finish::<A, CHECK>(),
    ))
}
