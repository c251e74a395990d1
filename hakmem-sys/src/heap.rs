//! Heaps of a program's own.

use core::ffi::{c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};

/// A heap of a program's own: see [`hak_heap_new`]. Only pointers to it exist.
///
/// A heap's blocks are like others: [`hak_free`](crate::hak_free), [`hak_usable_size`](crate::hak_usable_size), [`hak_tier_of`](crate::hak_tier_of), [`hak_realloc`](crate::hak_realloc) and
/// [`hak_realloc_aligned_sized`](crate::hak_realloc_aligned_sized) take them, and the last two leave them in their heap. But [`hak_free_sized`](crate::hak_free_sized) and
/// [`hak_free_aligned_sized`](crate::hak_free_aligned_sized) must not be given a heap's block of more than 8 KiB to 52 KiB: they look at nothing but
/// the size, and would keep the block for [`hak_malloc`](crate::hak_malloc) to hand out. For those who have the size, there is
/// [`hak_heap_free_sized`].
///
/// ```
/// use core::mem::size_of;
/// use hakmem_sys::*;
///
/// let mut options = hak_heap_options_t { size: size_of::<hak_heap_options_t>(), limit_bytes: 1 << 20 };
/// let mut stats = hak_heap_stats_t { size: size_of::<hak_heap_stats_t>(), ..Default::default() };
/// // SAFETY: blocks are freed once, to their heap, with their alignment and size; none is used after the reset.
/// unsafe {
///     let heap: *mut hak_heap_t = hak_heap_new(&options);
///     assert!(!heap.is_null());
///
///     let block = hak_heap_realloc(heap, hak_heap_malloc(heap, 100), 1000);
///     assert_eq!(hak_heap_of(block), heap);
///     hak_heap_free(heap, block);
///     hak_heap_free_sized(heap, hak_heap_zalloc(heap, 20_000), 16, 20_000);
///     hak_heap_free_sized(heap, hak_heap_aligned_alloc(heap, 64, 100), 64, 100);
///
///     let _kept = hak_heap_aligned_zalloc(heap, 4096, 4096);
///     assert!(hak_heap_malloc(heap, 2 << 20).is_null(), "above the limit");
///     assert_eq!(hak_heap_stats(heap, &mut stats), 1);
///     assert_eq!((stats.live_blocks, stats.failed), (1, 1));
///
///     hak_heap_reset(heap); // frees what was kept
///     hak_heap_destroy(heap);
/// }
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct hak_heap_t {
    _private: [u8; 0],
    // Neither Send, Sync nor Unpin by itself: those who wrap the pointer say what holds for it.
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// How a heap is to be. Set `size` to the size of this structure and the rest to 0 before setting what is wanted; a
/// later version may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_heap_options_t {
    /// The size of this structure.
    pub size: usize,
    /// The most that the heap's live blocks may be together, in bytes by [`hak_usable_size`](crate::hak_usable_size); 0: no limit.
    pub limit_bytes: usize,
}

/// Figures of one heap. Set `size` to the size of this structure before [`hak_heap_stats`]; a later version may add
/// fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_heap_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// Of all live blocks, by [`hak_usable_size`](crate::hak_usable_size); what the limit is for.
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

extern "C" {
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

    /// [`hak_aligned_alloc`](crate::hak_aligned_alloc) from `heap`.
    pub fn hak_heap_aligned_alloc(heap: *mut hak_heap_t, alignment: usize, size: usize) -> *mut c_void;

    /// [`hak_aligned_zalloc`](crate::hak_aligned_zalloc) from `heap`.
    pub fn hak_heap_aligned_zalloc(heap: *mut hak_heap_t, alignment: usize, size: usize) -> *mut c_void;

    /// [`hak_realloc`](crate::hak_realloc) in `heap`: null as `ptr` allocates there; a block that is not of `heap` ends the process. A
    /// limit counts what the block is afterwards, not the two copies that there may be meanwhile.
    pub fn hak_heap_realloc(heap: *mut hak_heap_t, ptr: *mut c_void, size: usize) -> *mut c_void;

    /// Frees a block of `heap`, a little faster than [`hak_free`](crate::hak_free); null is ignored. A block that is not of `heap` ends
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
}
