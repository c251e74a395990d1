//! What the adaptive cache engine decided, as Rust structures.

use core::mem::size_of;

use hakmem_sys as sys;

use crate::stats::figures;

figures! {
    /// What the adaptive cache engine knows of one size class of the pool and ACE tiers.
    ///
    /// ```
    /// # use hakmem_rs::AceClass;
    /// let starved = |class: &&AceClass| class.misses > 10 * class.overflows;
    /// println!("{} classes", hakmem_rs::ace().classes().iter().filter(starved).count());
    /// ```
    AceClass of sys::hak_ace_class_t {
        /// The size of its blocks.
        block_bytes,
        /// Times a thread had no block of it left, all threads ever.
        misses,
        /// Times a thread had no room for one more.
        overflows,
        /// Of the threads that run, how many have had either.
        threads,
        /// Blocks that a thread may keep when it begins.
        capacity_start,
        /// The least that one of those threads may keep now; 0 without any.
        capacity_least,
        /// The most.
        capacity_most,
    }
}

/// What the adaptive cache engine decided, from [`ace`].
///
/// ```
/// let snapshot: hakmem_rs::AceSnapshot = hakmem_rs::ace();
/// println!("caches have grown by {} of {} bytes", snapshot.grown_bytes, snapshot.budget_bytes);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AceSnapshot {
    /// What all threads together may have above their start capacities.
    pub budget_bytes: u64,
    /// What they have of it.
    pub grown_bytes: u64,
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_list"))]
    classes: [AceClass; sys::HAK_ACE_SNAPSHOT_CLASSES],
}

impl AceSnapshot {
    /// Every size class of the pool and ACE tiers, by ascending block size.
    ///
    /// ```
    /// let snapshot = hakmem_rs::ace();
    /// assert!(snapshot.classes().is_sorted_by_key(|class| class.block_bytes));
    /// ```
    #[must_use]
    pub fn classes(&self) -> &[AceClass] {
        &self.classes
    }
}

#[cfg(feature = "serde")]
fn as_list<S: serde::Serializer>(
    classes: &[AceClass; sys::HAK_ACE_SNAPSHOT_CLASSES],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(classes)
}

/// What the adaptive cache engine decided so far: how many blocks of each size a thread may keep for itself.
///
/// ```
/// for class in hakmem_rs::ace().classes().iter().filter(|class| class.misses > 0) {
///     println!("{} bytes: {} to {} blocks", class.block_bytes, class.capacity_least, class.capacity_most);
/// }
/// ```
#[must_use]
pub fn ace() -> AceSnapshot {
    let mut raw = sys::hak_ace_snapshot_t {
        size: size_of::<sys::hak_ace_snapshot_t>(),
        budget_bytes: 0,
        grown_bytes: 0,
        classes: [sys::hak_ace_class_t::default(); sys::HAK_ACE_SNAPSHOT_CLASSES],
    };
    // SAFETY: `raw` is a valid structure whose size is set.
    let known = unsafe { sys::hak_ace_snapshot(&raw mut raw) };
    debug_assert_eq!(known, 1, "hak_ace_snapshot knows the structure of its own version");
    AceSnapshot {
        budget_bytes: raw.budget_bytes,
        grown_bytes: raw.grown_bytes,
        classes: raw.classes.each_ref().map(AceClass::of),
    }
}
