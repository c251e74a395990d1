//! ```
//! #[global_allocator]
//! static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
//! # fn main() { assert_eq!(vec![1; 3].len(), 3) }
//! ```
//!
//! These two lines make hakmem the allocator of the whole program. The rest of the crate asks the allocator questions:
//! [`stats`] and [`thread_stats`] for what happened, [`config`] for what is built in, [`options`] for what is on, [`Hakmem::tier_of`] for which
//! tier serves a block; [`limit`] bounds what the process takes; [`collect`] makes it return unused memory to the system now.
//!
//! ```
//! # #[global_allocator]
//! # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
//! use hakmem_rs::{Hakmem, Tier};
//!
//! # fn main() {
//! let block = Box::new([7u8; 100]);
//! assert_eq!(Hakmem::tier_of(&*block), Some(Tier::Tiny));
//! drop(block);
//! hakmem_rs::collect(true);
//! println!("{}", hakmem_rs::stats());
//! # }
//! ```
//!
//! # Features
//!
//! `std` (default): [`print_config`] and [`print_stats`], which take anything that is an open file, and [`SharedHeap`]. Without
//! it the crate needs only `core`.
//!
//! `allocator-api2`: [`Hakmem`], `&`[`Heap`] and [`SharedHeap`] implement `Allocator` of the crate allocator-api2 0.2, which its `Vec` and
//! `Box` and hashbrown's maps take.
//!
//! `allocator_api`: they implement `Allocator` of the standard library, which takes a nightly compiler. (The crate
//! allocator-api2 has a feature `nightly`, which makes its trait that of the standard library: in a program that turns it on,
//! this feature is the one to take, alone.)
//!
//! `serde`: [`Stats`], [`Config`], [`Options`] and what they are made of implement `serde::Serialize`.
//!
//! `override`: the C library's `malloc` and its family, and C++'s `operator new` and `delete`, become hakmem's in the whole
//! program, for C and C++ code that is linked with it. For the final program to choose, not for a library.
//!
//! `local-dynamic-tls`: for a library that is opened by `dlopen` where libc has no room left in its static TLS block, of which
//! hakmem takes up to 1.5 KiB otherwise. Each call takes some instructions more.
//!
//! `background`: a thread gives memory back while the program does nothing, unless the environment has
//! `HAKMEM_BACKGROUND=0`. Without the feature it takes `HAKMEM_BACKGROUND=1`.
//!
//! `stats`: every block that is allocated and freed is counted, by tier and by thread ([`TierStats::allocated`],
//! [`ThreadStats::tier`]). Each call takes some dozen instructions more.
//!
//! `secure`: misuse is looked for more closely, and ends the process in a line: writes past a block's end, writes after a free,
//! a release with another layout. Each call takes some 500 instructions more.
//!
//! `debug`: the C library checks its own assumptions as it goes and ends the process when one does not hold. For those who
//! suspect it.
//!
//! `profile`: the module `profile`, a sampling heap profiler: which call stacks allocated what is live. Each allocation and
//! release takes some instructions more, started or not.
//!
//! `pprof`: `profile`, and the profile in pprof's own form, which takes the crates prost and flate2.
//!
//! # What a program can rely on
//!
//! Blocks are freed through [`GlobalAlloc::dealloc`] with their layout, so hakmem need not look up their size: a wrong
//! layout, already undefined behaviour in Rust, may end the process with one line on standard error. When memory runs
//! out, allocation returns null, which `Vec` and its like turn into [`handle_alloc_error`]; all blocks stay usable.
//!
//! [`handle_alloc_error`]: https://doc.rust-lang.org/alloc/alloc/fn.handle_alloc_error.html
#![no_std]
#![cfg_attr(feature = "allocator_api", feature(allocator_api))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::pedantic)]

#[cfg(feature = "std")]
extern crate std;

mod ace;
mod allocator;
mod config;
mod heap;
pub mod limit;
mod options;
#[cfg(feature = "profile")]
pub mod profile;
#[cfg(feature = "std")]
mod shared;
mod stats;
mod tier;

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::fmt;
#[cfg(feature = "std")]
use std::os::fd::{AsFd, AsRawFd};

use hakmem_sys as sys;

