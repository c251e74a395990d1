//! Heaps of a program's own.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::mem::size_of;
use core::ptr::{self, NonNull};

use hakmem_sys as sys;

use crate::stats::figures;
use crate::{allocator, MIN_ALIGN};

/// A heap of the program's own: an arena for a request, a query, a level of a game; a cache with a limit. All of its blocks
/// are given back at once when it is dropped or [reset](Heap::reset), without a look at each.
///
/// Any thread may allocate from it and free to it. What borrows a heap cannot outlive it:
///
/// ```
/// use hakmem_rs::Heap;
/// # #[cfg(feature = "allocator-api2")] {
/// use allocator_api2::vec::Vec;
///
/// let heap = Heap::new()?;
/// let mut numbers = Vec::new_in(&heap);
/// numbers.extend(0..1000);
/// assert_eq!(heap.stats().live_blocks, 1);
/// # }
/// # Ok::<(), hakmem_rs::OutOfMemory>(())
/// ```
///
/// `&Heap` implements the trait `Allocator`, with the feature `allocator-api2` that of the crate of this name, with
/// `allocator_api` that of nightly's standard library; so a heap serves `Vec`, `Box`, and hashbrown's maps. A value that
/// is forgotten instead of dropped is freed with its heap, but its `Drop` does not run.
///
/// ```compile_fail
/// use allocator_api2::vec::Vec;
/// let mut heap = hakmem_rs::Heap::new().unwrap();
/// let numbers: Vec<u32, _> = Vec::new_in(&heap);
/// heap.reset(); // error: `heap` is borrowed
/// drop(numbers);
/// ```
pub struct Heap {
    raw: NonNull<sys::hak_heap_t>,
}

// SAFETY: the C functions may be called from any thread, and exclude each other by the heap's own lock. Those that must not
// run beside others, reset and destroy, take the heap by `&mut` or by value here.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

/// There was no memory for a heap.
///
/// ```
/// # use hakmem_rs::{Heap, OutOfMemory};
/// fn heap_of_a_request() -> Result<Heap, OutOfMemory> {
///     Heap::builder().limit_bytes(16 << 20).build()
/// }
/// match heap_of_a_request() {
///     Ok(heap) => assert_eq!(heap.stats().limit_bytes, 16 << 20),
///     Err(why) => eprintln!("{why}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory for a heap")
    }
}

impl core::error::Error for OutOfMemory {}

/// How a heap is to be, from [`Heap::builder`].
///
/// ```
/// # use hakmem_rs::{Heap, HeapBuilder};
/// const OF_A_REQUEST: HeapBuilder = Heap::builder().limit_bytes(16 << 20);
///
/// let heap = OF_A_REQUEST.build()?;
/// assert_eq!(heap.stats().limit_bytes, 16 << 20);
/// # Ok::<(), hakmem_rs::OutOfMemory>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a builder makes no heap before `build` is called"]
pub struct HeapBuilder {
    limit_bytes: usize,
}

impl HeapBuilder {
    /// The most that the heap's live blocks may be together: requests above that fail as if memory had run out. Bytes are
    /// counted as [`Hakmem::usable_size`](crate::Hakmem::usable_size) does. 0 is no limit, which is the default.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::builder().limit_bytes(100_000).build()?;
    /// let blocks = (0..).map_while(|_| heap.allocate(Layout::new::<[u8; 1000]>())).count();
    /// assert!((80..=100).contains(&blocks));
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    pub const fn limit_bytes(self, bytes: usize) -> HeapBuilder {
        HeapBuilder { limit_bytes: bytes }
    }

    /// Makes the heap.
    ///
    /// ```
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::builder().build()?;
    /// assert_eq!(heap.stats().live_bytes, 0);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn build(self) -> Result<Heap, OutOfMemory> {
        let options = sys::hak_heap_options_t {
            size: size_of::<sys::hak_heap_options_t>(),
            limit_bytes: self.limit_bytes,
        };
        // SAFETY: the structure is valid and its size set.
        let raw = unsafe { sys::hak_heap_new(&raw const options) };
        NonNull::new(raw).map(|raw| Heap { raw }).ok_or(OutOfMemory)
    }
}

