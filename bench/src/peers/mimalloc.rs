//! mimalloc v3 and v2: one program holds both (see build.rs), and both are called in the same way.

use std::alloc::{GlobalAlloc, Layout};

use super::{Peer, Presence};

/// True when plain `malloc` gives the alignment: mimalloc promises 16 bytes for blocks of 16 bytes and more.
#[inline(always)]
fn malloc_aligns(layout: &Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

/// The version as people write it.
fn version(number: i32) -> String {
    // v2 and early v3 count in hundreds, later ones in tens of thousands.
    if number >= 10_000 {
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    } else {
        format!("{}.{}.{}", number / 100, number / 10 % 10, number % 10)
    }
}

extern "C" {
    fn mi_version() -> i32;
    fn mi_collect(force: bool);
}

pub fn v3_version() -> String {
    // SAFETY: returns a constant.
    version(unsafe { mi_version() })
}

/// Implements a peer over one set of mimalloc's functions.
macro_rules! mimalloc_peer {
    ($type:ident, $malloc:path, $zalloc:path, $realloc:path, $malloc_aligned:path, $zalloc_aligned:path,
     $realloc_aligned:path, $free:path, $collect:path) => {
        // SAFETY: these are an allocator's functions; alignments of layouts are powers of two.
        unsafe impl GlobalAlloc for $type {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                if malloc_aligns(&layout) {
                    $malloc(layout.size()).cast()
                } else {
                    $malloc_aligned(layout.size(), layout.align()).cast()
                }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                if malloc_aligns(&layout) {
                    $zalloc(layout.size()).cast()
                } else {
                    $zalloc_aligned(layout.size(), layout.align()).cast()
                }
            }

            #[inline]
            unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
                $free(ptr.cast())
            }

            #[inline]
            unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                if layout.align() <= 16 && layout.align() <= new_size {
                    $realloc(ptr.cast(), new_size).cast()
                } else {
                    $realloc_aligned(ptr.cast(), new_size, layout.align()).cast()
                }
            }
        }

        impl Peer for $type {
            const IT: Self = $type;

            fn collect() {
                // SAFETY: may be called at any time.
                unsafe { $collect(true) };
            }
        }
    };
}

/// mimalloc v3.
pub struct Mimalloc;

mimalloc_peer!(
    Mimalloc,
    libmimalloc_sys::mi_malloc,
    libmimalloc_sys::mi_zalloc,
    libmimalloc_sys::mi_realloc,
    libmimalloc_sys::mi_malloc_aligned,
    libmimalloc_sys::mi_zalloc_aligned,
    libmimalloc_sys::mi_realloc_aligned,
    libmimalloc_sys::mi_free,
    mi_collect
);

#[cfg(mimalloc2)]
mod v2 {
    use std::ffi::c_void;

    use super::*;

    extern "C" {
        pub fn bench_mi2_malloc(size: usize) -> *mut c_void;
        pub fn bench_mi2_zalloc(size: usize) -> *mut c_void;
        pub fn bench_mi2_realloc(ptr: *mut c_void, size: usize) -> *mut c_void;
        pub fn bench_mi2_malloc_aligned(size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_zalloc_aligned(size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_realloc_aligned(ptr: *mut c_void, size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_free(ptr: *mut c_void);
        pub fn bench_mi2_collect(force: bool);
        pub fn bench_mi2_version() -> i32;
    }

    /// mimalloc v2: see build.rs.
    pub struct Mimalloc2;

    mimalloc_peer!(
        Mimalloc2,
        bench_mi2_malloc,
        bench_mi2_zalloc,
        bench_mi2_realloc,
        bench_mi2_malloc_aligned,
        bench_mi2_zalloc_aligned,
        bench_mi2_realloc_aligned,
        bench_mi2_free,
        bench_mi2_collect
    );
}

#[cfg(mimalloc2)]
pub use v2::Mimalloc2;

#[cfg(mimalloc2)]
pub fn v2_presence() -> Presence {
    Presence::BuiltIn
}

#[cfg(mimalloc2)]
pub fn v2_version() -> String {
    // SAFETY: returns a constant.
    version(unsafe { v2::bench_mi2_version() })
}

#[cfg(not(mimalloc2))]
pub fn v2_presence() -> Presence {
    Presence::Absent(format!("not built in: {}", env!("MIMALLOC2_ABSENT")))
}

#[cfg(not(mimalloc2))]
pub fn v2_version() -> String {
    "not built in".into()
}
