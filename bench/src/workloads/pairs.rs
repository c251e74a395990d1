//! Blocks of one size, allocated by the hundred and freed, the newest or the oldest first.
//!
//! After malloc-simple of glibc's benchmark suite (benchtests/bench-malloc-simple.c, Wilco Dijkstra): a number of blocks of
//! one size is allocated, then all are freed. That the order of the releases makes a difference (the next allocation gets the
//! warmest or the coldest block) is Wilson et al., "Dynamic Storage Allocation: A Survey and Critical Review", 1995.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, Case, Outcome, Setting, Tally, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "pairs",
    what: "blocks of one size, allocated by the hundred and freed",
    variants: &[
        ("lifo 16 B", "newest first"),
        ("lifo 64 B", "newest first"),
        ("lifo 256 B", "newest first"),
        ("lifo 1024 B", "newest first"),
        ("fifo 16 B", "oldest first"),
        ("fifo 64 B", "oldest first"),
        ("fifo 256 B", "oldest first"),
        ("fifo 1024 B", "oldest first"),
    ],
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[
    ("lifo 16 B", 1, 20_000_000, 100),
    ("lifo 64 B", 1, 20_000_000, 100),
    ("lifo 256 B", 1, 20_000_000, 100),
    ("lifo 1024 B", 1, 20_000_000, 100),
    ("fifo 16 B", 1, 20_000_000, 100),
    ("fifo 64 B", 1, 20_000_000, 100),
    ("fifo 256 B", 1, 20_000_000, 100),
    ("fifo 1024 B", 1, 20_000_000, 100),
];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let (lifo, size) = match case.variant.split(' ').collect::<Vec<_>>()[..] {
        [order @ ("lifo" | "fifo"), size, "B"] => (order == "lifo", size.parse().map_err(|_| super::no_variant(case))?),
        _ => return Err(super::no_variant(case)),
    };
    Ok(if lifo {
        repeat::<A, CHECK, true>(case, size)
    } else {
        repeat::<A, CHECK, false>(case, size)
    })
}

fn repeat<A: Peer, const CHECK: bool, const LIFO: bool>(case: &Case, size: usize) -> Outcome {
    measured::<A, _>(
        case,
        |_| (vec![Block::NONE; case.slots.max(1)], Tally::default()),
        |(blocks, tally)| {
            while tally.ops() < case.ops {
                for (i, block) in blocks.iter_mut().enumerate() {
                    *block = Block::allocate::<A, CHECK>(size, ALIGN, i as u64, tally);
                }
                if LIFO {
                    blocks.iter().rev().for_each(|block| block.release::<A, CHECK>(tally));
                } else {
                    blocks.iter().for_each(|block| block.release::<A, CHECK>(tally));
                }
            }
        },
        |(_, tally)| free_rest::<A, CHECK>([], tally),
    )
}