pub use ace::{ace, AceClass, AceSnapshot};
pub use config::{config, Config};
pub use heap::{Heap, HeapBuilder, HeapStats, OutOfMemory};
pub use options::{options, OptionInfo, Options};
#[cfg(feature = "std")]
pub use shared::SharedHeap;
pub use stats::{stats, thread_stats, Stats, ThreadStats, ThreadTierStats, TierStats};
pub use tier::{Tier, UnknownTier};

/// The hakmem allocator, to be used as a `#[global_allocator]`. It has no state of its own: all values of this type are
/// the same allocator.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
///
/// fn main() {
///     let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
///     assert_eq!(squares[999], 998_001);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Hakmem;

/// The alignment that every block has, asked for or not.
const MIN_ALIGN: usize = 16;

#[cfg(not(all(miri, feature = "std")))]
/// The largest size of which [`sys::hak_free`] is the fastest release, whatever the alignment.
const MAX_UNSIZED: usize = sys::HAK_FREE_SIZED_MIN - 1;

// Size and alignment are constants where a container calls through the `Allocator` trait, or where the program is linked
// with LTO: then of each branch here only one side is compiled. Else they are the arguments of `__rust_alloc` and its like,
// in which rustc inlines these methods once a program. docs/decisions/rust-fast-path.md has the instruction counts.
//
// SAFETY: the C functions meet GlobalAlloc's contract: they never unwind, a block lives until its one release, and its
// size and alignment are at least those of the layout. More than the contract: a layout of size 0 gives a block too.
#[cfg(not(all(miri, feature = "std")))]
unsafe impl GlobalAlloc for Hakmem {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be asked for, and a Layout's alignment is a power of two.
        unsafe {
            if layout.align() <= MIN_ALIGN {
                sys::hak_malloc(layout.size()).cast()
            } else {
                sys::hak_aligned_alloc(layout.align(), layout.size()).cast()
            }
        }
    }

    // The sized functions differ by which function allocated: above MAX_UNSIZED this must branch as `alloc` does.
    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that `ptr` came from this allocator with this very layout.
        unsafe {
            if layout.size() <= MAX_UNSIZED {
                sys::hak_free(ptr.cast());
            } else if layout.align() <= MIN_ALIGN {
                sys::hak_free_sized(ptr.cast(), layout.size());
            } else {
                sys::hak_free_aligned_sized(ptr.cast(), layout.align(), layout.size());
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`; the block has the layout's size.
        unsafe {
            if layout.align() > MIN_ALIGN {
                sys::hak_aligned_zalloc(layout.align(), layout.size()).cast()
            } else if layout.size() <= MAX_UNSIZED {
                // Of these sizes no block is known to be zero. Cleared here, a constant size becomes a few stores.
                let block = sys::hak_malloc(layout.size()).cast::<u8>();
                if !block.is_null() {
                    block.write_bytes(0, layout.size());
                }
                block
            } else {
                sys::hak_calloc(1, layout.size()).cast()
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `ptr` came from this allocator with this very layout.
        unsafe { sys::hak_realloc_aligned_sized(ptr.cast(), layout.align(), layout.size(), new_size).cast() }
    }
}

// Miri cannot run the C code: programs that it checks get the system's blocks, so that it can check the rest of them.
//
// SAFETY: `System` keeps the contract.
#[cfg(all(miri, feature = "std"))]
unsafe impl GlobalAlloc for Hakmem {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, here and below.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { std::alloc::System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { std::alloc::System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { std::alloc::System.realloc(ptr, layout, new_size) }
    }
}

#[cfg(feature = "allocator_api")]
allocator::implement!(std::alloc, Hakmem, hakmem => hakmem);
#[cfg(feature = "allocator-api2")]
allocator::implement!(allocator_api2::alloc, Hakmem, hakmem => hakmem);

impl Hakmem {
    /// The tier that serves the block at `ptr`, or `None` when no live block of hakmem starts there. Any pointer may be
    /// asked about: it is not read through.
    ///
    /// ```
    /// # use hakmem_rs::Hakmem;
    /// # #[global_allocator]
    /// # static ALLOCATOR: Hakmem = Hakmem;
    /// # fn main() {
    /// let list = vec![0u8; 3 << 20];
    /// println!("{:?}", Hakmem::tier_of(list.as_ptr()));
    /// # }
    /// ```
    #[inline]
    pub fn tier_of<T: ?Sized>(ptr: *const T) -> Option<Tier> {
        // SAFETY: hak_tier_of accepts any pointer.
        let tier = unsafe { sys::hak_tier_of(ptr.cast::<c_void>()) };
        Tier::try_from(tier).ok()
    }

    /// The bytes that may be used at `ptr`: what was asked for, rounded up to a size class; with the feature `secure` just what
    /// was asked for.
    ///
    /// The layout with which the block must be freed stays the one it was allocated with.
    ///
    /// ```
    /// # use hakmem_rs::Hakmem;
    /// # #[global_allocator]
    /// # static ALLOCATOR: Hakmem = Hakmem;
    /// # fn main() {
    /// let text = String::with_capacity(100);
    /// // SAFETY: a String with a capacity has a block of the global allocator, which is hakmem here.
    /// assert!(unsafe { Hakmem::usable_size(text.as_ptr()) } >= 100);
    /// # }
    /// ```
    ///
    /// # Safety
    ///
    /// `ptr` is null or a live block of hakmem.
    #[inline]
    #[must_use]
    pub unsafe fn usable_size(ptr: *const u8) -> usize {
        // SAFETY: the caller's promise is the one that hak_usable_size asks for.
        unsafe { sys::hak_usable_size(ptr.cast()) }
    }

    /// The bytes that a block for a request of `size` bytes really has, as [`usable_size`](Self::usable_size) says; `None` when no
    /// block can be that large.
    ///
    /// ```
    /// # use hakmem_rs::Hakmem;
    /// assert!(Hakmem::good_size(100) >= Some(100));
    /// ```
    #[inline]
    #[must_use]
    pub fn good_size(size: usize) -> Option<usize> {
        // SAFETY: hak_good_size accepts any size.
        match unsafe { sys::hak_good_size(size) } {
            0 => None,
            bytes => Some(bytes),
        }
    }
}

/// Returns memory that is not in use to the system: what the calling thread caches, what finished threads left behind,
/// and free spans and mappings. Without `force`, only what has been free for a while.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// drop(vec![1u8; 10 << 20]); // kept for the next one
/// let held_before = hakmem_rs::stats().held_bytes;
/// hakmem_rs::collect(true);
/// assert!(hakmem_rs::stats().held_bytes <= held_before - (10 << 20));
/// ```
#[inline]
pub fn collect(force: bool) {
    // SAFETY: hak_collect may be called at any time.
    unsafe { sys::hak_collect(c_int::from(force)) }
}

/// A version of hakmem. Versions compare by what they count.
///
/// ```
/// let hakmem_rs::Version { major, minor, .. } = hakmem_rs::version();
/// assert!((major, minor) >= (0, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Version {
    /// Counts incompatible changes.
    pub major: u32,
    /// Counts additions.
    pub minor: u32,
    /// Counts corrections.
    pub patch: u32,
}

