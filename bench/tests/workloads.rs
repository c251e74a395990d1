//! Every workload, small, with every block's content checked: the operations are as many as asked for, and no block is lost.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hakmem_bench::{
    peers::{Peer, Presence, PEERS},
    worker,
    workloads::{self, Case, Outcome, Request, WORKLOADS},
};

/// The cases of all workloads with 2 and 4 threads.
fn small_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for workload in &WORKLOADS {
        for threads in [2, 4] {
            let request = Request {
                threads: Some(threads),
                ops: Some(500),
                slots: Some(32),
                ..Request::default()
            };
            cases.extend((workload.cases)(&request).unwrap());
        }
    }
    assert!(cases.len() >= 6);
    cases
}

fn assert_complete(case: &Case, outcome: &Outcome) {
    let (tally, threads) = (outcome.tally, case.threads as u64);
    let ops = tally.allocs + tally.frees;
    // A step of `shared` may be two operations, so each thread may go one beyond.
    let most = threads * (case.ops + u64::from(case.variant == "shared"));
    assert!((threads * case.ops..=most).contains(&ops), "{case:?}: {tally:?}");
    assert_eq!(tally.allocs, tally.frees + tally.leftover, "{case:?}: {tally:?}");
    assert_eq!(tally.corrupt, 0, "{case:?}: {tally:?}");
    assert!(tally.allocs > 0 && tally.frees > 0, "{case:?}: {tally:?}");
}

/// The system's allocator, with its calls counted.
struct Counted;

static ALLOCS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        assert!((8 << 10..=32 << 10).contains(&layout.size()), "{layout:?}");
        assert_eq!(layout.align(), 16);
        ALLOCS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        FREES.fetch_add(1, Relaxed);
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        System.dealloc(block, layout);
    }
}

impl Peer for Counted {
    const IT: Self = Counted;
}

#[test]
fn the_allocator_sees_what_the_workload_says_it_did() {
    for case in small_cases() {
        let before = ALLOCS.load(Relaxed);
        let outcome = workloads::run::<Counted, true>(&case).unwrap();
        assert_complete(&case, &outcome);
        assert_eq!(ALLOCS.load(Relaxed), FREES.load(Relaxed), "{case:?}");
        assert_eq!(
            BYTES.load(Relaxed),
            0,
            "{case:?}: blocks are freed with the size they were allocated with"
        );
        let seen = ALLOCS.load(Relaxed) - before;
        // `pipe` allocates a few more for the question about tiers.
        let probes = if case.variant == "pipe" {
            64 * case.threads as u64 / 2
        } else {
            0
        };
        assert_eq!(seen, outcome.tally.allocs + probes, "{case:?}");
    }
}

#[test]
fn every_workload_runs_on_system_and_hakmem() {
    for case in small_cases() {
        assert_complete(&case, &workloads::run::<System, true>(&case).unwrap());
        let outcome = workloads::run::<hakmem_rs::Hakmem, true>(&case).unwrap();
        assert_complete(&case, &outcome);
        // hakmem says which tier served each block that was alive at the end.
        let asked: u64 = outcome.tiers.values().sum();
        assert!(asked >= outcome.tally.leftover && asked > 0, "{case:?}: {outcome:?}");
    }
}

#[test]
fn every_workload_runs_on_every_peer_of_this_build() {
    for peer in PEERS.iter().filter(|peer| (peer.presence)() == Presence::BuiltIn) {
        for case in small_cases() {
            let m = worker::measure::<true>(peer.name, &case).unwrap_or_else(|e| panic!("{}: {e}", peer.name));
            assert!(m.seconds > 0.0 && m.peak_rss_kib > 0 && m.ops() > 0);
        }
    }
}

#[test]
fn equal_seeds_do_equal_work() {
    let case = &small_cases()[0];
    assert_eq!(case.variant, "own");
    let tally = |case: &Case| workloads::run::<System, false>(case).unwrap().tally;
    assert_eq!(tally(case), tally(case));
    let other = Case {
        seed: case.seed + 1,
        ..case.clone()
    };
    assert_ne!(tally(case), tally(&other));
}

#[test]
fn what_does_not_exist_is_refused() {
    let mut case = small_cases()[0].clone();
    assert!(worker::measure::<true>("nomalloc", &case).is_err());
    assert!(
        worker::measure::<true>("tcmalloc", &case).is_err(),
        "without LD_PRELOAD"
    );
    case.variant = "private".into();
    assert!(worker::measure::<true>("system", &case).is_err());
    case.workload = "larsen".into();
    assert!(worker::measure::<true>("system", &case).is_err());
}
