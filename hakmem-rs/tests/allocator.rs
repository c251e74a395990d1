//! `Hakmem` and `&Heap` as the allocator of single collections: allocator-api2's `Vec` and `Box`, hashbrown's `HashMap`.
//! The program's own allocator is the system's, so that only these collections reach hakmem.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::{hash, thread};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use hakmem_rs::{Hakmem, Heap, SharedHeap, Tier};
use hashbrown::HashMap;

type Hasher = hash::BuildHasherDefault<hash::DefaultHasher>;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Collections on any allocator, dropped in the end.
fn collections<A: Allocator + Clone>(allocator: &A) {
    let mut numbers = Vec::new_in(allocator.clone());
    numbers.extend(0..if cfg!(miri) { 2_000 } else { 200_000u64 });
    numbers.truncate(10);
    numbers.shrink_to_fit();
    assert_eq!(numbers.iter().sum::<u64>(), 45);

    let mut map: HashMap<u32, Vec<u8, A>, Hasher, A> = HashMap::with_hasher_in(Hasher::default(), allocator.clone());
    for key in 0..if cfg!(miri) { 50 } else { 5000 } {
        let mut value = Vec::new_in(allocator.clone());
        value.resize(key as usize % 300, key as u8);
        map.insert(key, value);
    }
    map.retain(|key, _| key % 3 == 0);
    for (key, value) in &map {
        assert!(value.len() == *key as usize % 300 && value.iter().all(|&byte| byte == *key as u8));
    }

    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let pages: std::vec::Vec<_> = (0..20)
        .map(|n| Box::new_in(Page([n; 4096]), allocator.clone()))
        .collect();
    for (n, page) in pages.iter().enumerate() {
        assert!(&raw const page.0 as usize % 4096 == 0 && page.0.iter().all(|&byte| byte == n as u8));
    }
    drop(Box::new_in((), allocator.clone()));
}

/// Every pair of layouts a block can be resized between, also across alignments and from and to no bytes.
fn resizes(allocator: impl Allocator) {
    let sizes: &[usize] = match cfg!(miri) {
        true => &[0, 1, 100, 5000],
        false => &[0, 1, 100, 1024, 5000, 8192, 8193, 20_000, 60_000, 3 << 20],
    };
    let aligns = [1, 16, 64, 4096];
    for (from, to) in sizes.iter().flat_map(|from| sizes.iter().map(move |to| (*from, *to))) {
        for (before, after) in aligns.iter().flat_map(|a| aligns.iter().map(move |b| (*a, *b))) {
            let (old, new) = (layout(from, before), layout(to, after));
            let block: NonNull<u8> = allocator.allocate(old).unwrap().cast();
            // SAFETY: the block has the old layout, then the new one.
            unsafe {
                block.write_bytes(7, from);
                let (resized, zeroed) = if to < from {
                    (allocator.shrink(block, old, new).unwrap(), false)
                } else if from % 3 == 0 {
                    (allocator.grow(block, old, new).unwrap(), false)
                } else {
                    (allocator.grow_zeroed(block, old, new).unwrap(), true)
                };
                assert_eq!(resized.len(), to);
                let start = resized.cast::<u8>();
                assert_eq!(start.as_ptr() as usize % after, 0);
                let bytes = std::slice::from_raw_parts(start.as_ptr(), if zeroed { to } else { from.min(to) });
                let kept = from.min(to);
                assert!(bytes[..kept].iter().all(|&byte| byte == 7), "{old:?} to {new:?}");
                assert!(bytes[kept..].iter().all(|&byte| byte == 0), "{old:?} to {new:?}");
                allocator.deallocate(start, new);
            }
        }
    }
    let zeroed = allocator.allocate_zeroed(layout(100_000, 64)).unwrap();
    // SAFETY: the block is zeroed, and freed with its layout.
    unsafe {
        assert!(zeroed.as_ref().iter().all(|&byte| byte == 0));
        allocator.deallocate(zeroed.cast(), layout(100_000, 64));
    }
    if cfg!(miri) {
        return; // which ends the program for want of memory
    }
    assert!(allocator.allocate(layout(isize::MAX as usize - 4095, 1)).is_err());
    assert!(allocator
        .allocate_zeroed(layout(isize::MAX as usize - 4095, 1))
        .is_err());
}

/// Under Miri, too: all of it is Rust there.
#[test]
fn collections_in_hakmem() {
    collections(&Hakmem);
    resizes(Hakmem);
}

#[test]
fn a_vector_in_hakmem_is_in_a_tier() {
    let mut numbers = Vec::with_capacity_in(100, Hakmem);
    numbers.push(1u64);
    assert_eq!(Hakmem::tier_of(numbers.as_ptr()), Some(Tier::Tiny));
}

#[test]
fn collections_in_a_heap() {
    let heap = Heap::new().unwrap();
    collections(&&heap);
    resizes(&heap);
    let stats = heap.stats();
    assert_eq!((stats.live_blocks, stats.live_bytes), (0, 0), "{stats}");
    assert!(stats.peak_bytes > 200_000 * 8 && stats.failed == 2, "{stats}");
    let text = Vec::<u8, _>::with_capacity_in(100, &heap);
    assert!(heap.contains(text.as_ptr()));
    assert!(!heap.contains(&raw const stats));
}

