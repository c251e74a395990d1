//! The engine of the workloads in phases: all threads enter and leave each of them together, and speed and memory are
//! noted for each. What a phase allocated is freed at its end, so that the memory then is what the allocator holds.
//!
//! Of each block only the first and the last byte are written: these workloads are about how blocks come and go.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Mutex,
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, HandOut, Outcome, Tally,
};
use crate::{
    gate::Gate,
    peers::Peer,
    ring::{relax, Receiver, Ring, Sender},
    rng::Rng,
    worker,
};

/// One phase of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    /// Of all threads.
    pub ops: u64,
    pub seconds: f64,
    /// At its end.
    pub rss_kib: u64,
}

/// What a phase does.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Each thread replaces random blocks of a working set, of `low` to `low << octaves` bytes.
    Churn { low: usize, octaves: usize },
    /// Every other thread allocates blocks of `low` to `high` bytes, its neighbour frees them; `swapped`: the other way round.
    Pipe { low: usize, high: usize, swapped: bool },
    /// So many blocks of one size are allocated and then freed; each time of another of a few sizes.
    Bursts { blocks: usize },
    /// A block or two of each of many size classes.
    Classes,
    /// Blocks of one size, as many as `blocks` says for each batch, are allocated and then freed.
    Batches { size: usize, blocks: fn(usize) -> usize },
}

/// A phase to come: its name, what it does, and its share of the operations.
pub struct Plan {
    pub name: &'static str,
    pub work: Work,
    pub share: u64,
}

const QUEUE: usize = 64;
const BURST_SIZES: [usize; 5] = [10 << 10, 24 << 10, 50 << 10, 120 << 10, 250 << 10];

/// A thread's part of a run.
struct Part<'a> {
    rng: Rng,
    tally: Tally,
    to_partner: Sender<'a, Block>,
    from_partner: Receiver<'a, Block>,
    is_even: bool,
    slots: usize,
}

/// Runs the plan, with an even number of threads.
pub fn run<A: Peer, const CHECK: bool>(case: &Case, plan: &[Plan]) -> Result<Outcome, String> {
    check_threads(case)?;
    let mut rings: Vec<Ring<Block>> = (0..case.threads).map(|_| Ring::new(QUEUE)).collect();
    let ends = HandOut::new(rings.chunks_mut(2).flat_map(Ring::circle));
    let gate = Gate::new(case.threads);
    let done: Vec<AtomicU64> = plan.iter().map(|_| AtomicU64::new(0)).collect();
    let phases = Mutex::new(Vec::new());
    let shares: u64 = plan.iter().map(|phase| phase.share).sum();
    let mut outcome = measured::<A, _>(
        case,
        |index| {
            let (to_partner, from_partner) = ends.take(index);
            let part = Part {
                rng: Rng::new(case.seed, index as u64),
                tally: Tally::default(),
                to_partner,
                from_partner,
                is_even: index % 2 == 0,
                slots: case.slots,
            };
            (index, part)
        },
        |(index, part)| {
            let gate = gate.guard();
            for (phase, done) in plan.iter().zip(&done) {
                gate.wait();
                let (start, before) = (Instant::now(), part.tally.ops());
                part.run::<A, CHECK>(phase.work, (case.ops * phase.share).div_ceil(shares));
                done.fetch_add(part.tally.ops() - before, Relaxed);
                gate.wait();
                if *index == 0 {
                    phases.lock().expect("no thread panics").push(Phase {
                        name: phase.name.into(),
                        ops: done.load(Relaxed),
                        seconds: start.elapsed().as_secs_f64(),
                        rss_kib: worker::rss_kib(),
                    });
                }
            }
        },
        |(_, part)| free_rest::<A, CHECK>([], part.tally),
    );
    outcome.phases = phases.into_inner().expect("no thread panics");
    Ok(outcome)
}

/// Whether a case has the number of threads that phases need.
pub fn check_threads(case: &Case) -> Result<(), String> {
    if case.threads % 2 == 0 {
        return Ok(());
    }
    Err(format!(
        "--threads {}: {} needs an even number",
        case.threads, case.workload
    ))
}

