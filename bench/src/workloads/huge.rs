//! Blocks of 5 to 25 MiB, allocated, filled and freed in random order.
//!
//! After malloc-large of mimalloc-bench (Leijen, github.com/daanx/mimalloc-bench): a few live blocks, a random one of which
//! is replaced by another of 5 to 25 MiB.

use super::{
    block::{Block, ALIGN},
    sizes, working_set, Case, Outcome, Setting, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "huge",
    what: "blocks of 5 to 25 MiB, filled, and freed in random order",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 200, 10)];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        let block = Block::allocate::<A, CHECK>(sizes::uniform(draw, 5 << 20, 25 << 20), ALIGN, draw, tally);
        block.fill();
        block
    }))
}
