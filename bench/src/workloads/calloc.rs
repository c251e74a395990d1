//! Zeroed blocks (`alloc_zeroed`, C's `calloc`) of 16 B to 4 KiB in a random working set.
//!
//! No published benchmark is known that does this with small blocks. Three bytes of each new block are compared with zero and
//! then written, so that memory which comes back has to be cleared; the allocator may know which memory is still zero.

use super::{block::Block, sizes, working_set, Case, Outcome, Setting, Workload};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "calloc",
    what: "zeroed blocks of 16 B to 4 KiB in a random working set",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 2_000_000, 2_000)];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        Block::zeroed::<A, CHECK>(sizes::octaves(draw, 16, 8), draw, tally)
    }))
}
