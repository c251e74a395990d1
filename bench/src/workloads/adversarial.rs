//! Batches of 8 to 40 blocks of one size, of a number that swings around what a cache might hold.
//!
//! The swing itself grows and fades, so that whatever capacity was good for the last batches is wrong for the next: a policy
//! that follows each of them works for nothing. The worst that can be done to a learned cache, not the pattern of a program.

use super::{
    phases::{check_threads, Plan, Work},
    Setting, Workload,
};

pub const WORKLOAD: Workload = Workload {
    name: "adversarial",
    what: "batches of 8 to 40 blocks of one size, whose number swings",
    settings: SETTINGS,
    check: check_threads,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 2, 72_000_000, 1)];

const MIDDLE: usize = 24;
const MOST: usize = 16;

/// From 0 to MOST and back, one up or down in `step` batches.
const fn swing(batch: usize, step: usize) -> usize {
    let place = batch / step % (2 * MOST);
    if place <= MOST {
        place
    } else {
        2 * MOST - place
    }
}

/// Above and below the middle in turns, batch by batch.
fn fast(batch: usize) -> usize {
    let by = swing(batch, 64);
    if batch % 2 == 0 {
        MIDDLE + by
    } else {
        MIDDLE - by
    }
}

/// The same, but a thousand batches above and a thousand below.
fn slow(batch: usize) -> usize {
    let by = swing(batch, 4096);
    if batch / 1000 % 2 == 0 {
        MIDDLE + by
    } else {
        MIDDLE - by
    }
}

const fn plan(name: &'static str, kib: usize, blocks: fn(usize) -> usize, share: u64) -> Plan {
    let size = kib << 10;
    Plan {
        name,
        work: Work::Batches { size, blocks },
        share,
    }
}

pub const PLAN: [Plan; 8] = [
    plan("12 KiB, fast", 12, fast, 8),
    plan("12 KiB, slow", 12, slow, 8),
    plan("48 KiB, fast", 48, fast, 6),
    plan("48 KiB, slow", 48, slow, 6),
    plan("160 KiB, fast", 160, fast, 4),
    plan("160 KiB, slow", 160, slow, 4),
    plan("1 MiB, fast", 1024, fast, 2),
    plan("1 MiB, slow", 1024, slow, 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_swing_between_8_and_40_blocks() {
        for (blocks, period) in [(fast as fn(usize) -> usize, 64 * 32), (slow, 4096 * 32)] {
            let all: Vec<usize> = (0..period).map(blocks).collect();
            assert_eq!((all.iter().min(), all.iter().max()), (Some(&8), Some(&40)));
        }
    }
}
