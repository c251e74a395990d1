//! Memory runs out, for every method of `GlobalAlloc`: null, and all that was allocated stays as it was. In a program of
//! its own, with one test, for the limit holds for the whole process.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

use hakmem_rs::Hakmem;

#[repr(C)]
struct Limit {
    now: u64,
    most: u64,
}

const RLIMIT_AS: i32 = 9;

extern "C" {
    fn setrlimit(resource: i32, limit: *const Limit) -> i32;
}

fn limit_address_space(now: u64) {
    let limit = Limit { now, most: u64::MAX };
    // SAFETY: the structure is the one of the C library.
    assert_eq!(unsafe { setrlimit(RLIMIT_AS, &limit) }, 0);
}

/// The address space in use, from the first number of statm: pages.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().next().unwrap().parse().unwrap();
    pages * 4096
}

/// What a block begins with: they are a list, for nothing else may allocate meanwhile.
struct Link {
    before: *mut Link,
    number: usize,
}

/// Blocks of one layout until there is no more memory: the last one and their number.
fn exhaust(layout: Layout, zeroed: bool) -> (*mut Link, usize) {
    let (mut last, mut number) = (ptr::null_mut(), 0);
    loop {
        // SAFETY: the layout has room for a link.
        let block: *mut Link = unsafe {
            if zeroed {
                Hakmem.alloc_zeroed(layout).cast()
            } else {
                Hakmem.alloc(layout).cast()
            }
        };
        if block.is_null() {
            return (last, number);
        }
        // SAFETY: as above.
        unsafe { block.write(Link { before: last, number }) };
        (last, number) = (block, number + 1);
        assert!(number < 16 << 20, "memory does not run out: {layout:?}");
    }
}

#[test]
fn null_when_memory_runs_out_and_all_else_stays() {
    // The first block makes the allocator reserve what it needs for itself.
    // SAFETY: the block is freed with its layout, which is not empty.
    unsafe { Hakmem.dealloc(Hakmem.alloc(Layout::new::<u64>()), Layout::new::<u64>()) };
    let layouts = [
        (64, 8),
        (4096, 8),
        (16 << 10, 8),
        (300_000, 8),
        (5 << 20, 8),
        (100, 64),
        (20_000, 4096),
        (1 << 20, 1 << 20),
    ];
    for (size, align) in layouts {
        let layout = Layout::from_size_align(size, align).unwrap();
        for zeroed in [false, true] {
            limit_address_space(address_space() + (80 << 20));
            let (mut block, count) = exhaust(layout, zeroed);
            assert!(count >= 2, "{layout:?}");
            // SAFETY: as below.
            assert!(unsafe { Hakmem.realloc(block.cast(), layout, 1 << 30) }.is_null());
            for number in (0..count).rev() {
                // SAFETY: the block is live and its layout the one it was allocated with.
                unsafe {
                    let link = block.read();
                    assert_eq!(link.number, number, "{layout:?}");
                    Hakmem.dealloc(block.cast(), layout);
                    block = link.before;
                }
            }
            // SAFETY: as above.
            unsafe {
                let again = Hakmem.alloc(layout);
                assert!(!again.is_null(), "what was freed can be had again: {layout:?}");
                Hakmem.dealloc(again, layout);
            }
            limit_address_space(u64::MAX);
            hakmem_rs::collect(true);
        }
    }
}
