//! Two threads, on every allocator of this build: each with blocks of its own, and one that allocates what the other frees.
//!
//! Threads measure themselves: a time is from the first one's start to the last one's end, and starting them is not in it.

mod common;

use std::{
    alloc::{handle_alloc_error, Layout},
    hint::black_box,
    sync::{mpsc, Barrier},
    thread,
    time::{Duration, Instant},
};

use common::{for_each_peer, OnPeer};
use criterion::{criterion_group, criterion_main, measurement::WallTime, BenchmarkGroup, Criterion};
use hakmem_bench::peers::Peer;

const THREADS: usize = 2;
const BATCH: usize = 64;
/// Batches under way between two threads.
const UNDER_WAY: usize = 16;

const SIZES: [(&str, usize); 3] = [("tiny 64 B", 64), ("pool 16 KiB", 16 << 10), ("ace 256 KiB", 256 << 10)];

/// Blocks of one layout. Pointers, which may go to another thread.
struct Blocks([*mut u8; BATCH]);

// SAFETY: whoever has the blocks is the only one to use them, and every peer's blocks may be freed by any thread.
unsafe impl Send for Blocks {}

impl Blocks {
    #[inline(always)]
    fn new<A: Peer>(layout: Layout) -> Blocks {
        let mut blocks = [std::ptr::null_mut(); BATCH];
        for block in &mut blocks {
            // SAFETY: no size here is zero; the byte written is the block's first.
            unsafe {
                *block = black_box(A::IT.alloc(black_box(layout)));
                if block.is_null() {
                    handle_alloc_error(layout);
                }
                block.write(1);
            }
        }
        Blocks(blocks)
    }

    #[inline(always)]
    fn free<A: Peer>(self, layout: Layout) {
        for block in self.0 {
            // SAFETY: the blocks came from `new` of the same peer and layout.
            unsafe { A::IT.dealloc(black_box(block), black_box(layout)) }
        }
    }
}

/// Runs each of `works` in a thread of its own; all of them begin together.
fn timed<'a, A: Peer>(works: Vec<Box<dyn FnOnce() + Send + 'a>>) -> Duration {
    let barrier = Barrier::new(works.len());
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let handles: Vec<_> = works
            .into_iter()
            .map(|work| {
                let barrier = &barrier;
                scope.spawn(move || {
                    A::thread_start();
                    barrier.wait();
                    let start = Instant::now();
                    work();
                    let end = Instant::now();
                    A::thread_end();
                    (start, end)
                })
            })
            .collect();
        let results = handles.into_iter().map(|handle| handle.join());
        results.map(|times| times.expect("no thread panics")).collect()
    });
    let first = times.iter().map(|(start, _)| *start).min();
    let last = times.iter().map(|(_, end)| *end).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
}

/// Each thread allocates batches and frees them.
struct Own(Layout);

impl OnPeer for Own {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        let layout = self.0;
        group.bench_function(name, |b| {
            b.iter_custom(|batches| {
                let work = move || (0..batches).for_each(|_| Blocks::new::<A>(layout).free::<A>(layout));
                timed::<A>((0..THREADS).map(|_| Box::new(work) as Box<_>).collect())
            })
        });
    }
}

/// One thread allocates batches, the other frees them.
struct HandOver(Layout);

impl OnPeer for HandOver {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        let layout = self.0;
        group.bench_function(name, |b| {
            b.iter_custom(|batches| {
                let (sender, receiver) = mpsc::sync_channel::<Blocks>(UNDER_WAY);
                let allocate = move || {
                    for _ in 0..batches {
                        sender
                            .send(Blocks::new::<A>(layout))
                            .expect("the other thread receives all");
                    }
                };
                let free = move || receiver.iter().for_each(|blocks| blocks.free::<A>(layout));
                timed::<A>(vec![Box::new(allocate), Box::new(free)])
            })
        });
    }
}

fn threads(criterion: &mut Criterion) {
    let label = if thread::available_parallelism().map_or(1, usize::from) < THREADS {
        ", oversubscribed"
    } else {
        ""
    };
    for (name, size) in SIZES {
        let layout = Layout::from_size_align(size, 16).expect("a valid layout");
        for_each_peer(
            criterion,
            &format!("{name}, {THREADS} threads{label}"),
            (THREADS * BATCH) as u64,
            &Own(layout),
        );
        for_each_peer(
            criterion,
            &format!("{name}, handed over{label}"),
            BATCH as u64,
            &HandOver(layout),
        );
    }
}

criterion_group! { name = benches; config = common::config(); targets = threads }
criterion_main!(benches);