impl Part<'_> {
    fn run<A: Peer, const CHECK: bool>(&mut self, work: Work, ops: u64) {
        match work {
            Work::Churn { low, octaves } => self.churn::<A, CHECK>(ops, low, octaves),
            Work::Pipe { low, high, swapped } if self.is_even != swapped => self.produce::<A, CHECK>(ops, low, high),
            Work::Pipe { .. } => self.consume::<A, CHECK>(ops),
            Work::Bursts { blocks } => {
                let mut rng = self.rng.clone();
                let size = |_| BURST_SIZES[rng.below(BURST_SIZES.len())];
                self.batches::<A, CHECK>(ops, size, |_| blocks);
                self.rng.draw();
            }
            Work::Classes => self.classes::<A, CHECK>(ops),
            Work::Batches { size, blocks } => self.batches::<A, CHECK>(ops, |_| size, blocks),
        }
    }

    #[inline(always)]
    fn allocate<A: Peer, const CHECK: bool>(&mut self, size: impl FnOnce(u64) -> usize) -> Block {
        let draw = self.rng.draw();
        Block::allocate::<A, CHECK>(size(draw), ALIGN, draw, &mut self.tally)
    }

    fn churn<A: Peer, const CHECK: bool>(&mut self, ops: u64, low: usize, octaves: usize) {
        let end = self.tally.ops() + ops;
        let slots = (self.slots as u64).min(ops / 2).max(1);
        let mut set: Vec<Block> = (0..slots)
            .map(|_| self.allocate::<A, CHECK>(|draw| sizes::octaves(draw, low, octaves)))
            .collect();
        while self.tally.ops() + slots < end {
            let index = self.rng.below(set.len());
            set[index].release::<A, CHECK>(&mut self.tally);
            set[index] = self.allocate::<A, CHECK>(|draw| sizes::octaves(draw, low, octaves));
        }
        set.into_iter()
            .for_each(|block| block.release::<A, CHECK>(&mut self.tally));
    }

    fn produce<A: Peer, const CHECK: bool>(&mut self, ops: u64, low: usize, high: usize) {
        for _ in 0..ops {
            let block = self.allocate::<A, CHECK>(|draw| sizes::uniform(draw, low, high));
            let mut tries = 0;
            while !self.to_partner.push(block) {
                relax(&mut tries);
            }
        }
    }

    fn consume<A: Peer, const CHECK: bool>(&mut self, ops: u64) {
        for _ in 0..ops {
            let mut tries = 0;
            let block = loop {
                match self.from_partner.pop() {
                    Some(block) => break block,
                    None => relax(&mut tries),
                }
            };
            block.release::<A, CHECK>(&mut self.tally);
        }
    }

    fn batches<A: Peer, const CHECK: bool>(
        &mut self,
        ops: u64,
        mut size: impl FnMut(usize) -> usize,
        blocks: impl Fn(usize) -> usize,
    ) {
        let end = self.tally.ops() + ops;
        let mut batch = Vec::new();
        for number in 0.. {
            let left = end.saturating_sub(self.tally.ops());
            if left == 0 {
                return;
            }
            let (size, blocks) = (size(number), (blocks(number) as u64).min(left.div_ceil(2)));
            batch.extend((0..blocks).map(|_| self.allocate::<A, CHECK>(|_| size)));
            for block in batch.drain(..) {
                block.release::<A, CHECK>(&mut self.tally);
            }
        }
    }

    fn classes<A: Peer, const CHECK: bool>(&mut self, ops: u64) {
        /// Two blocks of each eighth of a doubling from 8 KiB to 1 MiB.
        const PLACES: usize = 2 * 8 * 7;
        let end = self.tally.ops() + ops;
        let mut places = [None::<Block>; PLACES];
        let mut live = 0;
        while self.tally.ops() + live < end {
            let place = self.rng.below(PLACES);
            if let Some(block) = places[place].take() {
                block.release::<A, CHECK>(&mut self.tally);
                live -= 1;
            } else {
                let class = place / 2;
                let base = (8usize << 10) << (class / 8);
                places[place] = Some(self.allocate::<A, CHECK>(|_| base + base / 8 * (class % 8)));
                live += 1;
            }
        }
        for block in places.into_iter().flatten() {
            block.release::<A, CHECK>(&mut self.tally);
        }
    }
}
