//! A million blocks of mixed small sizes, allocated one after another, then all freed: in the order in which they were
//! allocated, or in a random one.
//!
//! Measures what working sets of constant size leave out: carving up fresh memory, refilling and overflowing caches, and
//! giving whole pages back. The phases are those of a compiler or a query; the orders of release are two of those that Wilson
//! et al. ("Dynamic Storage Allocation: A Survey and Critical Review", 1995) find in programs. The second pass gets memory
//! that the first one freed.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "bulk",
    what: "a million blocks of 16 to 256 B, allocated, then all freed",
    variants: &[
        ("in order", "freed in the order of their allocation"),
        ("random", "freed in a random order"),
    ],
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[
    ("in order", 1, 4_000_000, 1_000_000),
    ("random", 1, 4_000_000, 1_000_000),
];

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let random = match case.variant.as_str() {
        "in order" => false,
        "random" => true,
        _ => return Err(super::no_variant(case)),
    };
    // With few operations, fewer blocks: at least one pass is made.
    let count = case.slots.min(case.ops as usize / 2).max(1);
    struct Bulk {
        rng: Rng,
        blocks: Vec<Block>,
        /// In which order they are freed.
        order: Vec<u32>,
        tally: Tally,
    }
    Ok(measured::<A, _>(
        case,
        |index| {
            let mut rng = Rng::new(case.seed, index as u64);
            let mut order: Vec<u32> = (0..count as u32).collect();
            if random {
                // Fisher and Yates.
                (1..count).rev().for_each(|i| order.swap(i, rng.below(i + 1)));
            }
            Bulk {
                rng,
                blocks: vec![Block::NONE; count],
                order,
                tally: Tally::default(),
            }
        },
        |bulk| {
            let Bulk {
                rng,
                blocks,
                order,
                tally,
            } = bulk;
            while tally.ops() < case.ops {
                for block in &mut *blocks {
                    let draw = rng.draw();
                    *block = Block::allocate::<A, CHECK>(sizes::skewed(draw, 16, 256), ALIGN, draw, tally);
                }
                for &index in &*order {
                    blocks[index as usize].release::<A, CHECK>(tally);
                }
            }
        },
        |bulk| free_rest::<A, CHECK>([], bulk.tally),
    ))
}
