//! The allocator's options: what is in force, and what sets it.

use core::ffi::c_uint;
use core::fmt;
use core::mem::size_of;
use core::ops::RangeInclusive;
use core::ptr;

use hakmem_sys as sys;

use crate::config::static_str;

/// A type that an option's value can have.
trait Value {
    fn from_number(number: i64) -> Self;
}

impl Value for bool {
    fn from_number(number: i64) -> bool {
        number != 0
    }
}

impl Value for i64 {
    fn from_number(number: i64) -> i64 {
        number
    }
}

impl Value for u64 {
    fn from_number(number: i64) -> u64 {
        number.unsigned_abs()
    }
}

/// The options that the C library has. A test of this crate fails when it is not the C library's table, in its order.
macro_rules! options {
    ($($(#[doc = $meaning:literal])+ $variable:literal $name:ident: $kind:ty,)+) => {
        /// The value of every option, from [`options`].
        ///
        /// Options are set by the environment of the process, which the allocator reads once, before its first block:
        /// [`Options::all`] names the variables. A value that is no number or out of range counts as not set.
        ///
        /// ```
        /// let options: hakmem_rs::Options = hakmem_rs::options();
        /// println!("{} KiB of free memory stay", options.dirty_kib);
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[non_exhaustive]
        #[allow(clippy::struct_excessive_bools, reason = "half of the options are switches")]
        pub struct Options {
            $(
                $(#[doc = $meaning])+
                #[doc = ""]
                #[doc = concat!("`", $variable, "`")]
                pub $name: $kind,
            )+
        }

        impl Options {
            /// The environment variables, in the order of the fields. (That of the feature `secure` is of no effect without.)
            ///
            /// ```
            /// assert!(hakmem_rs::Options::VARIABLES.contains(&"HAKMEM_DIRTY_KIB"));
            /// ```
            pub const VARIABLES: &'static [&'static str] = &[$($variable),+];

            fn set(&mut self, option: &OptionInfo) {
                match option.variable {
                    $($variable => self.$name = Value::from_number(option.value),)+
                    other => debug_assert!(false, "{other} has no field in Options"),
                }
            }
        }
    };
}

options! {
    /// Whether requests to 1 KiB are served from the tiny tier; else the next tier does.
    "HAKMEM_TINY" tiny: bool,
    /// Whether requests to 8 KiB are served from the mid tier.
    "HAKMEM_MID" mid: bool,
    /// Whether requests to 52 KiB are served from the pool tier.
    "HAKMEM_POOL" pool: bool,
    /// Whether requests to 2 MiB are served from the ACE tier.
    "HAKMEM_ACE" ace: bool,
    /// Whether the capacities of the threads' magazines follow the program.
    "HAKMEM_ACE_LEARN" ace_learn: bool,
    /// Without that: the capacities they begin with, times 2 to this power.
    "HAKMEM_ACE_SHIFT" ace_shift: i64,
    /// Whether failures that the allocator survives are logged, the first 10 of a kind.
    "HAKMEM_LOG" log: bool,
    /// How much resident memory each pool magazine of a new thread is filled with, in KiB.
    "HAKMEM_PREWARM_KIB" prewarm_kib: u64,
    /// How much free memory is kept resident in segments, in KiB; more is given back.
    "HAKMEM_DIRTY_KIB" dirty_kib: u64,
    /// The same as a share of what is in use, in percent; the larger counts.
    "HAKMEM_DIRTY_PERCENT" dirty_percent: u64,
    /// The age in milliseconds at which free memory is given back within that bound.
    "HAKMEM_PURGE_DELAY_MS" purge_delay_ms: u64,
    /// Huge pages in segments. 0: as the system does; 1: never; 2: asked for after the first 16 MiB.
    "HAKMEM_HUGE_PAGES" huge_pages: u64,
    /// Whether a thread gives back what is old while the program does nothing.
    "HAKMEM_BACKGROUND" background: bool,
    /// The most that may be held for the program, in KiB; 0: no limit. See [`limit`](crate::limit).
    "HAKMEM_LIMIT_KIB" limit_kib: u64,
    /// How much memory the mmap tier keeps in free mappings, in KiB, or half of its live bytes if that is more.
    "HAKMEM_MMAP_CACHE_KIB" mmap_cache_kib: u64,
    /// With the feature `secure`, else 0: how much of what a thread freed it keeps from use for a while, in KiB.
    "HAKMEM_QUARANTINE_KIB" quarantine_kib: u64,
    /// With the feature `profile`. 1: profiles from the start; 2: and writes the profile at exit.
    "HAKMEM_PROFILE" profile: u64,
    /// The bytes allocated for each sample, on average. 0: no profile.
    "HAKMEM_PROFILE_RATE" profile_rate: u64,
}

/// One option: what sets it, and what is in force.
///
/// ```
/// use hakmem_rs::{OptionInfo, Options};
///
/// let changed = |option: &OptionInfo| option.value != option.default;
/// for option in Options::all().filter(changed) {
///     println!("{} is set to {}", option.variable, option.value);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OptionInfo {
    /// The environment variable that sets it.
    pub variable: &'static str,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// What is in force. Switches are 1 or 0.
    pub value: i64,
    /// What is in force when the variable is not set, or not to a number in the range.
    pub default: i64,
    /// The numbers that the variable may be set to.
    pub range: RangeInclusive<i64>,
}

impl fmt::Display for OptionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionInfo {
            variable,
            meaning,
            value,
            default,
            ..
        } = self;
        write!(f, "{variable}={value} (default {default}): {meaning}")
    }
}

impl Options {
    /// Every option of the C library, in the order of its table.
    ///
    /// ```
    /// for option in hakmem_rs::Options::all() {
    ///     println!("{option}");
    /// }
    /// ```
    pub fn all() -> impl Iterator<Item = OptionInfo> {
        (0..).map_while(option)
    }
}

fn option(number: c_uint) -> Option<OptionInfo> {
    let mut raw = sys::hak_option_t {
        size: size_of::<sys::hak_option_t>(),
        variable: ptr::null(),
        meaning: ptr::null(),
        value: 0,
        standard: 0,
        least: 0,
        most: 0,
    };
    // SAFETY: `raw` is a valid structure whose size is set.
    let exists = unsafe { sys::hak_option_get(number, &raw mut raw) } == 1;
    exists.then(|| OptionInfo {
        // SAFETY: the strings are static.
        variable: unsafe { static_str(raw.variable) },
        // SAFETY: as above.
        meaning: unsafe { static_str(raw.meaning) },
        value: raw.value,
        default: raw.standard,
        range: raw.least..=raw.most,
    })
}

/// The options in force. They do not change while the program runs.
///
/// ```
/// let options = hakmem_rs::options();
/// if !options.pool {
///     println!("HAKMEM_POOL=0: the pool tier is off");
/// }
/// ```
#[must_use]
pub fn options() -> Options {
    let mut options = Options::default();
    for option in Options::all() {
        options.set(&option);
    }
    options
}
