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

use core::ffi::{c_char, c_int, c_uint, c_void};

// The crate that holds libhakmem.a. Without a use of it, rustc would not link it.
use hakmem_src as _;

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

/// Counters of one tier. The fast paths count nothing, so every figure is made in slow paths.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_tier_stats_t {
    /// Times a thread's cache ran empty and was filled, or a mapping was handed out.
    pub refills: u64,
    /// Blocks handed to thread caches by those refills.
    pub served: u64,
    /// Blocks that came back out of thread caches.
    pub returned: u64,
    /// Requests this tier could not serve and passed to the next.
    pub fell_through: u64,
    /// Requests it could not serve and that no other tier served.
    pub failed: u64,
    /// Blocks handed to the program: of the mmap tier, or with the feature `stats`, else 0.
    pub allocated: u64,
    /// Blocks that came back from it: the same.
    pub freed: u64,
}

/// Figures of the whole allocator. Set `size` to the size of this structure before [`hak_stats_get`]; a later version
/// may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// Address space of all segments.
    pub segment_bytes: u64,
    /// Slices of segments that slabs and spans use.
    pub active_bytes: u64,
    /// Free slices that may still be resident.
    pub dirty_bytes: u64,
    /// Live blocks of the mmap tier.
    pub mmap_bytes: u64,
    /// Mappings of the mmap tier kept for reuse, as far as they may be resident.
    pub mmap_cached_bytes: u64,
    /// Total returned to the system by madvise or munmap.
    pub purged_bytes: u64,
    /// Thread heaps ever created.
    pub heaps: u64,
    /// Of these, the ones without a thread at the moment.
    pub heaps_parked: u64,
    /// Messages posted to other threads' heaps.
    pub remote_posts: u64,
    /// Blocks of those messages that arrived.
    pub remote_blocks: u64,
    /// Counters of each tier, by `HAK_TIER_*`.
    pub tier: [hak_tier_stats_t; HAK_TIER_COUNT as usize],
    /// Heaps of [`hak_heap_new`] that were not destroyed.
    pub program_heaps: u64,
    /// Live blocks of those, in bytes by [`hak_usable_size`].
    pub program_heap_bytes: u64,
    /// Active, dirty, mmap and cached bytes: what the limit is for.
    pub held_bytes: u64,
    /// The limit of [`hak_limit_set`]; 0: none.
    pub limit_bytes: u64,
    /// Requests that failed because of it.
    pub limit_failed: u64,
}

/// What [`hak_limit_set`] has called when a request of `size` bytes would take the process beyond the limit, all that was
/// free has gone back to the system, and it still would. Returns 0 when the request is to fail, anything else when there
/// may be room now: then it is tried again, and if that is in vain, this is called again.
///
/// It runs in the thread that made the request, in several at once perhaps, with none of hakmem's locks held: it may free
/// blocks, and call [`hak_collect`] or [`hak_limit_set`]. What it allocates may fail, without another call. It must return
/// (not unwind), must not destroy or reset the heap that the request is to, nor free or resize the block that is being
/// resized, nor wait for a lock that the caller may have.
pub type hak_limit_callback_t = Option<unsafe extern "C" fn(argument: *mut c_void, size: usize) -> c_int>;

/// A heap of a program's own: see [`hak_heap_new`]. Only pointers to it exist.
///
/// A heap's blocks are like others: [`hak_free`], [`hak_usable_size`], [`hak_tier_of`], [`hak_realloc`] and
/// [`hak_realloc_aligned_sized`] take them, and the last two leave them in their heap. But [`hak_free_sized`] and
/// [`hak_free_aligned_sized`] must not be given a heap's block of more than 8 KiB to 52 KiB: they look at nothing but
/// the size, and would keep the block for [`hak_malloc`] to hand out. For those who have the size, there is
/// [`hak_heap_free_sized`].
#[repr(C)]
#[derive(Debug)]
pub struct hak_heap_t {
    _private: [u8; 0],
    // Neither Send, Sync nor Unpin by itself: those who wrap the pointer say what holds for it.
    _marker: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
}

/// How a heap is to be. Set `size` to the size of this structure and the rest to 0 before setting what is wanted; a
/// later version may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_heap_options_t {
    /// The size of this structure.
    pub size: usize,
    /// The most that the heap's live blocks may be together, in bytes by [`hak_usable_size`]; 0: no limit.
    pub limit_bytes: usize,
}

