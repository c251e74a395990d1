//! Half of the threads only allocate, the other half only free; batches of blocks go from one to the other through one list.
//!
//! After xmalloc-test (Lever and Boreham, "malloc() Performance in a Multithreaded Linux Environment", USENIX 2000), as it is
//! in the benchmarks of SuperMalloc (Kuszmaul, ISMM 2015) and mimalloc-bench: many threads allocate blocks of several sizes and
//! append batches to a list under a lock, many others take batches off it and free them. `prodcons` is the same without the
//! one list. Who comes to a full or an empty list sleeps. A single thread does both in turn.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex},
};

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "xmalloc",
    what: "half of the threads allocate batches of 16 B to 2 KiB, half free them",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the blocks of a batch.
const SETTINGS: &[Setting] = &[("all", 2, 1_500_000, 256), ("all", 8, 300_000, 256)];

/// How many batches exist for each thread.
const BATCHES: usize = 4;

type Batch = Vec<Block>;

struct List {
    full: VecDeque<Batch>,
    empty: Vec<Batch>,
    /// Batches that are still to be taken off the list.
    to_free: u64,
}

struct Shared {
    list: Mutex<List>,
    filled: Condvar,
    emptied: Condvar,
}

impl Shared {
    fn new(threads: usize, blocks: usize, batches: u64) -> Self {
        let count = BATCHES * threads;
        Shared {
            list: Mutex::new(List {
                full: VecDeque::with_capacity(count),
                empty: (0..count).map(|_| Vec::with_capacity(blocks)).collect(),
                to_free: batches,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// Waits for a batch to fill.
    fn take_empty(&self) -> Batch {
        let list = self.list.lock().expect("no thread panics");
        let mut list = self
            .emptied
            .wait_while(list, |list| list.empty.is_empty())
            .expect("no thread panics");
        list.empty.pop().expect("waited for it")
    }

    fn give_full(&self, batch: Batch) {
        self.list.lock().expect("no thread panics").full.push_back(batch);
        self.filled.notify_one();
    }

    /// Waits for a batch to free; None when there will be no more.
    fn take_full(&self) -> Option<Batch> {
        let list = self.list.lock().expect("no thread panics");
        let waits = |list: &mut List| list.full.is_empty() && list.to_free > 0;
        let mut list = self.filled.wait_while(list, waits).expect("no thread panics");
        let batch = list.full.pop_front()?;
        list.to_free -= 1;
        if list.to_free == 0 {
            self.filled.notify_all();
        }
        Some(batch)
    }

    fn give_empty(&self, batch: Batch) {
        self.list.lock().expect("no thread panics").empty.push(batch);
        self.emptied.notify_one();
    }
}

struct Part {
    rng: Rng,
    /// How many batches this thread fills.
    to_fill: u64,
    frees: bool,
    tally: Tally,
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let blocks = case.slots.max(1);
    let fillers = case.threads.div_ceil(2);
    // Of each thread that fills: so many that all operations together are those asked for.
    let batches = (case.ops * case.threads as u64).div_ceil(2 * (blocks * fillers) as u64);
    let shared = Shared::new(case.threads, blocks, batches * fillers as u64);
    Ok(measured::<A, _>(
        case,
        |index| Part {
            rng: Rng::new(case.seed, index as u64),
            to_fill: if index < fillers { batches } else { 0 },
            frees: index >= fillers || case.threads == 1,
            tally: Tally::default(),
        },
        |part| {
            let Part {
                rng,
                to_fill,
                frees,
                tally,
            } = part;
            for _ in 0..*to_fill {
                let mut batch = shared.take_empty();
                for _ in 0..blocks {
                    let draw = rng.draw();
                    batch.push(Block::allocate::<A, CHECK>(
                        sizes::octaves(draw, 16, 7),
                        ALIGN,
                        draw,
                        tally,
                    ));
                }
                shared.give_full(batch);
                if *frees {
                    free_one::<A, CHECK>(&shared, tally);
                }
            }
            while *frees && free_one::<A, CHECK>(&shared, tally) {}
        },
        |part| free_rest::<A, CHECK>([], part.tally),
    ))
}

/// Frees the blocks of a batch; false when there is none left.
fn free_one<A: Peer, const CHECK: bool>(shared: &Shared, tally: &mut Tally) -> bool {
    let Some(mut batch) = shared.take_full() else {
        return false;
    };
    batch.drain(..).for_each(|block| block.release::<A, CHECK>(tally));
    shared.give_empty(batch);
    true
}
