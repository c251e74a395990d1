//! Blocks of 8 to 32 KiB in a working set, by several threads: `bench_mid_large_mt <threads> <operations> <slots> <seed>`.
//!
//! - `own`: every thread has slots of its own. An operation picks a random slot: empty, it allocates a block of random size
//!   into it; full, it frees the block.
//! - `shared`: all threads use the same slots, swapped atomically, so a block is mostly freed by another thread than the one
//!   that allocated it. A step picks a random slot and either swaps a new block in or takes out what is there, and frees
//!   what it got.
//! - `pipe`: half of the threads only allocate, half only free; each pair is joined by a queue. The queues together hold as
//!   many blocks as half of the slots.
//!
//! An operation is one allocation or one release. A new block's first and last byte are written. What is left at the end is
//! freed after the clock has stopped.

use std::{
    alloc::{handle_alloc_error, Layout},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{measured, Case, HandOut, Outcome, Request, Tally, Tiers, Workload};
use crate::{
    peers::Peer,
    ring::{relax, Receiver, Ring, Sender},
    rng::Rng,
};

pub const WORKLOAD: Workload = Workload {
    name: "midlarge",
    what: "blocks of 8 to 32 KiB in a working set, by several threads",
    variants: &[
        ("own", "each thread allocates and frees in slots of its own"),
        ("shared", "all threads swap blocks through the same slots"),
        ("pipe", "half of the threads allocate, the others free"),
    ],
    cases: |_, request| cases(request),
    ..Workload::PLAIN
};

const SIZE_MIN: usize = 8 * 1024;
const SIZE_MAX: usize = 32 * 1024;
const SLOTS: usize = 2048;
const SEED: u64 = 42;

/// The cases measured by default: name, variant, threads, operations of each thread. The operations of the long ones are
/// chosen so that the fastest allocators run long enough to be timed well and the slowest ones do not take all the time.
const DEFAULTS: [(&str, &str, usize, u64); 6] = [
    ("own, short", "own", 2, 40_000),
    ("own, long", "own", 2, 6_000_000),
    ("shared", "shared", 2, 1_200_000),
    ("shared", "shared", 4, 500_000),
    ("pipe", "pipe", 2, 500_000),
    ("pipe", "pipe", 4, 400_000),
];

const QUICK_DIVISOR: u64 = 10;

fn cases(request: &Request) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (name, variant, threads, ops) in DEFAULTS {
        if !request.wants(variant) {
            continue;
        }
        let threads = request.threads.unwrap_or(threads);
        let ops = match request.ops {
            Some(ops) => ops,
            // The short one is the report's exact command line: it stays.
            None if request.quick && name != "own, short" => ops / QUICK_DIVISOR,
            None => ops,
        };
        if variant == "pipe" && threads % 2 != 0 {
            return Err(format!(
                "--threads {threads}: the variant pipe needs an even number (half of the threads allocate, half free)"
            ));
        }
        // Threads or operations from the command line can make two of the default cases the same.
        let name = if request.ops.is_some() { variant } else { name };
        let name = format!("{name}, {threads} thread{}", if threads == 1 { "" } else { "s" });
        if cases.iter().any(|case| case.name == name) {
            continue;
        }
        cases.push(Case {
            workload: WORKLOAD.name.into(),
            name,
            variant: variant.into(),
            threads,
            ops,
            slots: request.slots.unwrap_or(SLOTS),
            seed: request.seed.unwrap_or(SEED),
        });
    }
    Ok(cases)
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    match case.variant.as_str() {
        "own" => Ok(own::<A, CHECK>(case)),
        "shared" => Ok(shared::<A, CHECK>(case)),
        "pipe" => pipe::<A, CHECK>(case),
        other => Err(format!("midlarge has no variant {other}")),
    }
}

// ---- A block, packed into the word that a slot holds ---------------------------------------------------------------

/// Address in the lower 48 bits, size in the upper 16; 0 is no block. The release needs the size, and reading it from the
/// block would touch memory that the workload leaves alone.
type Word = u64;

const EMPTY: Word = 0;
const ADDRESS_BITS: u32 = 48;
const _: () = assert!(SIZE_MAX < 1 << (64 - ADDRESS_BITS));

#[inline(always)]
fn layout(size: usize) -> Layout {
    // SAFETY: 16 is a power of two, and sizes are far from overflowing.
    unsafe { Layout::from_size_align_unchecked(size, 16) }
}

#[inline(always)]
fn address(word: Word) -> *mut u8 {
    (word & ((1 << ADDRESS_BITS) - 1)) as usize as *mut u8
}

#[inline(always)]
fn allocate<A: Peer, const CHECK: bool>(rng: &mut Rng) -> Word {
    let size = SIZE_MIN + rng.below(SIZE_MAX - SIZE_MIN + 1);
    // SAFETY: the size is not zero; the bytes written are the block's.
    unsafe {
        let block = A::IT.alloc(layout(size));
        if block.is_null() {
            handle_alloc_error(layout(size));
        }
        assert!((block as u64) >> ADDRESS_BITS == 0, "an address of more than 48 bits");
        let stamp = stamp(block, size);
        if CHECK {
            block.write_bytes(stamp, size);
        } else {
            block.write(stamp);
            block.add(size - 1).write(stamp);
        }
        block as u64 | (size as u64) << ADDRESS_BITS
    }
}

#[inline(always)]
fn release<A: Peer, const CHECK: bool>(word: Word, tally: &mut Tally) {
    let (block, size) = (address(word), (word >> ADDRESS_BITS) as usize);
    // SAFETY: `word` came from `allocate` and is given up by the caller.
    unsafe {
        if CHECK {
            let stamp = stamp(block, size);
            let bytes = std::slice::from_raw_parts(block, size);
            tally.corrupt += u64::from(bytes.iter().any(|&byte| byte != stamp));
        }
        A::IT.dealloc(block, layout(size));
    }
}

