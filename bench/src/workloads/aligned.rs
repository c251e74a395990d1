//! Alignments of 8, 16, 32 and 64 bytes, sizes from 16 to 512, in a random working set.
//!
//! No published benchmark is known that mixes alignments as Rust programs do (SIMD vectors, cache-line padding). Sizes are
//! not rounded to the alignment, as a `Layout` need not be. An address that is not aligned counts as corrupt.

use super::{block::Block, sizes, working_set, Case, Outcome, Setting, Workload};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "aligned",
    what: "alignments of 8 to 64, 16 to 512 B, in a random working set",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 3_000_000, 4_000)];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        let align = 8 << ((draw >> 8) & 3);
        Block::allocate::<A, CHECK>(sizes::uniform(draw, 16, 512), align, draw, tally)
    }))
}
