//! Matrices of 100 KiB to 8 MiB, each computed (written as a whole) when it is allocated, in a random working set.
//!
//! The pattern of numeric programs: every operation makes a temporary of the size of its operands. No published benchmark is
//! known that isolates it.

use super::{block::Block, sizes, working_set, Case, Outcome, Setting, Workload};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "matrices",
    what: "matrices of 100 KiB to 8 MiB, filled, in a random working set",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 600, 16)];

/// As libraries of linear algebra ask for.
const MATRIX_ALIGN: usize = 64;

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(working_set::run::<A, CHECK>(case, |rng, tally| {
        let draw = rng.draw();
        let size = sizes::octaves(draw, 100 << 10, 7).min(8 << 20);
        let matrix = Block::allocate::<A, CHECK>(size, MATRIX_ALIGN, draw, tally);
        matrix.fill();
        matrix
    }))
}
