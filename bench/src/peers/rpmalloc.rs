//! rpmalloc, which wants to be told of every thread that starts and ends.

use std::alloc::{GlobalAlloc, Layout};

use super::Peer;

/// rpmalloc. Not the crate `rpmalloc`, which builds it with ENABLE_PRELOAD: that starts it in every process and puts a
/// `pthread_create` of its own in front of the system's, also when another peer is measured; and it has no realloc.
pub struct Rpmalloc;

extern "C" {
    // The crate declares this without its argument.
    fn rpmalloc_thread_finalize(release_caches: i32);
}

// SAFETY: these are an allocator's functions; blocks are aligned to 16 bytes, others are asked for with an alignment.
unsafe impl GlobalAlloc for Rpmalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rpmalloc(layout.size()).cast()
        } else {
            rpmalloc_sys::rpaligned_alloc(layout.align(), layout.size()).cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rpcalloc(1, layout.size()).cast()
        } else {
            rpmalloc_sys::rpaligned_calloc(layout.align(), 1, layout.size()).cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
        rpmalloc_sys::rpfree(ptr.cast())
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rprealloc(ptr.cast(), new_size).cast()
        } else {
            rpmalloc_sys::rpaligned_realloc(ptr.cast(), layout.align(), new_size, layout.size(), 0).cast()
        }
    }
}

impl Peer for Rpmalloc {
    const IT: Self = Rpmalloc;

    fn thread_start() {
        static START: std::sync::Once = std::sync::Once::new();
        // SAFETY: the first call initialises the process, the second this thread (nothing, if it already is).
        unsafe {
            START.call_once(|| {
                rpmalloc_sys::rpmalloc_initialize();
            });
            rpmalloc_sys::rpmalloc_thread_initialize();
        }
    }

    fn thread_end() {
        // SAFETY: the caller promises that the thread makes no further call.
        unsafe { rpmalloc_thread_finalize(1) }
    }
}