/// Figures of one heap. Set `size` to the size of this structure before [`hak_heap_stats`]; a later version may add
/// fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_heap_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// Of all live blocks, by [`hak_usable_size`]; what the limit is for.
    pub live_bytes: u64,
    /// Their number.
    pub live_blocks: u64,
    /// The most that `live_bytes` has been.
    pub peak_bytes: u64,
    /// Address space the heap holds for its blocks: slices of segments, and mappings.
    pub footprint_bytes: u64,
    /// As in the options; 0: no limit.
    pub limit_bytes: u64,
    /// Requests that got null, because of the limit or for want of memory.
    pub failed: u64,
}

/// What the calling thread holds and did. Set `size` to the size of this structure before [`hak_thread_stats_get`]; a later
/// version may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_thread_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// Free blocks to 8 KiB that wait for the thread's next requests.
    pub bin_blocks: u64,
    /// Their bytes.
    pub bin_bytes: u64,
    /// Free blocks above that, to 2 MiB.
    pub magazine_blocks: u64,
    /// Their bytes.
    pub magazine_bytes: u64,
    /// Blocks of other threads that it freed and has not sent home yet.
    pub ring_blocks: u64,
    /// Their bytes.
    pub ring_bytes: u64,
    /// Messages with blocks of its own, which others freed and it has not taken in yet.
    pub inbox_posts: u64,
    /// Blocks handed to the thread, by `HAK_TIER_*`; to ACE, with the feature `stats`, else 0.
    pub allocated: [u64; HAK_TIER_COUNT as usize],
    /// Blocks that it freed; the same.
    pub freed: [u64; HAK_TIER_COUNT as usize],
}

/// What the adaptive cache engine knows of a size class of pool or ACE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_ace_class_t {
    /// The size of its blocks.
    pub block_bytes: u64,
    /// Times a thread had no block of it left, all threads ever.
    pub misses: u64,
    /// Times a thread had no room for one more.
    pub overflows: u64,
    /// Of the threads that run, how many have had either.
    pub threads: u32,
    /// Blocks that a thread may keep when it begins.
    pub capacity_start: u32,
    /// The least that one of those threads may keep now; 0 without any.
    pub capacity_least: u32,
    /// The most.
    pub capacity_most: u32,
}

/// The number of size classes of pool and ACE.
pub const HAK_ACE_SNAPSHOT_CLASSES: usize = 64;

/// What the adaptive cache engine decided. Set `size` to the size of this structure before [`hak_ace_snapshot`]; a later
/// version may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_ace_snapshot_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// What all threads together may have above their start capacities.
    pub budget_bytes: u64,
    /// What they have of it.
    pub grown_bytes: u64,
    /// By ascending block size.
    pub classes: [hak_ace_class_t; HAK_ACE_SNAPSHOT_CLASSES],
}

/// What was built in. Set `size` to the size of this structure before [`hak_config_get`]; a later version may add fields
/// at the end. The strings are static.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_config_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// The C compiler's version.
    pub compiler: *const c_char,
    /// What it was called with; "unknown" when the build did not say.
    pub flags: *const c_char,
    /// As [`hak_version`].
    pub version: c_int,
    /// 1 when malloc and its family are hakmem's, else 0.
    pub replaces_malloc: c_int,
    /// The level of assertions; 0: none.
    pub assertions: c_int,
    /// The largest request of each tier, by `HAK_TIER_*`.
    pub tier_bytes: [usize; HAK_TIER_COUNT as usize],
    /// 1 when the background thread is on by default, the feature `background`, else 0; and so on:
    pub background: c_int,
    /// Every block that comes and goes is counted: the feature `stats`.
    pub counts_hits: c_int,
    /// No static TLS is needed: the feature `local-dynamic-tls`.
    pub local_dynamic_tls: c_int,
    /// Hits may be part of their callers: compiled by clang with `-flto`.
    pub inlines_hits: c_int,
    /// Valgrind's memcheck is told of every block: never in a build by cargo.
    pub valgrind: c_int,
    /// Misuse is looked for more closely, at some cost: the feature `secure`.
    pub secure: c_int,
}

/// One option. Set `size` to the size of this structure before [`hak_option_get`]; a later version may add fields at the
/// end. The strings are static.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_option_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// Of the environment, which sets it: `HAKMEM_...`.
    pub variable: *const c_char,
    /// What it does, in a line.
    pub meaning: *const c_char,
    /// What is in force.
    pub value: i64,
    /// What is in force when the variable is not set, or not to a number in the range.
    pub standard: i64,
    /// The smallest number of the range.
    pub least: i64,
    /// The largest number of the range.
    pub most: i64,
}

