//! Every workload, small, with every block's content checked: the operations are as many as asked for, and no block is lost.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hakmem_bench::{
    peers::{Peer, Presence, PEERS},
    worker,
    workloads::{self, Case, Outcome, Request, CLASSIC, LARGE},
};

/// The cases of all workloads with 1, 2 and 4 threads, as far as each takes them.
fn small_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for workload in workloads::all() {
        let large = LARGE.iter().any(|large| large.name == workload.name);
        let before = cases.len();
        for threads in [1, 2, 4] {
            let request = Request {
                threads: Some(threads),
                ops: Some(if large { 20 } else { 500 }),
                // Blocks of `large` have up to 25 MiB; the slots of `vector` are MiB.
                slots: Some(if large { 2 } else { 32 }),
                ..Request::default()
            };
            cases.extend(workload.cases(&request).unwrap_or_default());
        }
        let covered = |variant: &str| cases[before..].iter().any(|case: &Case| case.variant == variant);
        assert!(
            workload.variants.iter().all(|(variant, _)| covered(variant)),
            "{}",
            workload.name
        );
    }
    cases
}

/// How many threads of a case allocate or free.
fn working_threads(case: &Case) -> u64 {
    match case.workload.as_str() {
        // Half of them pass buffers on.
        "buffers" => case.threads as u64 / 2,
        _ => case.threads as u64,
    }
}

/// How many operations a thread may make beyond those asked for: steps are not divided.
fn excess(case: &Case) -> u64 {
    match case.workload.as_str() {
        "midlarge" => u64::from(case.variant == "shared"),
        // All blocks are allocated, all are freed.
        "pairs" | "bulk" => 2 * case.slots as u64,
        // A batch on either side.
        "prodcons" => 2 * 32,
        // A thread's allocations, half of them freed, and the survivors before.
        "thread-churn" => 2 * case.slots as u64,
        // A tree: nodes, vectors (at most one each, rarely grown), and the release of both.
        "tree" => 5 * case.slots as u64,
        // A batch, or the last steps of a loop; what a thread allocates and frees in four phases.
        "sh6bench" | "sh8bench" | "rptest" | "xmalloc" => 2 * case.slots as u64,
        "mstress" => case.slots as u64,
        // A step; a cover.
        "cfrac" => 8,
        "espresso" => 2 * 32 + 5,
        // Two in each of up to eight phases.
        "phased" | "steady" | "adversarial" => 16,
        // A vector of 2 MiB.
        "vector" => 40,
        _ => 2,
    }
}

fn assert_complete(case: &Case, outcome: &Outcome) {
    let (tally, threads) = (outcome.tally, working_threads(case));
    let most = threads * (case.ops + excess(case));
    assert!(
        (threads * case.ops..=most).contains(&tally.ops()),
        "{case:?}: {tally:?}"
    );
    assert!(tally.is_balanced(), "{case:?}: {tally:?}");
    assert_eq!(tally.corrupt, 0, "{case:?}: {tally:?}");
    assert!(tally.allocs > 0 && tally.frees > 0, "{case:?}: {tally:?}");
    let reallocates = ["tree", "strings", "espresso", "vector"].contains(&case.workload.as_str());
    assert_eq!(tally.reallocs > 0, reallocates, "{case:?}: {tally:?}");
}

/// The system's allocator, with its calls counted.
struct Counted;

static ALLOCS: AtomicU64 = AtomicU64::new(0);
static ZEROED: AtomicU64 = AtomicU64::new(0);
static REALLOCS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
/// The smallest and the largest block asked for, and the largest alignment.
static LEAST: AtomicU64 = AtomicU64::new(u64::MAX);
static MOST: AtomicU64 = AtomicU64::new(0);
static ALIGN: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn note(layout: Layout) {
    let size = layout.size() as u64;
    LEAST.fetch_min(size, Relaxed);
    MOST.fetch_max(size, Relaxed);
    ALIGN.fetch_max(layout.align() as u64, Relaxed);
    BYTES.fetch_add(size, Relaxed);
}

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCS.fetch_add(1, Relaxed);
        note(layout);
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCS.fetch_add(1, Relaxed);
        ZEROED.fetch_add(1, Relaxed);
        note(layout);
        System.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        REALLOCS.fetch_add(1, Relaxed);
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        note(Layout::from_size_align(size, layout.align()).unwrap());
        System.realloc(block, layout, size)
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

