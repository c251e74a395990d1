//! Raw bindings to the hakmem memory allocator: what `hakmem.h` declares, under the same names.
//!
//! A program that wants hakmem as its global allocator takes the crate `hakmem-rs`; this one is for code that calls the
//! C functions itself:
//!
//! ```
//! // SAFETY: a block of hak_malloc is freed once, with the size it was asked for.
//! unsafe {
//!     let block = hakmem_sys::hak_malloc(100);
//!     assert!(!block.is_null() && block as usize % 16 == 0);
//!     hakmem_sys::hak_free_sized(block, 100);
//! }
//! ```
//!
//! What else there is around a block:
//!
//! ```
//! use core::ffi::CStr;
//! use core::ptr::null;
//! use hakmem_sys::*;
//!
//! assert_eq!(unsafe { hak_version() }, HAK_VERSION);
//! // SAFETY: each block is freed once, with what it was allocated with where that is said.
//! unsafe {
//!     let block = hak_realloc(hak_calloc(10, 10), 5000);
//!     assert!(hak_usable_size(block) >= 5000 && hak_good_size(5000) == hak_usable_size(block));
//!     assert_eq!(hak_tier_of(block), HAK_TIER_MID);
//!     assert_eq!(CStr::from_ptr(hak_tier_name(HAK_TIER_MID)), c"mid");
//!     hak_free(block);
//!     assert_eq!(hak_tier_of(null()), HAK_TIER_NONE);
//!
//!     let mut aligned = hak_aligned_alloc(64, 20_000);
//!     aligned = hak_realloc_aligned_sized(aligned, 64, 20_000, 40_000);
//!     assert_eq!(aligned as usize % 64, 0);
//!     hak_free_aligned_sized(aligned, 64, 40_000);
//!     hak_free(hak_aligned_zalloc(4096, 100));
//!     assert_eq!(hak_posix_memalign(&mut aligned, 32, 100), 0);
//!     hak_free(aligned);
//!
//!     // Sizes from here on are freed faster when they are told.
//!     let large = hak_alloc_at(HAK_FREE_SIZED_MIN, null());
//!     hak_free_sized(large, HAK_FREE_SIZED_MIN);
//!     hak_collect(1);
//! }
//! let tiers = [HAK_TIER_TINY, HAK_TIER_MID, HAK_TIER_POOL, HAK_TIER_ACE, HAK_TIER_MMAP];
//! assert_eq!(tiers.len(), HAK_TIER_COUNT as usize);
//! ```
//!
//! Every function may be called from any thread at any time. Sizes and alignments are in bytes. A block belongs to
//! whoever holds the pointer until exactly one call of a free or realloc function takes it; any thread may make that
//! call. Functions that allocate return null with `errno` = `ENOMEM` when memory runs out, or when the request is
//! larger than [`isize::MAX`], and leave every block already allocated untouched. A block is aligned to 16 bytes at
//! least. A request for 0 bytes yields a unique block of the smallest size.
//!
//! A pointer that is not a live block of this allocator, handed to a function that needs one, ends the process with one
//! line on standard error.
//!
//! With the feature `override`, `malloc` and its family and C++'s `operator new` and `delete` are hakmem's as well, in
//! the whole program.
//!
//! The bindings are written by hand; a test of the repository compares every prototype, structure, constant and symbol
//! with `hakmem.h` and with the library.
#![no_std]
#![allow(non_camel_case_types)]
#![warn(clippy::pedantic)]
#![deny(missing_docs)]

mod config;
mod heap;
mod profile;
mod stats;

use core::ffi::{c_char, c_int, c_void};

// The crate that holds libhakmem.a. Without a use of it, rustc would not link it.
use hakmem_src as _;

pub use config::*;
pub use heap::*;
pub use profile::*;
pub use stats::*;

// With the feature `override` its one object must be part of every program that depends on this crate, also of one that
// calls none of the functions below: malloc is in that object, and nothing makes a linker look for malloc there.
#[cfg(feature = "override")]
#[used]
static ANCHOR: unsafe extern "C" fn(usize) -> *mut c_void = hak_malloc;

/// The version of these bindings: major * 10000 + minor * 100 + patch.
pub const HAK_VERSION: c_int = 100;

