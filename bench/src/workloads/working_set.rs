//! The engine of the workloads with a working set: slots full of blocks, of which a random one is replaced in each step, and,
//! where blocks cross, freed by another thread now and then.

use super::{
    block::{free_rest, Block},
    measured, Case, Outcome, Tally, Tiers,
};
use crate::{
    peers::Peer,
    ring::{Receiver, Ring, Sender},
    rng::Rng,
};

/// The blocks of one thread, its random choices and its count.
pub struct WorkingSet {
    pub rng: Rng,
    pub slots: Vec<Block>,
    pub tally: Tally,
}

impl WorkingSet {
    /// All slots filled by `make`, before the clock starts.
    pub fn new(case: &Case, index: usize, make: impl Fn(&mut Rng, &mut Tally) -> Block) -> Self {
        let mut rng = Rng::new(case.seed, index as u64);
        let mut tally = Tally::default();
        let slots = (0..case.slots.max(1)).map(|_| make(&mut rng, &mut tally)).collect();
        tally.set_up();
        WorkingSet { rng, slots, tally }
    }

    /// Frees random blocks and allocates others in their place: `ops` operations, which are half as many steps.
    #[inline]
    pub fn replace<A: Peer, const CHECK: bool>(&mut self, ops: u64, make: impl Fn(&mut Rng, &mut Tally) -> Block) {
        let WorkingSet { rng, slots, tally } = self;
        for _ in 0..ops.div_ceil(2) {
            let index = rng.below(slots.len());
            let slot = &mut slots[index];
            slot.release::<A, CHECK>(tally);
            *slot = make(rng, tally);
        }
    }
}

/// Runs a case in which every thread replaces blocks of a working set of its own.
pub fn run<A: Peer, const CHECK: bool>(case: &Case, make: impl Fn(&mut Rng, &mut Tally) -> Block + Sync) -> Outcome {
    measured::<A, _>(
        case,
        |index| WorkingSet::new(case, index, &make),
        |set| set.replace::<A, CHECK>(case.ops, &make),
        |set| free_rest::<A, CHECK>(set.slots, set.tally),
    )
}

/// One block in this many crosses.
const CROSSES: u64 = 10;
const QUEUE: usize = 256;

/// Queues for the blocks that cross.
pub fn queues(threads: usize) -> Vec<Ring<Block>> {
    (0..threads).map(|_| Ring::new(QUEUE)).collect()
}

/// A working set of which one block in ten is freed by the next thread in a circle. What does not fit into the queue is freed
/// where it is.
pub struct Crossing<'a> {
    set: WorkingSet,
    to_next: Sender<'a, Block>,
    from_last: Receiver<'a, Block>,
}

impl<'a> Crossing<'a> {
    pub fn new(set: WorkingSet, (to_next, from_last): (Sender<'a, Block>, Receiver<'a, Block>)) -> Self {
        Crossing {
            set,
            to_next,
            from_last,
        }
    }

    /// Replaces random blocks until the thread has done `ops` operations.
    #[inline]
    pub fn replace<A: Peer, const CHECK: bool>(&mut self, ops: u64, make: impl Fn(&mut Rng, &mut Tally) -> Block) {
        let WorkingSet { rng, slots, tally } = &mut self.set;
        while tally.ops() < ops {
            if let Some(block) = self.from_last.pop() {
                block.release::<A, CHECK>(tally);
            }
            let draw = rng.draw();
            let index = rng.below(slots.len());
            let slot = &mut slots[index];
            let crosses = (draw >> 32) * CROSSES < 1 << 32;
            if !(crosses && self.to_next.push(*slot)) {
                slot.release::<A, CHECK>(tally);
            }
            *slot = make(rng, tally);
        }
    }

    /// Frees what is left, when all threads have ended their work: nothing comes after what is in the queue then.
    pub fn finish<A: Peer, const CHECK: bool>(mut self) -> (Tally, Tiers) {
        let crossing = std::iter::from_fn(|| self.from_last.pop());
        free_rest::<A, CHECK>(self.set.slots.into_iter().chain(crossing), self.set.tally)
    }
}
