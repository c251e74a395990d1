//! Two tests of false sharing: a thread allocates a small block, writes to it many times, frees it, and begins again.
//!
//! After cache-thrash and cache-scratch of Berger, McKinley, Blumofe and Wilson, "Hoard: A Scalable Memory Allocator for
//! Multithreaded Applications", ASPLOS 2000. An allocator that gives blocks of one cache line to two threads makes both slow:
//!
//! - `cache-thrash` (active): its threads only allocate.
//! - `cache-scratch` (passive): one thread first gives a block, of a line shared with others, to each thread. These free it,
//!   and an allocator that hands it out to them again keeps the line shared.
//!
//! Every thread does the same work. The slowdown is twice the speed with one thread, divided by that with two.

use std::sync::Barrier;

use super::{
    block::{free_rest, Block, ALIGN},
    measured, Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::peers::Peer;

pub const SCRATCH: Workload = Workload {
    name: "cache-scratch",
    what: "passive false sharing: threads got blocks of one cache line",
    settings: SETTINGS,
    ..Workload::PLAIN
};

pub const THRASH: Workload = Workload {
    name: "cache-thrash",
    what: "active false sharing: threads allocate, write, free",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are how often a block is written.
const SETTINGS: &[Setting] = &[("all", 1, 400_000, 100), ("all", 2, 400_000, 100)];

const SIZE: usize = 8;

pub fn run<A: Peer, const CHECK: bool, const PASSIVE: bool>(case: &Case) -> Result<Outcome, String> {
    let times = case.slots as u32;
    let gifts = std::sync::OnceLock::new();
    let given = Barrier::new(case.threads);
    Ok(measured::<A, _>(
        case,
        |index| {
            let mut tally = Tally::default();
            if !PASSIVE {
                return (None, tally);
            }
            if index == 0 {
                let blocks = (0..case.threads).map(|i| Block::allocate::<A, CHECK>(SIZE, ALIGN, i as u64, &mut tally));
                let all = HandOut::new(blocks);
                tally.set_up();
                let _ = gifts.set(all);
            }
            given.wait();
            (gifts.get().map(|all| all.take(index)), tally)
        },
        |(gift, tally)| {
            if let Some(block) = gift.take() {
                block.hammer(times);
                block.release::<A, CHECK>(tally);
            }
            while tally.ops() < case.ops {
                let block = Block::allocate::<A, CHECK>(SIZE, ALIGN, tally.allocs, tally);
                block.hammer(times);
                block.release::<A, CHECK>(tally);
            }
        },
        |(_, tally)| free_rest::<A, CHECK>([], tally),
    ))
}
