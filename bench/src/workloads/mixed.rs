//! Blocks of 16 B to 32 KiB in a random working set; one in ten is freed by the next thread.
//!
//! After rpmalloc-benchmark (Jansson, github.com/mjansson/rpmalloc-benchmark): random sizes over several size classes and a
//! rate at which blocks cross threads. Each doubling of the size is equally likely. Blocks cross through bounded queues in a
//! circle of threads; what does not fit is freed where it is.

use super::{
    block::{free_rest, Block, ALIGN},
    cases_of, outcome, sizes, timed,
    working_set::WorkingSet,
    Case, HandOut, Outcome, Request, Setting, Tally, Workload,
};
use crate::{
    peers::Peer,
    ring::{Receiver, Ring, Sender},
    rng::Rng,
};

pub const WORKLOAD: Workload = Workload {
    name: "mixed",
    what: "a random working set of 16 B to 32 KiB, a tenth freed by others",
    variants: &[("all", "the only one")],
    cases: |request: &Request| Ok(cases_of(&WORKLOAD, SETTINGS, request)),
};

const SETTINGS: &[Setting] = &[("all", 2, 1_500_000, 2000)];

/// One block in this many crosses.
const CROSSES: u64 = 10;
const QUEUE: usize = 256;

struct Part<'a> {
    set: WorkingSet,
    to_next: Sender<'a, Block>,
    from_last: Receiver<'a, Block>,
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(sizes::octaves(draw, 16, 11), ALIGN, draw, tally)
    };
    let mut rings: Vec<Ring<Block>> = (0..case.threads).map(|_| Ring::new(QUEUE)).collect();
    let ends = HandOut::new(Ring::circle(&mut rings));
    let (timing, results) = timed::<A, _, _>(
        case.threads,
        |index| {
            let (to_next, from_last) = ends.take(index);
            Part {
                set: WorkingSet::new(case, index, make),
                to_next,
                from_last,
            }
        },
        |part| {
            let WorkingSet { rng, slots, tally } = &mut part.set;
            while tally.ops() < case.ops {
                if let Some(block) = part.from_last.pop() {
                    block.release::<A, CHECK>(tally);
                }
                let draw = rng.draw();
                let index = rng.below(slots.len());
                let slot = &mut slots[index];
                let crosses = (draw >> 32) * CROSSES < 1 << 32;
                if !(crosses && part.to_next.push(*slot)) {
                    slot.release::<A, CHECK>(tally);
                }
                *slot = make(rng, tally);
            }
        },
        |mut part| {
            // All threads have ended their work: nothing comes after what is in the queue now.
            let crossing = std::iter::from_fn(|| part.from_last.pop());
            free_rest::<A, CHECK>(part.set.slots.into_iter().chain(crossing), part.set.tally)
        },
    );
    Ok(outcome(timing, results))
}
