//! The methods of `GlobalAlloc` called with layouts that containers seldom use. The allocator of the test program
//! itself is the system's, so that only these calls reach hakmem.

use std::alloc::{GlobalAlloc, Layout};
use std::slice;
use std::sync::LazyLock;

use hakmem_rs::Hakmem;

/// Sizes around every tier's limit.
const SIZES: [usize; 16] = [
    1,
    15,
    16,
    17,
    100,
    1 << 10,
    (1 << 10) + 1,
    8 << 10,
    (8 << 10) + 1,
    33_000,
    52 << 10,
    (52 << 10) + 1,
    300_000,
    2 << 20,
    (2 << 20) + 1,
    5 << 20,
];

/// A live block, freed with its layout when dropped.
struct Block {
    ptr: *mut u8,
    layout: Layout,
}

impl Block {
    fn new(layout: Layout) -> Block {
        // SAFETY: no layout of these tests has size 0.
        Block {
            ptr: unsafe { Hakmem.alloc(layout) },
            layout,
        }
        .checked()
    }

    fn zeroed(layout: Layout) -> Block {
        // SAFETY: as above.
        Block {
            ptr: unsafe { Hakmem.alloc_zeroed(layout) },
            layout,
        }
        .checked()
    }

    fn resize(&mut self, size: usize) {
        // SAFETY: the block is live and its layout the one it was allocated with.
        self.ptr = unsafe { Hakmem.realloc(self.ptr, self.layout, size) };
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        self.check();
    }

    fn checked(self) -> Block {
        self.check();
        self
    }

    fn check(&self) {
        assert!(!self.ptr.is_null(), "{:?}", self.layout);
        assert_eq!(self.ptr as usize % self.layout.align().max(16), 0, "{:?}", self.layout);
        // SAFETY: the block is live.
        assert!(
            unsafe { Hakmem::usable_size(self.ptr) } >= self.layout.size(),
            "{:?}",
            self.layout
        );
    }

    /// All bytes of the block. Content that was never written would be undefined, so tests fill a block first.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block has that many bytes and this is the only reference to them.
        unsafe { slice::from_raw_parts_mut(self.ptr, self.layout.size()) }
    }

    fn fill(&mut self, byte: u8) {
        // SAFETY: the block has that many bytes.
        unsafe { self.ptr.write_bytes(byte, self.layout.size()) }
    }

    /// Fills the block from position `start` on with the pattern.
    fn fill_pattern_from(&mut self, start: usize) {
        // SAFETY: both have at least that many bytes, and the block is none of the pattern's.
        unsafe {
            self.ptr
                .add(start)
                .copy_from_nonoverlapping(&PATTERN[start], self.layout.size() - start)
        }
    }

    fn is_pattern_to(&self, end: usize) -> bool {
        // SAFETY: the block has that many bytes, and they were written.
        unsafe { slice::from_raw_parts(self.ptr, end) == &PATTERN[..end] }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block is live and its layout the one it was allocated with.
        unsafe { Hakmem.dealloc(self.ptr, self.layout) }
    }
}

/// Content in which no position looks like its neighbours, nor a page like the next.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..16usize << 20)
        .map(|index| (index % 251) as u8 ^ (index >> 12) as u8)
        .collect()
});

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

#[test]
fn every_alignment_to_1_mib() {
    for shift in 0..=20 {
        for size in SIZES {
            let mut first = Block::new(layout(size, 1 << shift));
            let mut second = Block::new(layout(size, 1 << shift));
            first.fill(0xaa);
            second.fill(0x55);
            let count = first.bytes().len();
            assert!(first.bytes()[0] == 0xaa && first.bytes()[count - 1] == 0xaa);
        }
    }
}

