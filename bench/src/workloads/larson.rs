//! A server: threads replace random blocks of 8 to 1000 B in their slots, then end and hand the slots to a successor.
//!
//! After Larson and Krishnan, "Memory Allocation for Long-Running Server Applications", ISMM 1998. A thread frees blocks that
//! were allocated by its predecessors, which no longer exist: memory must not be lost with them. Here each chain has a fixed
//! number of generations, and all threads are started before the clock; that they take over and end is timed.

use std::{
    sync::mpsc::{channel, Receiver, Sender},
    thread::JoinHandle,
};

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes,
    working_set::WorkingSet,
    Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "larson",
    what: "a server: threads replace blocks of 8 to 1000 B, hand them on, and end",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 2, 8_000_000, 1000), ("all", 8, 2_000_000, 1000)];

/// Threads one after another in a chain.
const GENERATIONS: u64 = 10;

/// The threads of one chain, and the two ends of the way that the slots take through them.
struct Chain {
    first: Sender<WorkingSet>,
    last: Receiver<WorkingSet>,
    set: Option<WorkingSet>,
    threads: Vec<JoinHandle<()>>,
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        Block::allocate::<A, CHECK>(sizes::uniform(draw, 8, 1000), ALIGN, draw, tally)
    };
    Ok(measured::<A, _>(
        case,
        |index| {
            let mut threads = Vec::new();
            let (first, mut last) = channel::<WorkingSet>();
            for generation in 0..GENERATIONS {
                let (successor, next) = channel();
                let predecessor = std::mem::replace(&mut last, next);
                // The first ones make up for what the division leaves.
                let ops = case.ops / GENERATIONS + u64::from(generation < case.ops % GENERATIONS);
                threads.push(std::thread::spawn(move || {
                    A::thread_start();
                    if let Ok(mut set) = predecessor.recv() {
                        set.replace::<A, CHECK>(ops, make);
                        let _ = successor.send(set);
                    }
                    A::thread_end();
                }));
            }
            let set = Some(WorkingSet::new(case, index, make));
            Chain {
                first,
                last,
                set,
                threads,
            }
        },
        |chain| {
            let set = chain.set.take().expect("the work is done once");
            chain.first.send(set).expect("the first thread waits for it");
            chain.set = Some(chain.last.recv().expect("no thread panics"));
        },
        |chain| {
            for thread in chain.threads {
                thread.join().expect("no thread panics");
            }
            let set = chain.set.expect("the work was done");
            free_rest::<A, CHECK>(set.slots, set.tally)
        },
    ))
}