impl Heap {
    /// A new, empty heap without a limit.
    ///
    /// ```
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::new()?;
    /// assert_eq!(heap.stats().limit_bytes, 0);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn new() -> Result<Heap, OutOfMemory> {
        Heap::builder().build()
    }

    /// A heap with settings.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::builder().limit_bytes(1 << 20).build()?;
    /// assert!(heap.allocate(Layout::new::<[u8; 2 << 20]>()).is_none());
    /// assert_eq!(heap.stats().failed, 1);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    pub const fn builder() -> HeapBuilder {
        HeapBuilder { limit_bytes: 0 }
    }

    /// Frees all blocks at once. The limit stays, and so do the figures of what was: `peak_bytes` and `failed`.
    ///
    /// Nothing can borrow the heap then, so no block of it is in use by safe code.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let mut heap = Heap::new()?;
    /// for _request in 0..3 {
    ///     let block = heap.allocate(Layout::new::<[u64; 100]>());
    ///     assert!(block.is_some() && heap.stats().live_blocks == 1);
    ///     heap.reset();
    /// }
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    pub fn reset(&mut self) {
        // SAFETY: the heap is live, and `&mut` says that nobody else is in a call with it or uses a block of it.
        unsafe { sys::hak_heap_reset(self.raw.as_ptr()) }
    }

    /// A block for the layout, with undefined content; `None` when memory runs out or the limit is reached. A layout
    /// without a size gets a pointer that is aligned, but to no block.
    ///
    /// It is valid until the heap is reset or dropped, or the block is [deallocated](Heap::deallocate).
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::new()?;
    /// let layout = Layout::from_size_align(1000, 64).unwrap();
    /// let block = heap.allocate(layout).expect("there is no limit");
    /// assert_eq!((block.len(), block.cast::<u8>().as_ptr() as usize % 64), (1000, 0));
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn allocate(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        allocator::allocate(&Raw(self), layout)
    }

    /// [`allocate`](Heap::allocate) with zeroed content. What the system delivered zeroed is not cleared again.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::new()?;
    /// let block = heap.allocate_zeroed(Layout::new::<[u64; 100]>()).expect("there is no limit");
    /// // SAFETY: the block is live, and has so many zeros.
    /// let numbers: &mut [u64; 100] = unsafe { block.cast().as_mut() };
    /// assert_eq!(numbers, &[0; 100]);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn allocate_zeroed(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        allocator::allocate_zeroed(&Raw(self), layout)
    }

    /// Frees one block.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::new()?;
    /// let layout = Layout::new::<[u64; 100]>();
    /// let block = heap.allocate(layout).expect("there is no limit");
    /// // SAFETY: the block is this heap's, of this layout, and nobody uses it any more.
    /// unsafe { heap.deallocate(block.cast(), layout) };
    /// assert_eq!(heap.stats().live_blocks, 0);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The block is a live one of this heap, allocated with this layout.
    #[inline]
    pub unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { allocator::deallocate(&Raw(self), start, layout) }
    }

    /// Whether a live block of this heap starts at `ptr`. Any pointer may be asked about: it is not read through.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let (heap, other) = (Heap::new()?, Heap::new()?);
    /// let block = heap.allocate(Layout::new::<u64>()).unwrap();
    /// assert!(heap.contains(block.as_ptr()) && !other.contains(block.as_ptr()));
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        // SAFETY: hak_heap_of accepts any pointer.
        ptr::eq(unsafe { sys::hak_heap_of(ptr.cast()) }, self.raw.as_ptr())
    }

    /// The figures of this heap, all of the same moment.
    ///
    /// ```
    /// # use core::alloc::Layout;
    /// # use hakmem_rs::Heap;
    /// let heap = Heap::new()?;
    /// let _block = heap.allocate(Layout::new::<[u8; 1000]>());
    /// let stats = heap.stats();
    /// assert!(stats.live_blocks == 1 && stats.live_bytes >= 1000);
    /// assert!(stats.footprint_bytes >= stats.live_bytes);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> HeapStats {
        let mut raw = sys::hak_heap_stats_t {
            size: size_of::<sys::hak_heap_stats_t>(),
            ..Default::default()
        };
        // SAFETY: the heap is live, and the structure valid with its size set.
        let known = unsafe { sys::hak_heap_stats(self.raw.as_ptr(), &raw mut raw) };
        debug_assert_eq!(known, 1, "hak_heap_stats knows the structure of its own version");
        HeapStats::of(&raw)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: the heap is live, and nothing borrows it any more.
        unsafe { sys::hak_heap_destroy(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

figures! {
    /// Figures of one heap, from [`Heap::stats`]. Printed with `{}`, they are one figure a line.
    ///
    /// ```
    /// # use hakmem_rs::{Heap, HeapStats};
    /// let stats: HeapStats = Heap::new()?.stats();
    /// println!("{stats}");
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    HeapStats of sys::hak_heap_stats_t {
        /// Bytes of all live blocks, rounded up to their classes; what the limit is for.
        live_bytes,
        /// Their number.
        live_blocks,
        /// The most that `live_bytes` has been.
        peak_bytes,
        /// Address space the heap holds for its blocks: slices of segments, and mappings.
        footprint_bytes,
        /// The limit; 0 is none.
        limit_bytes,
        /// Requests that failed, because of the limit or for want of memory.
        failed,
        .. size
    }
}

impl fmt::Display for HeapStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.figures().enumerate() {
            let end_before = if number == 0 { "" } else { "\n" };
            write!(f, "{end_before}{name:<18} {value:>14}")?;
        }
        Ok(())
    }
}

/// The heap's functions in the form of `GlobalAlloc`. Not for `Heap` itself: it would not keep what the trait promises of
/// blocks while `reset` is a safe function.
pub(crate) struct Raw<'a>(pub(crate) &'a Heap);

impl Raw<'_> {
    fn heap(&self) -> *mut sys::hak_heap_t {
        self.0.raw.as_ptr()
    }
}

// SAFETY: as of `Hakmem`.
unsafe impl GlobalAlloc for Raw<'_> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the heap is live; any size may be asked for, and a Layout's alignment is a power of two.
        unsafe {
            if layout.align() <= MIN_ALIGN {
                sys::hak_heap_malloc(self.heap(), layout.size()).cast()
            } else {
                sys::hak_heap_aligned_alloc(self.heap(), layout.align(), layout.size()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            if layout.align() <= MIN_ALIGN {
                sys::hak_heap_zalloc(self.heap(), layout.size()).cast()
            } else {
                sys::hak_heap_aligned_zalloc(self.heap(), layout.align(), layout.size()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the block is this heap's, with this layout.
        unsafe { sys::hak_heap_free_sized(self.heap(), ptr.cast(), layout.align(), layout.size()) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`. A block that is resized stays in its heap.
        unsafe {
            if layout.align() <= MIN_ALIGN {
                sys::hak_heap_realloc(self.heap(), ptr.cast(), new_size).cast()
            } else {
                sys::hak_realloc_aligned_sized(ptr.cast(), layout.align(), layout.size(), new_size).cast()
            }
        }
    }
}

#[cfg(feature = "allocator_api")]
allocator::implement!(std::alloc, &Heap, heap => &Raw(heap));
#[cfg(feature = "allocator-api2")]
allocator::implement!(allocator_api2::alloc, &Heap, heap => &Raw(heap));