#[test]
fn zeroed_after_dirty_reuse() {
    for align in [1, 16, 64, 4096, 65_536] {
        for size in SIZES {
            let count = if size < 10_000 { 200 } else { 4 };
            let mut dirty: Vec<Block> = (0..count).map(|_| Block::new(layout(size, align))).collect();
            dirty.iter_mut().for_each(|block| block.fill(0xff));
            drop(dirty);
            let mut clean: Vec<Block> = (0..count).map(|_| Block::zeroed(layout(size, align))).collect();
            for block in &mut clean {
                assert!(
                    block.bytes().iter().all(|&byte| byte == 0),
                    "size {size}, align {align}"
                );
            }
        }
    }
}

#[test]
fn realloc_keeps_content_between_all_tiers() {
    for align in [1, 16, 32, 4096, 1 << 17] {
        for from in SIZES {
            for to in SIZES {
                let mut block = Block::new(layout(from, align));
                block.fill_pattern_from(0);
                block.resize(to);
                let kept = from.min(to);
                assert!(block.is_pattern_to(kept), "align {align}, from {from} to {to}");
            }
        }
    }
}

#[test]
fn growing_by_steps_keeps_content() {
    let mut block = Block::new(layout(1, 8));
    block.fill_pattern_from(0);
    let mut size = 1;
    while size < 8 << 20 {
        let grown = size + size / 2 + 1;
        block.resize(grown);
        assert!(block.is_pattern_to(size), "from {size} to {grown}");
        block.fill_pattern_from(size);
        size = grown;
    }
}

#[test]
fn impossible_layouts_give_null() {
    let most = isize::MAX as usize;
    let impossible = [
        layout(most, 1),
        layout(most - 15, 16),
        layout(most / 2 + 1, 1 << 20),
        layout(1 << 50, 8),
        layout(1, 1 << 40),
    ];
    for layout in impossible {
        // SAFETY: no layout has size 0.
        unsafe {
            assert!(Hakmem.alloc(layout).is_null(), "{layout:?}");
            assert!(Hakmem.alloc_zeroed(layout).is_null(), "{layout:?}");
        }
    }
}

#[test]
fn a_failed_realloc_leaves_the_block() {
    for (size, align) in [(100, 8), (10_000, 8), (100_000, 64), (3 << 20, 4096)] {
        let mut block = Block::new(layout(size, align));
        block.fill_pattern_from(0);
        // SAFETY: the block is live and its layout the one it was allocated with.
        assert!(unsafe { Hakmem.realloc(block.ptr, block.layout, isize::MAX as usize - 8191) }.is_null());
        assert!(block.is_pattern_to(size));
    }
}

/// The contract of `GlobalAlloc` excludes layouts of size 0, C code does not: they are blocks like others.
#[test]
fn empty_layouts_have_blocks_of_their_own() {
    for align in [1, 16, 64, 4096, 1 << 17] {
        let empty = layout(0, align);
        let mut block = Block::new(empty);
        let zeroed = Block::zeroed(empty);
        assert_ne!(block.ptr, zeroed.ptr);
        for size in [100, 0, 10_000, 0, 3 << 20, 0] {
            block.resize(size);
            block.fill(1);
        }
    }
}

/// A release must not take another way than the allocation: after each layout, blocks of the size's class are still whole.
#[test]
fn classes_stay_apart_around_the_limit_of_sized_frees() {
    for align in [1, 16, 32, 64, 4096, 8192, 16_384] {
        for size in [8191, 8192, 8193, 9216, 9217, 10_240, 12_288, 16_384, 53_248, 53_249] {
            drop((0..100).map(|_| Block::new(layout(size, align))).collect::<Vec<_>>());
            let mut blocks: Vec<Block> = (0..100).map(|_| Block::new(layout(size, align))).collect();
            for (number, block) in blocks.iter_mut().enumerate() {
                block.fill(number as u8);
            }
            for (number, block) in blocks.iter_mut().enumerate() {
                assert!(
                    block.bytes().iter().all(|&byte| byte == number as u8),
                    "{:?}",
                    block.layout
                );
            }
        }
    }
}