/// The tier of blocks to 1 KiB.
pub const HAK_TIER_TINY: c_int = 0;
/// The tier of blocks to 8 KiB.
pub const HAK_TIER_MID: c_int = 1;
/// The tier of blocks to 52 KiB.
pub const HAK_TIER_POOL: c_int = 2;
/// The tier of blocks to 2 MiB, the adaptive cache engine.
pub const HAK_TIER_ACE: c_int = 3;
/// The tier of blocks above 2 MiB, each a mapping of its own.
pub const HAK_TIER_MMAP: c_int = 4;
/// The number of tiers; requests walk them from 0 up.
pub const HAK_TIER_COUNT: c_int = 5;
/// What [`hak_tier_of`] says of a pointer that is not a live block.
pub const HAK_TIER_NONE: c_int = -1;

/// The smallest size that [`hak_free_sized`] frees faster than [`hak_free`].
pub const HAK_FREE_SIZED_MIN: usize = 8193;

extern "C" {
    /// The version of the library, in the form of [`HAK_VERSION`].
    pub fn hak_version() -> c_int;

    /// Returns a block of at least `size` bytes with undefined content.
    pub fn hak_malloc(size: usize) -> *mut c_void;

    /// As [`hak_malloc`]. `site` is what the request is attributed to in log lines when it fails, by custom the address
    /// of the caller; null means unknown. This is the call that walks the tier chain: tiny, mid, pool, ACE, mmap.
    pub fn hak_alloc_at(size: usize, site: *const c_void) -> *mut c_void;

    /// Returns a block of at least `count * size` zero bytes; a product that overflows fails with `ENOMEM`.
    pub fn hak_calloc(count: usize, size: usize) -> *mut c_void;

    /// Resizes the block `ptr` to at least `size` bytes, in place or by moving it. Content is kept up to the smaller of
    /// both sizes. Null as `ptr` allocates; 0 as `size` resizes to the smallest block (it does not free). On failure
    /// returns null and `ptr` stays valid.
    pub fn hak_realloc(ptr: *mut c_void, size: usize) -> *mut c_void;

    /// Returns a block of at least `size` bytes aligned to `alignment`, which must be a power of two up to 1 GiB;
    /// otherwise fails with `EINVAL`. `size` need not be a multiple of it.
    pub fn hak_aligned_alloc(alignment: usize, size: usize) -> *mut c_void;

    /// [`hak_aligned_alloc`] with zeroed content.
    pub fn hak_aligned_zalloc(alignment: usize, size: usize) -> *mut c_void;

    /// As POSIX says: stores the block in `*out` and returns 0, or returns `EINVAL` or `ENOMEM` and leaves `*out` and
    /// `errno` alone. `alignment` must be a power of two, a multiple of the size of a pointer, and at most 1 GiB.
    pub fn hak_posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;

    /// Resizes a block of which the caller knows alignment and size, those of its last allocation or reallocation, and
    /// keeps the alignment. `ptr` must not be null. Otherwise as [`hak_realloc`].
    pub fn hak_realloc_aligned_sized(
        ptr: *mut c_void,
        alignment: usize,
        old_size: usize,
        new_size: usize,
    ) -> *mut c_void;

    /// Frees a block of any function above; null is ignored. Keeps `errno`.
    pub fn hak_free(ptr: *mut c_void);

    /// Frees a block allocated without an alignment, with exactly `size` as its size (`count * size` for
    /// [`hak_calloc`]); faster than [`hak_free`]. Null is ignored. Another size is an error of the caller.
    pub fn hak_free_sized(ptr: *mut c_void, size: usize);

    /// Frees a block allocated with exactly this alignment and size by one of the aligned functions. Null is ignored.
    pub fn hak_free_aligned_sized(ptr: *mut c_void, alignment: usize, size: usize);

    /// Returns memory that is not in use to the system: what the calling thread caches, what finished threads left
    /// behind, and free spans and mappings. With `force` 0, only what has been free for a while. Keeps `errno`.
    pub fn hak_collect(force: c_int);

    /// The bytes that may be written at `ptr`: the size asked for, rounded up to its size class; with the feature `secure`
    /// that size itself, but 1 for 0. 0 for null.
    pub fn hak_usable_size(ptr: *const c_void) -> usize;

    /// What [`hak_usable_size`] would report for a block of `hak_malloc(size)`, with the feature `secure` `size` itself; 0
    /// when the request is too large.
    pub fn hak_good_size(size: usize) -> usize;

    /// The tier that serves the block `ptr`, or [`HAK_TIER_NONE`] when it is not a live block of this allocator. Never
    /// ends the process, so it also answers for pointers of other allocators. For a pointer into the middle of a
    /// block: [`HAK_TIER_NONE`].
    pub fn hak_tier_of(ptr: *const c_void) -> c_int;

    /// The name of a tier in lower case ("tiny"); "none" for any other value. The string is static.
    pub fn hak_tier_name(tier: c_int) -> *const c_char;
}
