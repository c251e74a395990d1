//! What happened: of the whole allocator, of one thread, of the adaptive cache engine.

use core::ffi::c_int;

use crate::HAK_TIER_COUNT;

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
///
/// ```
/// use core::mem::size_of;
/// use hakmem_sys::*;
///
/// let mut stats = hak_stats_t { size: size_of::<hak_stats_t>(), ..Default::default() };
/// // SAFETY: the structure is valid, and its size set; the block is freed once.
/// unsafe {
///     hak_free(hak_malloc(30_000));
///     assert_eq!(hak_stats_get(&mut stats), 1);
///     hak_stats_print(2);
/// }
/// let pool: hak_tier_stats_t = stats.tier[HAK_TIER_POOL as usize];
/// assert!(pool.refills >= 1 && stats.active_bytes > 0);
/// ```
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
    /// Heaps of [`hak_heap_new`](crate::hak_heap_new) that were not destroyed.
    pub program_heaps: u64,
    /// Live blocks of those, in bytes by [`hak_usable_size`](crate::hak_usable_size).
    pub program_heap_bytes: u64,
    /// Active, dirty, mmap and cached bytes: what the limit is for.
    pub held_bytes: u64,
    /// The limit of [`hak_limit_set`](crate::hak_limit_set); 0: none.
    pub limit_bytes: u64,
    /// Requests that failed because of it.
    pub limit_failed: u64,
}

/// What the calling thread holds and did. Set `size` to the size of this structure before [`hak_thread_stats_get`]; a later
/// version may add fields at the end.
///
/// ```
/// use core::mem::size_of;
/// use hakmem_sys::*;
///
/// let mut stats = hak_thread_stats_t { size: size_of::<hak_thread_stats_t>(), ..Default::default() };
/// // SAFETY: the block is freed once; the structure is valid, and its size set.
/// unsafe {
///     hak_free(hak_malloc(100));
///     assert_eq!(hak_thread_stats_get(&mut stats), 1);
/// }
/// assert!(stats.bin_blocks >= 1);
/// ```
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
///
/// ```
/// use core::mem::size_of;
/// use hakmem_sys::*;
///
/// let mut snapshot = hak_ace_snapshot_t {
///     size: size_of::<hak_ace_snapshot_t>(),
///     budget_bytes: 0,
///     grown_bytes: 0,
///     classes: [hak_ace_class_t::default(); HAK_ACE_SNAPSHOT_CLASSES],
/// };
/// // SAFETY: the structure is valid, and its size set.
/// assert_eq!(unsafe { hak_ace_snapshot(&mut snapshot) }, 1);
/// assert!(snapshot.classes[0].block_bytes > 8192);
/// ```
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

extern "C" {
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
}
