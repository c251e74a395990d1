//! The methods of the `Allocator` trait, on top of those of `GlobalAlloc`; the trait itself, from the crate allocator-api2
//! or from nightly's standard library.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

#[cfg(any(feature = "allocator-api2", feature = "allocator_api"))]
use crate::MIN_ALIGN;

/// A block with as many bytes as the layout says, or `None` for want of memory.
type Block = Option<NonNull<[u8]>>;

/// What stands for a block without bytes: there is none.
fn empty(layout: Layout) -> Block {
    let address = ptr::null_mut::<u8>().wrapping_add(layout.align());
    Some(NonNull::slice_from_raw_parts(NonNull::new(address)?, 0))
}

fn block(start: *mut u8, layout: Layout) -> Block {
    Some(NonNull::slice_from_raw_parts(NonNull::new(start)?, layout.size()))
}

#[inline]
pub fn allocate(allocator: &impl GlobalAlloc, layout: Layout) -> Block {
    match layout.size() {
        0 => empty(layout),
        // SAFETY: the layout has a size.
        _ => block(unsafe { allocator.alloc(layout) }, layout),
    }
}

#[inline]
pub fn allocate_zeroed(allocator: &impl GlobalAlloc, layout: Layout) -> Block {
    match layout.size() {
        0 => empty(layout),
        // SAFETY: the layout has a size.
        _ => block(unsafe { allocator.alloc_zeroed(layout) }, layout),
    }
}

/// # Safety
///
/// As of `Allocator::deallocate`.
#[inline]
pub unsafe fn deallocate(allocator: &impl GlobalAlloc, start: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: the caller promises that the block is this allocator's, with this layout.
        unsafe { allocator.dealloc(start.as_ptr(), layout) }
    }
}

/// Grows or shrinks.
///
/// # Safety
///
/// As of `Allocator::grow` or `Allocator::shrink`.
#[cfg(any(feature = "allocator-api2", feature = "allocator_api"))]
#[inline]
pub unsafe fn resize(allocator: &impl GlobalAlloc, start: NonNull<u8>, old: Layout, new: Layout) -> Block {
    // Below MIN_ALIGN all alignments are one. An alignment that is really another takes a new block, for a block is
    // released by the alignment with which it was allocated.
    let one = if cfg!(miri) { 1 } else { MIN_ALIGN }; // Miri's `System` tells all alignments apart
    let same = old.align() == new.align() || old.align().max(new.align()) <= one;
    // SAFETY: the caller promises that the block is this allocator's, with the old layout.
    unsafe {
        if same && old.size() != 0 && new.size() != 0 {
            return block(allocator.realloc(start.as_ptr(), old, new.size()), new);
        }
        let moved = allocate(allocator, new)?;
        let bytes = old.size().min(new.size());
        moved.cast::<u8>().copy_from_nonoverlapping(start, bytes);
        deallocate(allocator, start, old);
        Some(moved)
    }
}

/// # Safety
///
/// As of `Allocator::grow_zeroed`.
#[cfg(any(feature = "allocator-api2", feature = "allocator_api"))]
#[inline]
pub unsafe fn grow_zeroed(allocator: &impl GlobalAlloc, start: NonNull<u8>, old: Layout, new: Layout) -> Block {
    if old.size() == 0 {
        return allocate_zeroed(allocator, new);
    }
    // SAFETY: the caller's promise is that of `resize`; the grown block has the bytes from the old size to the new one.
    unsafe {
        let grown = resize(allocator, start, old, new)?;
        let tail = grown.cast::<u8>().add(old.size());
        tail.write_bytes(0, new.size() - old.size());
        Some(grown)
    }
}

/// Implements `Allocator`, of the crate or of the standard library, by the functions above.
#[cfg(any(feature = "allocator-api2", feature = "allocator_api"))]
macro_rules! implement {
    ($api:path, $allocator:ty, $this:ident => $global:expr) => {
        const _: () = {
            use $api as api;

            use core::alloc::Layout;
            use core::ptr::NonNull;

            use $crate::allocator;

            type Block = Result<NonNull<[u8]>, api::AllocError>;

            // SAFETY: a block stays valid until it is released, and any copy of the allocator may release it. `global`
            // passes the layouts on to functions that take all of them.
            unsafe impl api::Allocator for $allocator {
                #[inline]
                fn allocate(&self, layout: Layout) -> Block {
                    let $this = self;
                    allocator::allocate($global, layout).ok_or(api::AllocError)
                }

                #[inline]
                fn allocate_zeroed(&self, layout: Layout) -> Block {
                    let $this = self;
                    allocator::allocate_zeroed($global, layout).ok_or(api::AllocError)
                }

                #[inline]
                unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
                    let $this = self;
                    // SAFETY: the caller's promise.
                    unsafe { allocator::deallocate($global, start, layout) }
                }

                #[inline]
                unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Block {
                    let $this = self;
                    // SAFETY: the caller's promise.
                    unsafe { allocator::resize($global, start, old, new) }.ok_or(api::AllocError)
                }

                #[inline]
                unsafe fn grow_zeroed(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Block {
                    let $this = self;
                    // SAFETY: the caller's promise.
                    unsafe { allocator::grow_zeroed($global, start, old, new) }.ok_or(api::AllocError)
                }

                #[inline]
                unsafe fn shrink(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Block {
                    let $this = self;
                    // SAFETY: the caller's promise.
                    unsafe { allocator::resize($global, start, old, new) }.ok_or(api::AllocError)
                }
            }
        };
    };
}

#[cfg(any(feature = "allocator-api2", feature = "allocator_api"))]
pub(crate) use implement;
