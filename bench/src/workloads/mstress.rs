//! Threads that live for a phase and keep many blocks for long, use others briefly, and swap some with each other.
//!
//! After mstress (Leijen, github.com/microsoft/mimalloc, test/test-stress.c, as mimalloc-bench describes it): a server's threads
//! allocate in powers of two; some blocks are short-lived, some survive the phase and the thread, some migrate between threads;
//! not all threads have equal work; at the end of a phase all threads end, and new ones go on with what survived. Here the
//! migrating blocks are in places that are always full, so that the number of operations does not depend on who comes first.

use std::sync::Mutex;

use super::{
    block::{free_rest, Block, ALIGN},
    measured, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "mstress",
    what: "threads of a phase: long-lived, brief and migrating blocks to 16 KiB",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the long-lived blocks of the first thread; every second thread has half as many.
const SETTINGS: &[Setting] = &[("all", 2, 800_000, 4000), ("all", 8, 200_000, 4000)];

const PHASES: u64 = 4;
/// Places for migrating blocks.
const PLACES: usize = 1000;

type Places = Vec<Mutex<Block>>;

struct Part {
    rng: Rng,
    /// The migrating blocks are counted by the first thread.
    is_first: bool,
    retained: Vec<Block>,
    tally: Tally,
}

/// Half of all blocks have 16 B, a quarter 32 B, and so on to 16 KiB.
fn make<A: Peer, const CHECK: bool>(rng: &mut Rng, tally: &mut Tally) -> Block {
    let draw = rng.draw();
    let size = 16 << ((draw >> 32) | 1 << 10).trailing_zeros();
    Block::allocate::<A, CHECK>(size, ALIGN, draw, tally)
}

/// Puts a block into a place, and returns the one that was there.
fn swap(places: &Places, index: usize, block: Block) -> Block {
    std::mem::replace(&mut *places[index].lock().expect("no thread panics"), block)
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let places: Places = (0..PLACES.min(case.slots)).map(|_| Mutex::new(Block::NONE)).collect();
    let brief = (case.slots / 10).max(1);
    Ok(measured::<A, _>(
        case,
        |index| {
            let (mut rng, mut tally) = (Rng::new(case.seed, index as u64), Tally::default());
            let is_first = index == 0;
            if is_first {
                for place in 0..places.len() {
                    swap(&places, place, make::<A, CHECK>(&mut rng, &mut tally));
                }
            }
            let count = (case.slots / (1 + index % 2)).max(1);
            let retained = (0..count).map(|_| make::<A, CHECK>(&mut rng, &mut tally)).collect();
            tally.set_up();
            Part {
                rng,
                is_first,
                retained,
                tally,
            }
        },
        |part| {
            for _ in 0..PHASES {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        A::thread_start();
                        part.phase::<A, CHECK>(case.ops.div_ceil(2 * PHASES), brief, &places);
                        A::thread_end();
                    });
                });
            }
        },
        |part| {
            let migrating = if part.is_first { places.len() } else { 0 };
            let migrating = (0..migrating).map(|place| swap(&places, place, Block::NONE));
            free_rest::<A, CHECK>(part.retained.into_iter().chain(migrating), part.tally)
        },
    ))
}

impl Part {
    /// The life of a thread: so many steps, each an allocation and a release, with so many brief blocks.
    fn phase<A: Peer, const CHECK: bool>(&mut self, steps: u64, brief: usize, places: &Places) {
        let Part {
            rng, retained, tally, ..
        } = self;
        let kept = retained.len();
        let mut transient: Vec<Block> = (0..brief).map(|_| make::<A, CHECK>(rng, tally)).collect();
        for _ in 0..steps {
            let block = make::<A, CHECK>(rng, tally);
            let old = match rng.below(10) {
                0 => swap(places, rng.below(places.len()), block),
                1..4 => std::mem::replace(&mut retained[rng.below(kept)], block),
                _ => std::mem::replace(&mut transient[rng.below(brief)], block),
            };
            old.release::<A, CHECK>(tally);
        }
        transient.into_iter().for_each(|block| block.release::<A, CHECK>(tally));
    }
}
