//! One allocation and one release, a size from each of hakmem's tiers, on every allocator of this build.
//!
//! `hit`: allocate, write a byte, free, over and over: the shortest path there is.
//! `batch of 64`: allocate 64 blocks, then free them in the order of their allocation.
//! `sized and unsized`: the hit with the release that is told the layout, and with the one that is not, on the allocators
//! that have both.

mod common;

use std::{
    alloc::{handle_alloc_error, Layout},
    hint::black_box,
};

use common::{for_each_peer, OnPeer};
use criterion::{criterion_group, criterion_main, measurement::WallTime, BenchmarkGroup, Criterion};
use hakmem_bench::peers::Peer;

/// A size in the middle of what each tier serves.
const SIZES: [(&str, usize); 5] = [
    ("tiny 64 B", 64),
    ("mid 4 KiB", 4 << 10),
    ("pool 16 KiB", 16 << 10),
    ("ace 256 KiB", 256 << 10),
    ("mmap 4 MiB", 4 << 20),
];

const BATCH: usize = 64;

#[inline(always)]
fn allocate<A: Peer>(layout: Layout) -> *mut u8 {
    // SAFETY: no size here is zero; the byte written is the block's first.
    unsafe {
        let block = black_box(A::IT.alloc(black_box(layout)));
        if block.is_null() {
            handle_alloc_error(layout);
        }
        block.write(1);
        block
    }
}

#[inline(always)]
fn release<A: Peer>(block: *mut u8, layout: Layout) {
    // SAFETY: the block came from `allocate` of the same peer and layout.
    unsafe { A::IT.dealloc(black_box(block), black_box(layout)) }
}

struct Hit(Layout);

impl OnPeer for Hit {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        group.bench_function(name, |b| b.iter(|| release::<A>(allocate::<A>(self.0), self.0)));
    }
}

struct SizedAndUnsized(Layout);

impl OnPeer for SizedAndUnsized {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        if !A::USES_LAYOUT {
            return;
        }
        group.bench_function(format!("{name}, sized"), |b| {
            b.iter(|| release::<A>(allocate::<A>(self.0), self.0))
        });
        group.bench_function(format!("{name}, unsized"), |b| {
            b.iter(|| {
                let block = black_box(allocate::<A>(self.0));
                // SAFETY: the block came from `allocate` of the same peer, which has this function.
                unsafe { A::free_unsized(block) }
            })
        });
    }
}

struct Batch(Layout);

impl OnPeer for Batch {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut blocks = [std::ptr::null_mut(); BATCH];
        group.bench_function(name, |b| {
            b.iter(|| {
                for block in &mut blocks {
                    *block = allocate::<A>(self.0);
                }
                for block in &mut blocks {
                    release::<A>(*block, self.0);
                }
            })
        });
    }
}

fn tiers(criterion: &mut Criterion) {
    for (name, size) in SIZES {
        let layout = Layout::from_size_align(size, 16).expect("a valid layout");
        for_each_peer(criterion, &format!("{name}, hit"), 1, &Hit(layout));
        for_each_peer(
            criterion,
            &format!("{name}, sized and unsized"),
            1,
            &SizedAndUnsized(layout),
        );
        for_each_peer(
            criterion,
            &format!("{name}, batch of {BATCH}"),
            BATCH as u64,
            &Batch(layout),
        );
    }
}

criterion_group! { name = benches; config = common::config(); targets = tiers }
criterion_main!(benches);
