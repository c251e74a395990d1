//! A sampling heap profiler: of every so many allocated bytes one is sampled, and the call stack of its block is kept until
//! the block is freed. All figures but the counts of samples are unbiased estimates of the sums over all blocks.
//!
//! ```
//! # #[global_allocator]
//! # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
//! # fn main() -> Result<(), hakmem_rs::profile::NotStarted> {
//! use hakmem_rs::profile;
//!
//! profile::start(64 << 10)?;
//! let lists: Vec<Vec<u8>> = (0..1000).map(|_| vec![0; 10_000]).collect();
//! let snapshot = profile::snapshot();
//! let most = snapshot.iter().max_by_key(|stack| stack.live_bytes).unwrap();
//! println!("about {} bytes from {:?}", most.live_bytes, most.addresses);
//! assert!(snapshot.iter().map(|stack| stack.live_bytes).sum::<u64>() > 5_000_000);
//! profile::stop();
//! # drop(lists);
//! # Ok(())
//! # }
//! ```
//!
//! Stacks are found by frame pointers, so a program is to be compiled with `-C force-frame-pointers`; without, they end early,
//! or [`unwind_with`] has them found otherwise. The example `heap_profile` makes a flame graph; [`dump`] writes a file for `pprof`,
//! and with the feature `pprof` `Snapshot::write_pprof` writes its own compressed form, which other tools read as well.

extern crate alloc;

#[cfg(feature = "pprof")]
mod pprof;
#[cfg(feature = "pprof")]
mod proto;

use alloc::vec::Vec;
use core::ffi::c_void;
use core::fmt;
use core::mem::size_of;
use core::slice;
#[cfg(feature = "std")]
use std::os::fd::{AsFd, AsRawFd};

use hakmem_sys as sys;

use crate::stats::figures;

/// The profile could not be started: there is no memory for its tables, or `HAKMEM_PROFILE_RATE` is 0.
///
/// ```
/// use hakmem_rs::profile::{self, NotStarted};
///
/// if let Err(NotStarted) = profile::start(0) {
///     eprintln!("this run is not profiled");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStarted;

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the heap profile could not be started")
    }
}

impl core::error::Error for NotStarted {}

/// Begins to sample one of every `mean` allocated bytes, or goes on with another mean. 0 is the option
/// `HAKMEM_PROFILE_RATE`, 512 KiB. Other threads begin within 256 KiB that they allocate.
///
/// ```
/// # use hakmem_rs::profile;
/// profile::start(64 << 10)?;
/// assert_eq!(profile::stats().mean_bytes, 64 << 10);
/// # Ok::<(), profile::NotStarted>(())
/// ```
///
/// # Errors
///
/// When there is no memory for the tables, or the option is 0, too.
pub fn start(mean: usize) -> Result<(), NotStarted> {
    // SAFETY: hak_profile_start may be called at any time.
    match unsafe { sys::hak_profile_start(mean) } {
        1 => Ok(()),
        _ => Err(NotStarted),
    }
}

/// Ends it. What was recorded stays, and that sampled blocks are freed is noted as before.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// # use hakmem_rs::profile;
/// profile::start(1024)?;
/// let block = vec![0u8; 1 << 20];
/// profile::stop();
/// assert!(profile::stats().live_bytes >= 1 << 20);
/// drop(block);
/// assert!(profile::stats().live_bytes < 1 << 20);
/// # Ok::<(), profile::NotStarted>(())
/// ```
pub fn stop() {
    // SAFETY: no preconditions.
    unsafe { sys::hak_profile_stop() }
}

/// Forgets all that was recorded.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// # use hakmem_rs::profile;
/// profile::start(1024)?;
/// let block = vec![0u8; 1 << 20];
/// profile::stop();
/// profile::reset();
/// assert_eq!(profile::stats().live_bytes, 0);
/// # drop(block);
/// # Ok::<(), profile::NotStarted>(())
/// ```
pub fn reset() {
    // SAFETY: no preconditions.
    unsafe { sys::hak_profile_reset() }
}

/// A function that stores return addresses, the innermost first, and returns how many: at most as many as its second argument.
/// 0 means that it cannot say.
///
/// ```
/// use std::ffi::c_void;
///
/// unsafe extern "C" fn nothing(_addresses: *mut *const c_void, _most: usize) -> usize {
///     0 // stacks are the call site alone
/// }
/// let _unwinder: hakmem_rs::profile::Unwinder = nothing;
/// ```
pub type Unwinder = unsafe extern "C" fn(addresses: *mut *const c_void, most: usize) -> usize;

/// Has call stacks found by a function of the program's, or by frame pointers again.
///
/// ```
/// use std::ffi::c_void;
///
/// /// By the crate `backtrace`, so that the program need not have frame pointers.
/// unsafe extern "C" fn unwind(addresses: *mut *const c_void, most: usize) -> usize {
///     let mut depth = 0;
///     backtrace::trace(|frame| {
///         if depth < most {
///             // SAFETY: there is room for `most`.
///             unsafe { addresses.add(depth).write(frame.ip().cast_const()) };
///             depth += 1;
///         }
///         depth < most
///     });
///     depth
/// }
///
/// // SAFETY: `unwind` keeps what is asked of it.
/// unsafe { hakmem_rs::profile::unwind_with(Some(unwind)) };
/// ```
///
/// # Safety
///
/// The function is called in any thread, in the middle of an allocation. It may allocate, which is not sampled, but must
/// neither unwind nor call functions of this module, and stores no more than it may.
pub unsafe fn unwind_with(unwinder: Option<Unwinder>) {
    // SAFETY: the caller's promise.
    unsafe { sys::hak_profile_unwind_with(unwinder) }
}

