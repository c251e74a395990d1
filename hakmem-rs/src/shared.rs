//! A heap that collections own together.

use core::ops::Deref;
use std::sync::Arc;

use crate::Heap;

/// A [`Heap`] that goes with the last of those who share it: the allocator of collections that are kept together in a
/// structure, or for longer than any scope, where what borrows a heap cannot be.
///
/// ```
/// # #[cfg(feature = "allocator-api2")] {
/// use allocator_api2::vec::Vec;
/// use hakmem_rs::{Heap, SharedHeap};
///
/// /// A list with a limit in bytes, and nothing to borrow.
/// struct List {
///     numbers: Vec<u64, SharedHeap>,
/// }
///
/// impl List {
///     fn new(limit_bytes: usize) -> Option<List> {
///         let heap = Heap::builder().limit_bytes(limit_bytes).build().ok()?;
///         Some(List { numbers: Vec::new_in(SharedHeap::new(heap)) })
///     }
///
///     /// Whether there was room.
///     fn push(&mut self, number: u64) -> bool {
///         let has_room = self.numbers.try_reserve(1).is_ok();
///         if has_room {
///             self.numbers.push(number);
///         }
///         has_room
///     }
/// }
///
/// let mut list = List::new(100_000).unwrap();
/// let pushed = (0..).take_while(|&number| list.push(number)).count();
/// assert!((1_000..12_500).contains(&pushed));
/// assert!(list.numbers.allocator().stats().live_bytes <= 100_000);
/// # }
/// ```
///
/// A clone is another owner of the same heap, and takes one atomic operation; so does each collection. What a [`Heap`] can do by
/// reference, it can here. It cannot be reset: its blocks are in use as long as there are owners.
#[derive(Clone, Debug)]
pub struct SharedHeap {
    heap: Arc<Heap>,
}

impl SharedHeap {
    /// The heap with its first owner.
    ///
    /// ```
    /// # use hakmem_rs::{Heap, SharedHeap};
    /// let heap = SharedHeap::new(Heap::new()?);
    /// let other = heap.clone();
    /// drop(heap);
    /// assert_eq!(other.stats().live_blocks, 0);
    /// assert_eq!(hakmem_rs::stats().program_heaps, 1);
    /// drop(other);
    /// assert_eq!(hakmem_rs::stats().program_heaps, 0);
    /// # Ok::<(), hakmem_rs::OutOfMemory>(())
    /// ```
    #[must_use]
    pub fn new(heap: Heap) -> SharedHeap {
        SharedHeap { heap: Arc::new(heap) }
    }
}

impl From<Heap> for SharedHeap {
    fn from(heap: Heap) -> SharedHeap {
        SharedHeap::new(heap)
    }
}

// Not DerefMut, nor a way back to the heap: a reset would take blocks from the collections.
impl Deref for SharedHeap {
    type Target = Heap;

    #[inline]
    fn deref(&self) -> &Heap {
        &self.heap
    }
}

#[cfg(feature = "allocator_api")]
crate::allocator::implement!(std::alloc, SharedHeap, shared => &crate::heap::Raw(shared));
#[cfg(feature = "allocator-api2")]
crate::allocator::implement!(allocator_api2::alloc, SharedHeap, shared => &crate::heap::Raw(shared));