/// The sizes that a workload says it has, from the smallest to the largest.
fn sizes(case: &Case) -> (u64, u64) {
    let number = case.variant.split(' ').find_map(|word| word.parse().ok());
    let unit = if case.variant.ends_with("KiB") { 1024 } else { 1 };
    let in_variant = unit * number.unwrap_or(0);
    match case.workload.as_str() {
        "midlarge" => (8 << 10, 32 << 10),
        "pairs" | "prodcons" => (in_variant, in_variant),
        "churn" | "thread-churn" => (16, 1024),
        "larson" => (8, 1000),
        // Nodes; the vector of a node with all the others as children.
        "tree" => (24, 16 + 16 * 32),
        "strings" => (31, 2 * 4096),
        "calloc" => (16, 4096),
        "aligned" => (16, 512),
        "cache-scratch" | "cache-thrash" => (8, 8),
        "bulk" => (16, 256),
        "mixed" => (16, 32 << 10),
        "sh6bench" | "sh8bench" => (1, 1000),
        "xmalloc" => (16, 2048),
        "mstress" => (16, 16 << 10),
        "rptest" => (16, 16 << 10),
        "alloc-test" => (8, 1024),
        "glibc-thread" => (4, 32 << 10),
        "cfrac" => (12, 52),
        "espresso" => (16, 2048),
        "huge" => (5 << 20, 25 << 20),
        "vector" => (4096, 2 << 20),
        "matrices" => (100 << 10, 8 << 20),
        "buffers" => (8 << 10, 64 << 10),
        "latency" => (16, 8 << 20),
        "phased" | "steady" => (8 << 10, 1 << 20),
        "adversarial" => (12 << 10, 1 << 20),
        other => panic!("{other} is new: what sizes has it?"),
    }
}

#[test]
fn the_allocator_sees_what_the_workload_says_it_did() {
    for case in small_cases() {
        for counter in [&ALLOCS, &ZEROED, &REALLOCS, &FREES, &MOST, &ALIGN] {
            counter.store(0, Relaxed);
        }
        LEAST.store(u64::MAX, Relaxed);
        let outcome = workloads::run::<Counted, true>(&case).unwrap();
        assert_complete(&case, &outcome);
        let [allocs, zeroed, reallocs, frees] = [&ALLOCS, &ZEROED, &REALLOCS, &FREES].map(|n| n.load(Relaxed));
        assert_eq!(allocs, frees, "{case:?}");
        assert_eq!(
            BYTES.load(Relaxed),
            0,
            "{case:?}: blocks are freed with the size they were allocated with"
        );
        let tally = outcome.tally;
        // `pipe` allocates a few more for the question about tiers.
        let probes = if case.variant == "pipe" {
            64 * case.threads as u64 / 2
        } else {
            0
        };
        assert_eq!(allocs, tally.before + tally.allocs + probes, "{case:?}");
        assert!(reallocs >= tally.reallocs, "{case:?}");
        assert_eq!(zeroed > 0, case.workload == "calloc", "{case:?}");
        let (least, most) = sizes(&case);
        let (seen_least, seen_most) = (LEAST.load(Relaxed), MOST.load(Relaxed));
        assert!(
            least <= seen_least && seen_most <= most,
            "{case:?}: {seen_least} to {seen_most} bytes"
        );
        let align = match case.workload.as_str() {
            "midlarge" => 16,
            "aligned" | "matrices" => 64,
            _ => 8,
        };
        assert_eq!(ALIGN.load(Relaxed), align, "{case:?}");
    }
}

/// An allocator that gives out blocks which overlap their neighbours.
struct Overlapping;

// SAFETY: it is not one; but what is asked of it fits into its array, and is only compared.
unsafe impl GlobalAlloc for Overlapping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static ARENA: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];
        assert!(layout.size() <= 1024);
        let start = NEXT.fetch_add(1, Relaxed) as usize % 64;
        ARENA[start..].as_ptr().cast::<u8>().cast_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

impl Peer for Overlapping {
    const IT: Self = Overlapping;
}

#[test]
fn a_broken_allocator_is_found() {
    for name in ["churn", "aligned", "larson", "thread-churn"] {
        let cases = small_cases();
        let case = cases
            .iter()
            .find(|case| case.workload == name && case.threads == 1)
            .unwrap();
        let outcome = workloads::run::<Overlapping, false>(case).unwrap();
        assert!(outcome.tally.corrupt > 0, "{name}");
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
        assert!(asked >= outcome.tally.leftover, "{case:?}: {outcome:?}");
        assert!(asked > 0 || case.workload != "midlarge", "{case:?}: {outcome:?}");
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
    let tally = |case: &Case| workloads::run::<System, false>(case).unwrap().tally;
    let cases = small_cases();
    let classic = |case: &&Case| CLASSIC.iter().any(|workload| workload.name == case.workload);
    for case in cases.iter().filter(classic) {
        assert_eq!(tally(case), tally(case), "{case:?}");
    }
    for name in ["midlarge", "tree", "strings", "alloc-test", "espresso"] {
        let case = cases.iter().find(|case| case.workload == name).unwrap();
        assert_eq!(tally(case), tally(case), "{name}");
        let other = Case {
            seed: case.seed + 1,
            ..case.clone()
        };
        assert_ne!(tally(case), tally(&other), "{name}");
    }
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