/// A call stack, and what was sampled there.
///
/// ```
/// use hakmem_rs::profile::{self, Stack};
///
/// let freed = |stack: &&Stack| stack.live_blocks == 0;
/// println!("{} stacks have nothing left", profile::snapshot().iter().filter(freed).count());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stack {
    /// Return addresses, the innermost first; 64 at most. What called is right before each.
    pub addresses: Vec<usize>,
    /// Sampled blocks that are not freed.
    pub live_samples: u64,
    /// The blocks that these stand for.
    pub live_blocks: u64,
    /// Their bytes, as requested.
    pub live_bytes: u64,
    /// All sampled blocks, freed or not.
    pub total_samples: u64,
    /// The blocks that these stand for.
    pub total_blocks: u64,
    /// Their bytes, as requested.
    pub total_bytes: u64,
}

/// What was recorded, from [`snapshot`].
///
/// ```
/// for stack in &hakmem_rs::profile::snapshot() {
///     println!("{} bytes at {:?}", stack.live_bytes, stack.addresses.first());
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Snapshot {
    stacks: Vec<Stack>,
}

impl Snapshot {
    /// The call stacks, in the order in which they were first sampled.
    ///
    /// ```
    /// let snapshot = hakmem_rs::profile::snapshot();
    /// let live: u64 = snapshot.iter().map(|stack| stack.live_bytes).sum();
    /// # assert_eq!(live, 0);
    /// ```
    pub fn iter(&self) -> slice::Iter<'_, Stack> {
        self.stacks.iter()
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a Stack;
    type IntoIter = slice::Iter<'a, Stack>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Snapshot {
    type Item = Stack;
    type IntoIter = alloc::vec::IntoIter<Stack>;

    fn into_iter(self) -> Self::IntoIter {
        self.stacks.into_iter()
    }
}

unsafe extern "C" fn take(stack: *const sys::hak_profile_stack_t, context: *mut c_void) {
    // SAFETY: the library calls this with a stack that is valid for the call, and what `snapshot` gave it.
    let (stack, stacks) = unsafe { (&*stack, &mut *context.cast::<Vec<Stack>>()) };
    // SAFETY: so many addresses are there.
    let addresses = unsafe { slice::from_raw_parts(stack.addresses, stack.depth) };
    stacks.push(Stack {
        addresses: addresses.iter().map(|address| *address as usize).collect(),
        live_samples: stack.live_samples,
        live_blocks: stack.live_blocks,
        live_bytes: stack.live_bytes,
        total_samples: stack.total_samples,
        total_blocks: stack.total_blocks,
        total_bytes: stack.total_bytes,
    });
}

/// All call stacks that were sampled since the last [`reset`]. A stack's figures are of one moment, those of different stacks
/// a moment apart.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// # use hakmem_rs::profile;
/// profile::start(1024)?;
/// let block = vec![0u8; 1 << 20];
/// profile::stop();
/// let snapshot = profile::snapshot();
/// assert!(snapshot.iter().any(|stack| stack.live_bytes >= 1 << 20));
/// # drop(block);
/// # Ok::<(), profile::NotStarted>(())
/// ```
#[must_use]
pub fn snapshot() -> Snapshot {
    let mut stacks = Vec::<Stack>::new();
    // SAFETY: `take` is called before this returns, with a pointer to `stacks`.
    unsafe { sys::hak_profile_visit(Some(take), (&raw mut stacks).cast()) };
    Snapshot { stacks }
}

figures! {
    /// Sums of the profile, from [`stats`].
    ///
    /// ```
    /// let stats: hakmem_rs::profile::ProfileStats = hakmem_rs::profile::stats();
    /// assert_eq!(stats.dropped, 0, "all samples had room");
    /// ```
    ProfileStats of sys::hak_profile_stats_t {
        /// The mean distance of new samples in bytes; 0 when the profile is stopped.
        mean_bytes,
        /// Different call stacks.
        stacks,
        /// Samples for which a table had no room, missing in all other figures.
        dropped,
        /// Sampled blocks that are not freed.
        live_samples,
        /// The blocks that these stand for.
        live_blocks,
        /// Their bytes, as requested.
        live_bytes,
        /// All sampled blocks, freed or not.
        total_samples,
        /// The blocks that these stand for.
        total_blocks,
        /// Their bytes, as requested.
        total_bytes,
        .. size
    }
}

/// The sums over all stacks, all of one moment.
///
/// ```
/// assert_eq!(hakmem_rs::profile::stats().mean_bytes, 0, "not started");
/// ```
#[must_use]
pub fn stats() -> ProfileStats {
    let mut raw = sys::hak_profile_stats_t {
        size: size_of::<sys::hak_profile_stats_t>(),
        ..Default::default()
    };
    // SAFETY: `raw` is a valid structure whose size is set. With the feature this does not fail.
    unsafe { sys::hak_profile_stats(&raw mut raw) };
    ProfileStats::of(&raw)
}

/// Writes the profile to `file` in the text form of gperftools, which `pprof` reads, without allocating.
///
/// ```
/// # use hakmem_rs::profile;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// profile::start(0)?;
/// let path = std::env::temp_dir().join(format!("example-{}.heap", std::process::id()));
/// profile::dump(std::fs::File::create(&path)?)?;
/// assert!(std::fs::read_to_string(&path)?.starts_with("heap profile:"));
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// What the system says when something cannot be written.
#[cfg(feature = "std")]
pub fn dump(file: impl AsFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed.
    match unsafe { sys::hak_profile_dump(file.as_fd().as_raw_fd()) } {
        1 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
