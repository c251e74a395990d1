//! What the Criterion benches share: going through the allocators, the adapter for collections, the settings.

use std::{alloc::Layout, marker::PhantomData, ptr::NonNull, time::Duration};

use allocator_api2::alloc::{AllocError, Allocator};
use criterion::{measurement::WallTime, BenchmarkGroup, Criterion, Throughput};
use hakmem_bench::peers::{with_peer, Peer, Presence, Visitor, PEERS};

/// Set to anything but 0, makes everything run in about a minute, roughly and without HTML.
const SHORT: &str = "HAKMEM_BENCH_SHORT";

pub fn config() -> Criterion {
    let short = std::env::var(SHORT).is_ok_and(|value| value != "0");
    if short {
        Criterion::default()
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(200))
            .sample_size(10)
            .nresamples(2000)
            .without_plots()
    } else {
        Criterion::default()
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_millis(1500))
            .sample_size(40)
    }
}

/// A benchmark that can be run on any allocator; `name` is the allocator's.
pub trait OnPeer {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>);
}

/// A group of benchmarks: `bench`, of so many elements, on every allocator that is built in. (tcmalloc is not: it takes a process
/// of its own, as in `hakmem-bench`.)
pub fn for_each_peer(criterion: &mut Criterion, name: &str, elements: u64, bench: &impl OnPeer) {
    struct Call<'a, 'g, B>(&'a str, &'a mut BenchmarkGroup<'g, WallTime>, &'a B);

    impl<B: OnPeer> Visitor for Call<'_, '_, B> {
        type Out = ();

        fn visit<A: Peer>(self) {
            A::thread_start();
            self.2.bench::<A>(self.0, self.1);
        }
    }

    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(elements));
    for peer in &PEERS {
        if (peer.presence)() == Presence::BuiltIn {
            with_peer(peer.name, Call(peer.name, &mut group, bench));
        }
    }
    group.finish();
}

/// A peer in the form that collections take.
pub struct Alloc<A>(PhantomData<A>);

#[allow(dead_code, reason = "not every bench uses the adapter")]
impl<A: Peer> Alloc<A> {
    pub const IT: Self = Alloc(PhantomData);
}

impl<A> Clone for Alloc<A> {
    fn clone(&self) -> Self {
        Alloc(PhantomData)
    }
}

// SAFETY: passes on what a GlobalAlloc promises; clones are the same allocator. Requests of no bytes never reach it.
unsafe impl<A: Peer> Allocator for Alloc<A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = match layout.size() {
            0 => dangling(layout),
            // SAFETY: the size is not zero.
            _ => NonNull::new(unsafe { A::IT.alloc(layout) }).ok_or(AllocError)?,
        };
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            A::IT.dealloc(block.as_ptr(), layout);
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.resize(block, old, new)
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.resize(block, old, new)
    }
}

impl<A: Peer> Alloc<A> {
    /// By realloc where that is possible: both sizes are real and the alignment stays.
    #[inline]
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 && new.size() != 0 && old.align() == new.align() {
            let moved = NonNull::new(A::IT.realloc(block.as_ptr(), old, new.size())).ok_or(AllocError)?;
            return Ok(NonNull::slice_from_raw_parts(moved, new.size()));
        }
        let moved = self.allocate(new)?;
        let bytes = old.size().min(new.size());
        std::ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr().cast(), bytes);
        self.deallocate(block, old);
        Ok(moved)
    }
}

fn dangling(layout: Layout) -> NonNull<u8> {
    NonNull::new(layout.align() as *mut u8).expect("alignments are not zero")
}
