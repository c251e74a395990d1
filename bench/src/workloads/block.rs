//! A block as the workloads hold it: its first and last byte are written when it is allocated, and compared when it is freed.
//!
//! The byte is the workload's random choice and is kept in the handle, so that a block that was given out twice, or written
//! to by the allocator, is noticed. With `CHECK` all bytes are written and compared.

use std::alloc::{handle_alloc_error, Layout};

use super::{Tally, Tiers};
use crate::peers::Peer;

/// What Rust's boxes of pointers and integers ask for.
pub const ALIGN: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct Block {
    address: *mut u8,
    size: u32,
    align: u16,
    stamp: u8,
}

// SAFETY: a block is memory like any other; the workloads use it from one thread at a time.
unsafe impl Send for Block {}

impl Block {
    /// No block: for places that were not filled yet.
    pub const NONE: Block = Block {
        address: std::ptr::null_mut(),
        size: 0,
        align: 1,
        stamp: 0,
    };

    /// The handle of a block whose parts were kept elsewhere.
    pub fn from_parts(address: *mut u8, size: usize, align: usize, stamp: u8) -> Self {
        Block {
            address,
            size: size as u32,
            align: align as u16,
            stamp,
        }
    }

    pub fn address(&self) -> *mut u8 {
        self.address
    }

    #[inline(always)]
    fn layout(&self) -> Layout {
        // SAFETY: `new` was given a power of two; sizes are far from overflowing.
        unsafe { Layout::from_size_align_unchecked(self.size as usize, self.align as usize) }
    }

    /// `stamp` is any number, of which the lowest byte is used.
    #[inline(always)]
    fn new<A: Peer, const ZEROED: bool>(size: usize, align: usize, stamp: u64, tally: &mut Tally) -> Self {
        debug_assert!(size > 0 && align.is_power_of_two());
        let mut block = Block {
            address: std::ptr::null_mut(),
            size: size as u32,
            align: align as u16,
            stamp: stamp as u8,
        };
        let layout = block.layout();
        // SAFETY: the size is not zero.
        block.address = unsafe {
            if ZEROED {
                A::IT.alloc_zeroed(layout)
            } else {
                A::IT.alloc(layout)
            }
        };
        if block.address.is_null() {
            handle_alloc_error(layout);
        }
        tally.allocs += 1;
        tally.corrupt += u64::from(block.address as usize % align != 0);
        block
    }

    /// Allocates `size` bytes, not zero of them.
    #[inline(always)]
    pub fn allocate<A: Peer, const CHECK: bool>(size: usize, align: usize, stamp: u64, tally: &mut Tally) -> Self {
        let block = Self::new::<A, false>(size, align, stamp, tally);
        block.mark::<CHECK>(0);
        block
    }

    /// As `allocate`, and compares three bytes (with `CHECK` all of them) with zero before it writes to those three.
    #[inline(always)]
    pub fn zeroed<A: Peer, const CHECK: bool>(size: usize, stamp: u64, tally: &mut Tally) -> Self {
        let mut block = Self::new::<A, true>(size, ALIGN, 0, tally);
        tally.corrupt += u64::from(!block.is_marked::<CHECK>());
        // SAFETY: the byte is the block's.
        unsafe {
            let middle = block.address.add(size / 2);
            tally.corrupt += u64::from(middle.read() != 0);
            block.stamp = stamp as u8;
            // Dirty for whoever gets this memory next.
            middle.write(block.stamp);
        }
        block.mark::<CHECK>(0);
        block
    }

    /// Changes the size by `realloc`; what was written must still be there.
    #[inline(always)]
    pub fn resize<A: Peer, const CHECK: bool>(&mut self, size: usize, tally: &mut Tally) {
        let old = self.size as usize;
        // SAFETY: the block is live and was allocated with this layout; the new size is not zero.
        self.address = unsafe { A::IT.realloc(self.address, self.layout(), size) };
        if self.address.is_null() {
            handle_alloc_error(self.layout());
        }
        tally.reallocs += 1;
        if size >= old {
            tally.corrupt += u64::from(!self.is_marked::<CHECK>());
        }
        self.size = size as u32;
        self.mark::<CHECK>(old.min(size));
    }

