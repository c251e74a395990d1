//! The tiers of the allocator, as a Rust enum.

use core::ffi::c_int;
use core::fmt;

use hakmem_sys as sys;

/// A tier of the allocator: the part of it that serves a range of sizes. A request walks them in this order, and goes
/// to the next when one cannot serve it.
///
/// ```
/// use hakmem_rs::Tier;
///
/// assert!(Tier::Tiny < Tier::Mmap);
/// assert_eq!(Tier::Ace.to_string(), "ace");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[repr(i32)]
pub enum Tier {
    /// Blocks to 1 KiB.
    Tiny = sys::HAK_TIER_TINY,
    /// Blocks to 8 KiB.
    Mid = sys::HAK_TIER_MID,
    /// Blocks to 52 KiB.
    Pool = sys::HAK_TIER_POOL,
    /// Blocks to 2 MiB: the adaptive cache engine.
    Ace = sys::HAK_TIER_ACE,
    /// Larger blocks, each a mapping of its own.
    Mmap = sys::HAK_TIER_MMAP,
}

impl Tier {
    /// All tiers, in the order in which a request walks them.
    ///
    /// ```
    /// # use hakmem_rs::Tier;
    /// assert_eq!(Tier::ALL.map(Tier::name), ["tiny", "mid", "pool", "ace", "mmap"]);
    /// ```
    pub const ALL: [Tier; sys::HAK_TIER_COUNT as usize] = [Tier::Tiny, Tier::Mid, Tier::Pool, Tier::Ace, Tier::Mmap];

    /// The name that the C library prints, in lower case.
    ///
    /// ```
    /// # use hakmem_rs::Tier;
    /// const NAME: &str = Tier::Pool.name();
    /// assert_eq!(NAME, "pool");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Tiny => "tiny",
            Tier::Mid => "mid",
            Tier::Pool => "pool",
            Tier::Ace => "ace",
            Tier::Mmap => "mmap",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The number handed to `Tier::try_from` is none of the tiers'.
///
/// ```
/// # use hakmem_rs::{Tier, UnknownTier};
/// assert_eq!(Tier::try_from(7), Err(UnknownTier(7)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTier(pub i32);

impl fmt::Display for UnknownTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is the number of no tier", self.0)
    }
}

impl core::error::Error for UnknownTier {}

impl TryFrom<i32> for Tier {
    type Error = UnknownTier;

    /// ```
    /// # use hakmem_rs::{Tier, UnknownTier};
    /// assert_eq!(Tier::try_from(2), Ok(Tier::Pool));
    /// assert_eq!(Tier::try_from(-1), Err(UnknownTier(-1)));
    /// ```
    fn try_from(number: i32) -> Result<Tier, UnknownTier> {
        usize::try_from(number)
            .ok()
            .and_then(|index| Tier::ALL.get(index).copied())
            .ok_or(UnknownTier(number))
    }
}

impl From<Tier> for c_int {
    fn from(tier: Tier) -> c_int {
        tier as c_int
    }
}