/// A call stack of the profile, and what was sampled there. A later version may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_profile_stack_t {
    /// Return addresses, the innermost first; valid during the call.
    pub addresses: *const *const c_void,
    /// Their number.
    pub depth: usize,
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

/// Sums of the profile. Set `size` to the size of this structure before [`hak_profile_stats`]; a later version may add
/// fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_profile_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// The mean distance of new samples; 0 when the profile is stopped.
    pub mean_bytes: u64,
    /// Different call stacks.
    pub stacks: u64,
    /// Samples for which a table had no room, missing in all other figures.
    pub dropped: u64,
    /// As in [`hak_profile_stack_t`], of all stacks; here and below.
    pub live_samples: u64,
    /// See there.
    pub live_blocks: u64,
    /// See there.
    pub live_bytes: u64,
    /// See there.
    pub total_samples: u64,
    /// See there.
    pub total_blocks: u64,
    /// See there.
    pub total_bytes: u64,
}

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

    /// Sets the most that hakmem may hold for the process, in bytes as `held_bytes` of [`hak_stats_get`] has them; 0: no
    /// limit. What is held already stays, be it more. A request for which more would be needed gives back what is free,
    /// calls `callback` (unless it is null) with `argument`, and at last returns null with `ENOMEM`. The former callback may
    /// still run in other threads when this returns.
    pub fn hak_limit_set(bytes: usize, callback: hak_limit_callback_t, argument: *mut c_void);

    /// The bytes that may be written at `ptr`: the size asked for, rounded up to its size class. 0 for null.
    pub fn hak_usable_size(ptr: *const c_void) -> usize;

    /// What [`hak_usable_size`] would report for a block of `hak_malloc(size)`; 0 when the request is too large.
    pub fn hak_good_size(size: usize) -> usize;

    /// The tier that serves the block `ptr`, or [`HAK_TIER_NONE`] when it is not a live block of this allocator. Never
    /// ends the process, so it also answers for pointers of other allocators. For a pointer into the middle of a
    /// block: [`HAK_TIER_NONE`].
    pub fn hak_tier_of(ptr: *const c_void) -> c_int;

    /// The name of a tier in lower case ("tiny"); "none" for any other value. The string is static.
    pub fn hak_tier_name(tier: c_int) -> *const c_char;

    /// Returns a new, empty heap; `options` may be null for the defaults. Fails with `ENOMEM`, or `EINVAL` when the
    /// `size` in `options` is none that the library knows.
    ///
    /// Any thread may allocate from any heap and free its blocks at any time, but for what [`hak_heap_reset`] and
    /// [`hak_heap_destroy`] say.
    pub fn hak_heap_new(options: *const hak_heap_options_t) -> *mut hak_heap_t;

    /// Returns a block of `heap` of at least `size` bytes with undefined content. Null with `ENOMEM` besides the usual
    /// reasons when the block would put the heap above its limit; then nothing has changed.
    pub fn hak_heap_malloc(heap: *mut hak_heap_t, size: usize) -> *mut c_void;

    /// [`hak_heap_malloc`] with `size` zeroed bytes.
    pub fn hak_heap_zalloc(heap: *mut hak_heap_t, size: usize) -> *mut c_void;

    /// [`hak_aligned_alloc`] from `heap`.
    pub fn hak_heap_aligned_alloc(heap: *mut hak_heap_t, alignment: usize, size: usize) -> *mut c_void;

    /// [`hak_aligned_zalloc`] from `heap`.
    pub fn hak_heap_aligned_zalloc(heap: *mut hak_heap_t, alignment: usize, size: usize) -> *mut c_void;

    /// [`hak_realloc`] in `heap`: null as `ptr` allocates there; a block that is not of `heap` ends the process. A
    /// limit counts what the block is afterwards, not the two copies that there may be meanwhile.
    pub fn hak_heap_realloc(heap: *mut hak_heap_t, ptr: *mut c_void, size: usize) -> *mut c_void;

    /// Frees a block of `heap`, a little faster than [`hak_free`]; null is ignored. A block that is not of `heap` ends
    /// the process. Keeps `errno`.
    pub fn hak_heap_free(heap: *mut hak_heap_t, ptr: *mut c_void);

    /// [`hak_heap_free`] for callers that know alignment (1 to 16 if none was asked for) and size, those of the block's
    /// last allocation or reallocation.
    pub fn hak_heap_free_sized(heap: *mut hak_heap_t, ptr: *mut c_void, alignment: usize, size: usize);

    /// Frees all blocks of the heap at once. It can be used again at once, and keeps up to 2 MiB of memory to that end.
    /// No other thread may be in a call with this heap or with a block of it meanwhile, and nobody may use a pointer to
    /// one of its blocks afterwards: a free of one ends the process as far as it can be told from a new block. Keeps
    /// `errno`.
    pub fn hak_heap_reset(heap: *mut hak_heap_t);

    /// As [`hak_heap_reset`], and the heap itself is gone, too: its memory is for anybody. Null is ignored. Keeps
    /// `errno`.
    pub fn hak_heap_destroy(heap: *mut hak_heap_t);

    /// Fills in `*stats`, all figures of the same moment, and returns 1; returns 0 and leaves it alone when its `size`
    /// is none that the library knows.
    pub fn hak_heap_stats(heap: *mut hak_heap_t, stats: *mut hak_heap_stats_t) -> c_int;

    /// The heap of the block `ptr`; null for blocks of the functions that name no heap and for what is no live block.
    /// Never ends the process.
    pub fn hak_heap_of(ptr: *const c_void) -> *mut hak_heap_t;

    /// Writes what was built in (version, compiler, flags, tiers and size limits) and what is on (every option with its
    /// value and the environment variable that sets it) to the file descriptor `fd`.
    pub fn hak_config_print(fd: c_int);

    /// Fills in `*config` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows.
    pub fn hak_config_get(config: *mut hak_config_t) -> c_int;

    /// Fills in `*option` for the option `number`, counted from 0, and returns 1; returns 0 and leaves it alone when there
    /// are not so many, or when its `size` is none that the library knows. Options do not change while the program runs.
    pub fn hak_option_get(number: c_uint, option: *mut hak_option_t) -> c_int;

    /// Fills in `*stats` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows.
    /// Figures of running threads are read while they change: each is exact, their sums may be a moment apart.
    pub fn hak_stats_get(stats: *mut hak_stats_t) -> c_int;

    /// Fills in `*stats` for the calling thread and returns 1; returns 0 and leaves it alone when its `size` is none that the
    /// library knows. Walks the lists of what the thread holds: some microseconds.
    pub fn hak_thread_stats_get(stats: *mut hak_thread_stats_t) -> c_int;

    /// Writes the statistics to the file descriptor `fd`, one figure a line.
    pub fn hak_stats_print(fd: c_int);

    /// Fills in `*snapshot` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows.
    pub fn hak_ace_snapshot(snapshot: *mut hak_ace_snapshot_t) -> c_int;

    /// Begins to sample one of every `mean` allocated bytes, or of as many as the option says for 0; or goes on with another
    /// mean. Returns 1, or 0 with `ENOSYS` in a library without the feature `profile`, `ENOMEM` without memory, `EINVAL`
    /// when the option is 0 as well.
    pub fn hak_profile_start(mean: usize) -> c_int;

    /// Ends it. What was recorded stays, and frees of sampled blocks are noted as before.
    pub fn hak_profile_stop();

    /// Forgets all that was recorded.
    pub fn hak_profile_reset();

    /// Has call stacks found by `unwind` instead of frame pointers, or by these again for null. It stores up to `most` return
    /// addresses, the innermost first, and returns their number; 0 if it cannot say. It is called in the middle of an
    /// allocation and may allocate, but must neither unwind nor call functions of the profile.
    pub fn hak_profile_unwind_with(
        unwind: Option<unsafe extern "C" fn(addresses: *mut *const c_void, most: usize) -> usize>,
    );

    /// Calls `visit` with every stack that was sampled since the last reset, and returns how many those were. It may
    /// allocate and free.
    pub fn hak_profile_visit(
        visit: Option<unsafe extern "C" fn(stack: *const hak_profile_stack_t, context: *mut c_void)>,
        context: *mut c_void,
    ) -> usize;

    /// Fills in `*stats` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows, or with
    /// `ENOSYS`.
    pub fn hak_profile_stats(stats: *mut hak_profile_stats_t) -> c_int;

    /// Writes the profile to the file descriptor `fd`, in the text form of gperftools that pprof reads. Returns 1, or 0 with
    /// `errno`.
    pub fn hak_profile_dump(fd: c_int) -> c_int;
}
