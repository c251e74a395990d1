//! Batches of mixed sizes, freed in mixed order: one half newest first, the other half oldest first and later.
//!
//! After sh6bench and sh8bench (MicroQuill, the benchmarks of SmartHeap, as mimalloc-bench describes them): blocks of up to 1000
//! bytes, small ones mostly, of which some are freed last in, first out and others the other way round. In sh8bench threads
//! free blocks of each other; here every thread hands the older half of each batch to the next one in a circle.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{
    peers::Peer,
    ring::{Receiver, Ring, Sender},
    rng::Rng,
};

pub const SIX: Workload = Workload {
    name: "sh6bench",
    what: "batches of 1 to 1000 B, half freed newest first, half oldest first",
    settings: &[("all", 2, 2_000_000, 500)],
    ..Workload::PLAIN
};

pub const EIGHT: Workload = Workload {
    name: "sh8bench",
    what: "the same, but the half that is freed oldest first by another thread",
    settings: EIGHT_SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the blocks of a batch.
const EIGHT_SETTINGS: &[Setting] = &[("all", 2, 2_000_000, 500), ("all", 8, 500_000, 500)];

struct Part<'a> {
    rng: Rng,
    batch: Vec<Block>,
    /// The half of the last batch that is still to be freed, by this thread.
    kept: Vec<Block>,
    to_next: Sender<'a, Block>,
    from_last: Receiver<'a, Block>,
    tally: Tally,
}

pub fn run<A: Peer, const CHECK: bool, const HANDED: bool>(case: &Case) -> Result<Outcome, String> {
    let half = case.slots.div_ceil(2);
    // Queues that hold some halves, so that a thread rarely waits for the next one, and never in a circle.
    let mut rings: Vec<Ring<Block>> = (0..case.threads).map(|_| Ring::new(4 * half)).collect();
    let ends = HandOut::new(Ring::circle(&mut rings));
    Ok(measured::<A, _>(
        case,
        |index| {
            let (to_next, from_last) = ends.take(index);
            Part {
                rng: Rng::new(case.seed, index as u64),
                batch: Vec::with_capacity(2 * half),
                kept: Vec::with_capacity(half),
                to_next,
                from_last,
                tally: Tally::default(),
            }
        },
        |part| {
            for _ in 0..case.ops.div_ceil(4 * half as u64) {
                part.pass::<A, CHECK, HANDED>(half);
            }
            part.kept
                .drain(..)
                .for_each(|block| block.release::<A, CHECK>(&mut part.tally));
        },
        |part| free_rest::<A, CHECK>([], part.tally),
    ))
}

impl Part<'_> {
    fn pass<A: Peer, const CHECK: bool, const HANDED: bool>(&mut self, half: usize) {
        for _ in 0..2 * half {
            let draw = self.rng.draw();
            let size = sizes::skewed(draw, 1, 1000);
            self.batch
                .push(Block::allocate::<A, CHECK>(size, ALIGN, draw, &mut self.tally));
        }
        for block in self.batch.drain(half..).rev() {
            block.release::<A, CHECK>(&mut self.tally);
        }
        if HANDED {
            self.to_next.push_all(&self.batch);
            self.batch.clear();
            self.from_last
                .pop_all(half, |block| block.release::<A, CHECK>(&mut self.tally));
        } else {
            self.kept
                .drain(..)
                .for_each(|block| block.release::<A, CHECK>(&mut self.tally));
            std::mem::swap(&mut self.batch, &mut self.kept);
        }
    }
}