#[inline(always)]
fn stamp(block: *mut u8, size: usize) -> u8 {
    ((block as usize >> 4) ^ size) as u8
}

fn count_tier<A: Peer>(word: Word, tiers: &mut Tiers) {
    if let Some(tier) = A::tier_of(address(word)) {
        *tiers.entry(tier.into()).or_default() += 1;
    }
}

// ---- The variants --------------------------------------------------------------------------------------------------

fn own<A: Peer, const CHECK: bool>(case: &Case) -> Outcome {
    struct Own {
        rng: Rng,
        slots: Vec<Word>,
        tally: Tally,
    }
    measured::<A, _>(
        case,
        |index| Own {
            rng: Rng::new(case.seed, index as u64),
            slots: vec![EMPTY; case.slots],
            tally: Tally::default(),
        },
        |own| {
            for _ in 0..case.ops {
                let slot = &mut own.slots[own.rng.below(case.slots)];
                if *slot == EMPTY {
                    *slot = allocate::<A, CHECK>(&mut own.rng);
                    own.tally.allocs += 1;
                } else {
                    release::<A, CHECK>(std::mem::take(slot), &mut own.tally);
                    own.tally.frees += 1;
                }
            }
        },
        |mut own| {
            let mut tiers = Tiers::new();
            for word in own.slots.into_iter().filter(|&word| word != EMPTY) {
                count_tier::<A>(word, &mut tiers);
                release::<A, CHECK>(word, &mut own.tally);
                own.tally.leftover += 1;
            }
            (own.tally, tiers)
        },
    )
}

fn shared<A: Peer, const CHECK: bool>(case: &Case) -> Outcome {
    struct Shared {
        rng: Rng,
        index: usize,
        tally: Tally,
    }
    let slots: Vec<AtomicU64> = (0..case.slots).map(|_| AtomicU64::new(EMPTY)).collect();
    measured::<A, _>(
        case,
        |index| Shared {
            rng: Rng::new(case.seed, index as u64),
            index,
            tally: Tally::default(),
        },
        |shared| {
            let (rng, tally) = (&mut shared.rng, &mut shared.tally);
            while tally.allocs + tally.frees < case.ops {
                let slot = &slots[rng.below(case.slots)];
                let new = if rng.coin() {
                    tally.allocs += 1;
                    allocate::<A, CHECK>(rng)
                } else {
                    EMPTY
                };
                // Release hands our block's bytes to whoever takes it; acquire gets those of the block taken out.
                let old = slot.swap(new, Ordering::AcqRel);
                if old != EMPTY {
                    release::<A, CHECK>(old, tally);
                    tally.frees += 1;
                }
            }
        },
        |mut shared| {
            let mut tiers = Tiers::new();
            // Every thread has ended its work by now; each clears its share.
            for slot in slots.iter().skip(shared.index).step_by(case.threads) {
                let word = slot.swap(EMPTY, Ordering::AcqRel);
                if word != EMPTY {
                    count_tier::<A>(word, &mut tiers);
                    release::<A, CHECK>(word, &mut shared.tally);
                    shared.tally.leftover += 1;
                }
            }
            (shared.tally, tiers)
        },
    )
}

/// How many blocks a producer of `pipe` allocates after the clock has stopped, to ask for their tiers: by then the queues
/// are empty.
const PROBES: usize = 64;

fn pipe<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    enum End<'a> {
        Allocates(Sender<'a>, Rng),
        Frees(Receiver<'a>),
    }
    struct Pipe<'a> {
        end: End<'a>,
        tally: Tally,
    }
    if case.threads == 0 || case.threads % 2 != 0 {
        return Err(format!("pipe needs an even number of threads, not {}", case.threads));
    }
    let pairs = case.threads / 2;
    let mut rings: Vec<Ring> = (0..pairs).map(|_| Ring::new(case.slots / case.threads)).collect();
    let ends = HandOut::new(rings.iter_mut().enumerate().flat_map(|(pair, ring)| {
        let (sender, receiver) = ring.split();
        let rng = Rng::new(case.seed, pair as u64);
        [End::Allocates(sender, rng), End::Frees(receiver)]
    }));
    Ok(measured::<A, _>(
        case,
        |index| Pipe {
            end: ends.take(index),
            tally: Tally::default(),
        },
        |pipe| match &mut pipe.end {
            End::Allocates(sender, rng) => {
                for _ in 0..case.ops {
                    let word = allocate::<A, CHECK>(rng);
                    let mut tries = 0;
                    while !sender.push(word) {
                        relax(&mut tries);
                    }
                }
                pipe.tally.allocs += case.ops;
            }
            End::Frees(receiver) => {
                for _ in 0..case.ops {
                    let mut tries = 0;
                    let word = loop {
                        match receiver.pop() {
                            Some(word) => break word,
                            None => relax(&mut tries),
                        }
                    };
                    release::<A, CHECK>(word, &mut pipe.tally);
                }
                pipe.tally.frees += case.ops;
            }
        },
        |mut pipe| {
            let mut tiers = Tiers::new();
            if let End::Allocates(_, rng) = &mut pipe.end {
                let probes: Vec<Word> = (0..PROBES).map(|_| allocate::<A, CHECK>(rng)).collect();
                for word in probes {
                    count_tier::<A>(word, &mut tiers);
                    release::<A, CHECK>(word, &mut pipe.tally);
                }
            }
            (pipe.tally, tiers)
        },
    ))
}
