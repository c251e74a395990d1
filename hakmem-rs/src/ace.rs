//! What the adaptive cache engine decided, as Rust structures.

use core::mem::size_of;

use hakmem_sys as sys;

/// What the adaptive cache engine knows of one size class of the pool and ACE tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AceClass {
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

/// What the adaptive cache engine decided, from [`ace`].
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
        classes: raw.classes.map(|class| AceClass {
            block_bytes: class.block_bytes,
            misses: class.misses,
            overflows: class.overflows,
            threads: class.threads,
            capacity_start: class.capacity_start,
            capacity_least: class.capacity_least,
            capacity_most: class.capacity_most,
        }),
    }
}
