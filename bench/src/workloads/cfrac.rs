//! Numbers of some digits: each step of a computation allocates its result and frees what it was made of.
//!
//! After cfrac (Dave Barrett's factoring by continued fractions, in the suite of Zorn and Grunwald, "Empirical Measurements of Six
//! Allocation-Intensive C Programs", 1992, and in mimalloc-bench): one thread, blocks below 64 bytes, of which nearly all are
//! freed a few allocations later. A step is `q = (a * b + c) / d` with the remainder: only the sizes are computed.

use super::{
    block::{free_rest, Block, ALIGN},
    measured,
    working_set::WorkingSet,
    Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "cfrac",
    what: "numbers of 12 to 52 B, most of them freed at once",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the numbers that live longer.
const SETTINGS: &[Setting] = &[("all", 1, 4_000_000, 64)];

/// Sign, length and count of references; then 4 bytes a digit.
const HEAD: usize = 8;
/// The digits of the number that is factored.
const MOST: usize = 5;

fn number<A: Peer, const CHECK: bool>(digits: usize, stamp: u64, tally: &mut Tally) -> Block {
    Block::allocate::<A, CHECK>(HEAD + 4 * digits, ALIGN, stamp, tally)
}

fn digits(block: &Block) -> usize {
    (block.size() - HEAD) / 4
}

/// One step, which replaces two numbers by quotient and remainder: eight operations.
fn step<A: Peer, const CHECK: bool>(set: &mut WorkingSet) {
    let WorkingSet { rng, slots, tally } = set;
    let draw = rng.draw();
    let [a, b, c, d] = [0; 4].map(|_| rng.below(slots.len()));
    let product = number::<A, CHECK>(digits(&slots[a]) + digits(&slots[b]), draw, tally);
    let sum = number::<A, CHECK>(digits(&product).max(digits(&slots[c])) + 1, draw >> 8, tally);
    product.release::<A, CHECK>(tally);
    let divisor = digits(&slots[d]);
    let quotient = number::<A, CHECK>(digits(&sum).saturating_sub(divisor).clamp(1, MOST), draw >> 16, tally);
    // A remainder is sometimes shorter than the divisor.
    let shorter = usize::from(draw >> 62 == 0);
    let remainder = number::<A, CHECK>((divisor - shorter).max(1), draw >> 24, tally);
    sum.release::<A, CHECK>(tally);
    for (place, result) in [(a, quotient), (c, remainder)] {
        std::mem::replace(&mut slots[place], result).release::<A, CHECK>(tally);
    }
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        number::<A, CHECK>(1 + (draw >> 32) as usize % MOST, draw, tally)
    };
    Ok(measured::<A, _>(
        case,
        |index| WorkingSet::new(case, index, make),
        |set| (0..case.ops.div_ceil(8)).for_each(|_| step::<A, CHECK>(set)),
        |set| free_rest::<A, CHECK>(set.slots, set.tally),
    ))
}
