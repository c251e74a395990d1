//! Slots of which a few are picked most of the time: a full one is emptied, an empty one filled with a block of up to 1 KiB.
//!
//! After alloc-test (OLogN Technologies; "Testing memory allocators: ptmalloc2, tcmalloc, hoard, jemalloc while trying to simulate
//! real-world loads", 'No Bugs' Hare, ithare.com, 2018), as mimalloc-bench describes it: sizes follow Pareto's rule, and so does
//! how long blocks live. With `churn`, which replaces blocks at places that are all equally likely, it shares the source. Here
//! the set is large and the number of blocks is itself random, so caches are refilled and overflow.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "alloc-test",
    what: "slots, some far more busy than others, filled with 8 B to 1 KiB or emptied",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 2_000_000, 100_000), ("all", 2, 1_500_000, 100_000)];

struct Part {
    rng: Rng,
    slots: Vec<Option<Block>>,
    tally: Tally,
}

fn make<A: Peer, const CHECK: bool>(rng: &mut Rng, tally: &mut Tally) -> Block {
    let draw = rng.draw();
    Block::allocate::<A, CHECK>(sizes::skewed(draw, 8, 1024), ALIGN, draw, tally)
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(measured::<A, _>(
        case,
        |index| {
            let (mut rng, mut tally) = (Rng::new(case.seed, index as u64), Tally::default());
            // Half of them full, as they are in the long run.
            let slots = (0..case.slots.max(1)).map(|i| (i % 2 == 0).then(|| make::<A, CHECK>(&mut rng, &mut tally)));
            let slots = slots.collect();
            tally.set_up();
            Part { rng, slots, tally }
        },
        |part| {
            let Part { rng, slots, tally } = part;
            let last = slots.len() - 1;
            while tally.ops() < case.ops {
                let slot = &mut slots[sizes::skewed(rng.draw(), 0, last)];
                match slot.take() {
                    Some(block) => block.release::<A, CHECK>(tally),
                    None => *slot = Some(make::<A, CHECK>(rng, tally)),
                }
            }
        },
        |part| free_rest::<A, CHECK>(part.slots.into_iter().flatten(), part.tally),
    ))
}
