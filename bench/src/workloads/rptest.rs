//! Blocks of up to 16000 bytes replaced at scattered places of a working set; every second time, more are handed to the next
//! thread, which frees them.
//!
//! After rpmalloc-benchmark (Jansson, github.com/mjansson/rpmalloc-benchmark), as mimalloc-bench runs it (rptest): a tenth of
//! the blocks is replaced in a loop, blocks cross threads in every second loop, and sizes fall linearly or exponentially.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, no_variant, sizes,
    working_set::WorkingSet,
    Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, ring::Ring, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "rptest",
    what: "scattered replacements of 16 B to 16 KB, a third freed by others",
    variants: &[
        ("linear", "the number of blocks falls linearly with their size"),
        ("exponential", "each doubling of the size is equally likely"),
    ],
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[
    ("linear", 2, 600_000, 1000),
    ("linear", 8, 150_000, 1000),
    ("exponential", 2, 600_000, 1000),
];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    match case.variant.as_str() {
        "linear" => Ok(loops::<A, CHECK>(case, |draw| sizes::falling(draw, 16, 16_000))),
        "exponential" => Ok(loops::<A, CHECK>(case, |draw| sizes::octaves(draw, 16, 10))),
        _ => Err(no_variant(case)),
    }
}

fn loops<A: Peer, const CHECK: bool>(case: &Case, size: impl Fn(u64) -> usize + Sync) -> Outcome {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(size(draw), ALIGN, draw, tally)
    };
    let count = (case.slots / 10).max(1);
    // Queues that hold what is handed over in some loops, so that a thread rarely waits for the next one, and never in a circle.
    let mut rings: Vec<Ring<Block>> = (0..case.threads).map(|_| Ring::new(4 * count)).collect();
    let ends = HandOut::new(Ring::circle(&mut rings));
    measured::<A, _>(
        case,
        |index| {
            let handed: Vec<Block> = Vec::with_capacity(count);
            (WorkingSet::new(case, index, make), ends.take(index), handed)
        },
        |(set, (to_next, from_last), handed)| {
            // Two replacements of `count` blocks and one handing over are six operations a block.
            for _ in 0..case.ops.div_ceil(6 * count as u64) {
                for _ in 0..2 {
                    let WorkingSet { rng, slots, tally } = &mut *set;
                    let len = slots.len();
                    let start = rng.below(len);
                    let place = |i: usize| (start + i * (len / count)) % len;
                    (0..count).for_each(|i| slots[place(i)].release::<A, CHECK>(tally));
                    (0..count).for_each(|i| slots[place(i)] = make(rng, tally));
                }
                let WorkingSet { rng, tally, .. } = &mut *set;
                handed.extend((0..count).map(|_| make(rng, tally)));
                to_next.push_all(handed);
                handed.clear();
                from_last.pop_all(count, |block| block.release::<A, CHECK>(tally));
            }
        },
        |(set, ..)| free_rest::<A, CHECK>(set.slots, set.tally),
    )
}