#[test]
fn a_heap_goes_with_its_blocks() {
    let live = || {
        let stats = hakmem_rs::stats();
        stats.active_bytes + stats.mmap_bytes
    };
    for round in 0..20 {
        let heap = Heap::new().unwrap();
        for size in [100, 5000, 40_000, 1 << 20, 8 << 20] {
            for _ in 0..(64 << 20) / size / 50 {
                // Never freed: what is forgotten goes with the heap.
                assert!(heap.allocate(layout(size, 8)).is_some());
            }
        }
        assert!(heap.stats().live_bytes > 5 << 20);
        drop(heap);
        assert!(live() < 60 << 20, "round {round}: {} bytes are live", live());
    }
}

#[test]
fn a_reset_heap_is_empty_and_serves_again() {
    let mut heap = Heap::builder().limit_bytes(32 << 20).build().unwrap();
    for round in 0..50u8 {
        let mut lists = std::vec::Vec::new();
        for size in [10, 1000, 10_000, 100_000] {
            let mut list = Vec::new_in(&heap);
            list.resize(size, round);
            lists.push(list);
        }
        assert!(lists.iter().flatten().all(|&byte| byte == round));
        if round % 2 == 0 {
            std::mem::forget(lists);
        } else {
            drop(lists);
        }
        heap.reset();
        let stats = heap.stats();
        assert_eq!((stats.live_blocks, stats.live_bytes), (0, 0));
        assert_eq!(stats.limit_bytes, 32 << 20);
    }
}

#[test]
fn a_limit_is_kept() {
    let heap = Heap::builder().limit_bytes(1 << 20).build().unwrap();
    let mut blocks = std::vec::Vec::new();
    while let Some(block) = heap.allocate(layout(10_000, 8)) {
        blocks.push(block);
        assert!(blocks.len() < 1000);
    }
    let stats = heap.stats();
    assert!(
        blocks.len() > 50 && stats.live_bytes <= 1 << 20 && stats.failed == 1,
        "{stats}"
    );
    let mut list: Vec<u8, _> = Vec::new_in(&heap);
    assert!(list.try_reserve(1 << 20).is_err());
    // SAFETY: the block is the heap's, with this layout.
    unsafe { heap.deallocate(blocks.pop().unwrap().cast(), layout(10_000, 8)) };
    assert!(heap.allocate(layout(10_000, 8)).is_some());
}

/// Collections that own their heap: they move together, and it goes with the last of them.
#[test]
fn a_shared_heap_goes_with_its_last_owner() {
    struct Index {
        names: Vec<Vec<u8, SharedHeap>, SharedHeap>,
        places: HashMap<u32, u32, Hasher, SharedHeap>,
    }

    let heap = SharedHeap::new(Heap::builder().limit_bytes(64 << 20).build().unwrap());
    collections(&heap);
    resizes(heap.clone());
    assert_eq!(heap.stats().live_blocks, 0);
    let mut index = Index {
        names: Vec::new_in(heap.clone()),
        places: HashMap::with_hasher_in(Hasher::default(), heap.clone()),
    };
    for n in 0..1000 {
        let mut name = Vec::new_in(heap.clone());
        name.resize(n as usize % 100 + 1, n as u8);
        assert!(heap.contains(name.as_ptr()));
        index.names.push(name);
        index.places.insert(n, n);
    }
    let watched = heap.clone();
    drop(heap);
    let moved = thread::spawn(move || {
        assert!(index.names.iter().enumerate().all(|(n, name)| name[0] == n as u8));
        assert_eq!(index.places.len(), 1000);
        drop(index.places);
        index.names
    });
    let names = moved.join().unwrap();
    assert_eq!(watched.stats().live_blocks, 1001);
    drop(watched);
    assert_eq!(names[999].len(), 100, "the heap is there as long as the names are");
}

/// A heap is shared by reference, its values move to other threads, and the heap itself does.
#[test]
fn threads_share_a_heap() {
    let heap = Heap::new().unwrap();
    thread::scope(|scope| {
        let makers: std::vec::Vec<_> = (0..4u8)
            .map(|n| {
                let heap = &heap;
                scope.spawn(move || {
                    let mut lists = std::vec::Vec::new();
                    for size in 0..2000 {
                        let mut list = Vec::new_in(heap);
                        list.resize(size % 500 + 1, n);
                        lists.push(list);
                    }
                    lists
                })
            })
            .collect();
        for (n, maker) in makers.into_iter().enumerate() {
            let lists = maker.join().unwrap();
            assert!(lists.iter().flatten().all(|&byte| byte == n as u8));
        }
    });
    assert_eq!(heap.stats().live_blocks, 0);
    let moved = thread::spawn(move || {
        assert!(heap.allocate(layout(100, 8)).is_some());
        heap
    });
    assert_eq!(moved.join().unwrap().stats().live_blocks, 1);
}

/// Without a trait: what a heap offers by itself.
#[test]
fn layouts_without_a_size_have_no_block() {
    let heap = Heap::new().unwrap();
    let nothing = heap.allocate(layout(0, 4096)).unwrap();
    assert_eq!((nothing.len(), nothing.as_ptr().cast::<u8>() as usize % 4096), (0, 0));
    assert_eq!(heap.stats().live_blocks, 0);
    // SAFETY: as `Allocator` has it, what was allocated with a layout is freed with it.
    unsafe { heap.deallocate(nothing.cast(), layout(0, 4096)) };
    assert_eq!(heap.allocate_zeroed(layout(0, 1)).unwrap().len(), 0);
}
