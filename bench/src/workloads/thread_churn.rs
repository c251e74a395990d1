//! Threads that live briefly: each frees what its predecessor left, allocates, frees half of that, and ends.
//!
//! After mstress of mimalloc (Leijen, github.com/microsoft/mimalloc, test/test-stress.c), where threads end with live blocks
//! that others then free, and after servers with a thread for each connection. Starting and ending threads is part of this
//! work, and so is timed; the thread's own cost (stack, kernel) is the same for all allocators.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "thread-churn",
    what: "threads that start (which is timed), allocate, end, and leave blocks",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the blocks that a thread allocates; two rows of threads run beside each other.
const SETTINGS: &[Setting] = &[("all", 2, 400_000, 200)];

const STACK: usize = 128 << 10;

struct Row {
    rng: Rng,
    /// What the last thread of this row left behind. It has room for what a thread allocates.
    survivors: Vec<Block>,
    tally: Tally,
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let count = case.slots.max(2);
    Ok(measured::<A, _>(
        case,
        |index| Row {
            rng: Rng::new(case.seed, index as u64),
            survivors: Vec::with_capacity(count),
            tally: Tally::default(),
        },
        |row| {
            while row.tally.ops() < case.ops {
                std::thread::scope(|scope| {
                    let thread = std::thread::Builder::new().stack_size(STACK);
                    let thread = thread.spawn_scoped(scope, || short_life::<A, CHECK>(row, count));
                    thread.map(|thread| thread.join().expect("no thread panics"))
                })
                .expect("the system can start another thread");
            }
        },
        |row| free_rest::<A, CHECK>(row.survivors, row.tally),
    ))
}

fn short_life<A: Peer, const CHECK: bool>(row: &mut Row, count: usize) {
    A::thread_start();
    let Row { rng, survivors, tally } = row;
    survivors.drain(..).for_each(|block| block.release::<A, CHECK>(tally));
    for _ in 0..count {
        let draw = rng.draw();
        survivors.push(Block::allocate::<A, CHECK>(
            sizes::skewed(draw, 16, 1024),
            ALIGN,
            draw,
            tally,
        ));
    }
    // Every second one, so that survivors and free memory lie between each other.
    let mut index = 0;
    survivors.retain(|block| {
        index += 1;
        if index % 2 == 0 {
            block.release::<A, CHECK>(tally);
        }
        index % 2 != 0
    });
    A::thread_end();
}
