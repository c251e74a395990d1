//! Sets of small blocks that are built from others, growing by `realloc`, and replace them.
//!
//! After espresso (the minimiser of logic functions from Berkeley, in the suite of Zorn and Grunwald, "Empirical Measurements of
//! Six Allocation-Intensive C Programs", 1992, and in mimalloc-bench): one thread. A cover, the block that holds cubes side by
//! side, doubles when it is full; for every cube that it gets a temporary one is made, combined and freed, and each cover is
//! soon replaced by a better one.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes,
    working_set::WorkingSet,
    Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "espresso",
    what: "sets that grow by realloc, 64 B to 2 KiB, and temporaries of 16 to 64 B",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the covers.
const SETTINGS: &[Setting] = &[("all", 1, 3_000_000, 500)];

/// What a new cover has room for, and the most that one gets.
const ROOM: usize = 4;
const MOST: usize = 32;

fn cover<A: Peer, const CHECK: bool>(rng: &mut Rng, tally: &mut Tally) -> Block {
    let draw = rng.draw();
    let cube_bytes = 8 * sizes::uniform(draw, 2, 8);
    let cubes = sizes::skewed(rng.draw(), 1, MOST);
    let mut cover = Block::allocate::<A, CHECK>(ROOM * cube_bytes, ALIGN, draw, tally);
    for cube in 0..cubes {
        let temporary = Block::allocate::<A, CHECK>(cube_bytes, ALIGN, cube as u64, tally);
        if cube * cube_bytes == cover.size() {
            cover.resize::<A, CHECK>(2 * cube * cube_bytes, tally);
        }
        temporary.release::<A, CHECK>(tally);
    }
    cover
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(measured::<A, _>(
        case,
        |index| {
            WorkingSet::new(case, index, |rng, tally| {
                Block::allocate::<A, CHECK>(ROOM * 16, ALIGN, rng.draw(), tally)
            })
        },
        |set| {
            let WorkingSet { rng, slots, tally } = set;
            while tally.ops() < case.ops {
                let better = cover::<A, CHECK>(rng, tally);
                let place = rng.below(slots.len());
                std::mem::replace(&mut slots[place], better).release::<A, CHECK>(tally);
            }
        },
        |set| free_rest::<A, CHECK>(set.slots, set.tally),
    ))
}