impl Version {
    /// From major * 10000 + minor * 100 + patch.
    fn of_number(number: c_int) -> Version {
        let number = number.unsigned_abs();
        Version {
            major: number / 10_000,
            minor: number / 100 % 100,
            patch: number % 100,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version of the C library that is linked.
///
/// ```
/// assert_eq!(hakmem_rs::version().to_string(), env!("CARGO_PKG_VERSION"));
/// ```
#[must_use]
pub fn version() -> Version {
    // SAFETY: hak_version has no preconditions.
    Version::of_number(unsafe { sys::hak_version() })
}

/// Writes what was built in (version, compiler, flags, tiers and their limits) and what is on (every option with its
/// value and the environment variable that sets it) to `file`, without allocating. For values to compute with, see
/// [`config`] and [`options`].
///
/// ```
/// hakmem_rs::print_config(std::io::stderr());
/// ```
#[cfg(feature = "std")]
pub fn print_config(file: impl AsFd) {
    // SAFETY: the descriptor is open for as long as it is borrowed.
    unsafe { sys::hak_config_print(file.as_fd().as_raw_fd()) }
}

/// Writes the statistics to `file`, one figure a line, without allocating. For figures to compute with, see [`stats`].
///
/// ```
/// hakmem_rs::print_stats(std::io::stderr());
/// ```
#[cfg(feature = "std")]
pub fn print_stats(file: impl AsFd) {
    // SAFETY: the descriptor is open for as long as it is borrowed.
    unsafe { sys::hak_stats_print(file.as_fd().as_raw_fd()) }
}
