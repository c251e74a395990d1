//! The engine of the workloads with a working set: slots full of blocks, of which a random one is replaced in each step.

use super::{
    block::{free_rest, Block},
    outcome, timed, Case, Outcome, Tally,
};
use crate::{peers::Peer, rng::Rng};

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
    let (timing, results) = timed::<A, _, _>(
        case.threads,
        |index| WorkingSet::new(case, index, &make),
        |set| set.replace::<A, CHECK>(case.ops, &make),
        |set| free_rest::<A, CHECK>(set.slots, set.tally),
    );
    outcome(timing, results)
}