    #[inline(always)]
    pub fn release<A: Peer, const CHECK: bool>(self, tally: &mut Tally) {
        tally.corrupt += u64::from(!self.is_marked::<CHECK>());
        // SAFETY: the block is live and was allocated with this layout; the caller gives it up.
        unsafe { A::IT.dealloc(self.address, self.layout()) };
        tally.frees += 1;
    }

    /// Writes the first and the last byte, or with `CHECK` all from `from` on.
    #[inline(always)]
    fn mark<const CHECK: bool>(&self, from: usize) {
        let size = self.size as usize;
        // SAFETY: the bytes are the block's.
        unsafe {
            if CHECK {
                self.address.add(from).write_bytes(self.stamp, size - from);
            } else {
                self.address.write(self.stamp);
                self.address.add(size - 1).write(self.stamp);
            }
        }
    }

    #[inline(always)]
    fn is_marked<const CHECK: bool>(&self) -> bool {
        let size = self.size as usize;
        // SAFETY: the bytes are the block's, and `mark` or `alloc_zeroed` wrote those that are read.
        unsafe {
            if CHECK {
                let bytes = std::slice::from_raw_parts(self.address, size);
                // Compares the block with itself, one byte on: memcmp is quick in debug builds too.
                bytes[0] == self.stamp && bytes[1..] == bytes[..size - 1]
            } else {
                self.address.read() == self.stamp && self.address.add(size - 1).read() == self.stamp
            }
        }
    }

    /// Writes every byte.
    pub fn fill(&self) {
        // SAFETY: the bytes are the block's.
        unsafe { self.address.write_bytes(self.stamp, self.size as usize) };
    }

    /// Writes every byte `times` times, in a way that the compiler must leave as it is.
    #[inline]
    pub fn hammer(&self, times: u32) {
        for _ in 0..times {
            for i in 0..self.size as usize {
                // SAFETY: the byte is the block's.
                unsafe { self.address.add(i).write_volatile(self.stamp) };
            }
        }
    }

    /// Writes one byte of every page from the byte `from` on, so that the kernel has to provide them all.
    pub fn touch_pages(&self, from: usize) {
        for i in (from..self.size as usize).step_by(4096) {
            // SAFETY: the byte is the block's.
            unsafe { self.address.add(i).write_volatile(self.stamp) };
        }
    }

    pub fn size(&self) -> usize {
        self.size as usize
    }
}

/// Frees the blocks that are left when the clock has stopped, and asks for their tiers.
pub fn free_rest<A: Peer, const CHECK: bool>(blocks: impl IntoIterator<Item = Block>, tally: Tally) -> (Tally, Tiers) {
    let mut tiers = Tiers::new();
    let tally = tally.finish(|tally| {
        for block in blocks {
            if let Some(tier) = A::tier_of(block.address) {
                *tiers.entry(tier.into()).or_default() += 1;
            }
            block.release::<A, CHECK>(tally);
        }
    });
    (tally, tiers)
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    #[test]
    fn an_overwritten_block_is_noticed_at_either_end_and_with_check_anywhere() {
        let corrupt = |at: usize, check: bool| {
            let mut tally = Tally::default();
            let block = Block::allocate::<System, true>(100, ALIGN, 7, &mut tally);
            // SAFETY: the byte is the block's.
            unsafe { *block.address.add(at) ^= 1 };
            if check {
                block.release::<System, true>(&mut tally);
            } else {
                block.release::<System, false>(&mut tally);
            }
            assert!(tally.is_balanced());
            tally.corrupt
        };
        assert_eq!([0, 50, 99].map(|at| corrupt(at, false)), [1, 0, 1]);
        assert_eq!([0, 50, 99].map(|at| corrupt(at, true)), [1, 1, 1]);
    }

    #[test]
    fn a_block_keeps_its_content_when_it_grows_and_counts_as_one_operation() {
        let mut tally = Tally::default();
        let mut block = Block::zeroed::<System, true>(10, 3, &mut tally);
        for size in [11, 5000, 300_000] {
            block.resize::<System, true>(size, &mut tally);
        }
        block.release::<System, true>(&mut tally);
        assert_eq!((tally.allocs, tally.reallocs, tally.frees, tally.corrupt), (1, 3, 1, 0));
        assert_eq!(tally.ops(), 5);
    }
}
