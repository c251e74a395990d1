//! What was built in, as a Rust structure.

use core::ffi::{c_char, CStr};
use core::fmt;
use core::mem::size_of;
use core::ptr;

use hakmem_sys as sys;

use crate::{Tier, Version};

/// What was built in, from [`config`]. Printed with `{}`, it is one fact a line.
///
/// ```
/// let config: hakmem_rs::Config = hakmem_rs::config();
/// assert!(!config.valgrind, "never in a build by cargo");
/// assert_eq!(config.version, hakmem_rs::version());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "what is built in is a list of switches")]
pub struct Config {
    /// The version of the C library.
    pub version: Version,
    /// The C compiler.
    pub compiler: &'static str,
    /// What it was called with.
    pub flags: &'static str,
    /// Whether `malloc` and its family are hakmem's in this program: the feature `override`.
    pub replaces_malloc: bool,
    /// The level of the C library's own assertions; 0 is none. The feature `debug` is 1.
    pub assertions: u32,
    /// Whether the background thread is on by default: the feature `background`.
    pub background: bool,
    /// Whether every block that comes and goes is counted: the feature `stats`.
    pub counts_hits: bool,
    /// Whether no static TLS is needed: the feature `local-dynamic-tls`.
    pub local_dynamic_tls: bool,
    /// Whether hits may be part of their callers: the C code was compiled by clang with `-flto`.
    pub inlines_hits: bool,
    /// Whether valgrind's memcheck is told of every block: never in a build by cargo.
    pub valgrind: bool,
    /// Whether misuse is looked for more closely, at some cost: the feature `secure`.
    pub secure: bool,
    /// Whether the heap profiler is there: the feature `profile`.
    pub profile: bool,
    tier_bytes: [usize; Tier::ALL.len()],
}

impl Config {
    /// The largest request that a tier serves, in bytes; with the feature `secure` a few less.
    ///
    /// ```
    /// # use hakmem_rs::Tier;
    /// let config = hakmem_rs::config();
    /// assert!(config.tier_bytes(Tier::Pool) == 52 << 10 || config.secure);
    /// ```
    #[must_use]
    pub fn tier_bytes(&self, tier: Tier) -> usize {
        self.tier_bytes[tier as usize]
    }
}

/// A string of the C library's that lives as long as the program.
///
/// # Safety
///
/// `text` is null, or points to such a string.
pub(crate) unsafe fn static_str(text: *const c_char) -> &'static str {
    if text.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("")
}

/// What was built in.
///
/// ```
/// use hakmem_rs::Tier;
///
/// let config = hakmem_rs::config();
/// assert!(config.secure || config.tier_bytes(Tier::Tiny) == 1024);
/// println!("{config}");
/// ```
#[must_use]
pub fn config() -> Config {
    let mut raw = sys::hak_config_t {
        size: size_of::<sys::hak_config_t>(),
        compiler: ptr::null(),
        flags: ptr::null(),
        version: 0,
        replaces_malloc: 0,
        assertions: 0,
        tier_bytes: [0; Tier::ALL.len()],
        background: 0,
        counts_hits: 0,
        local_dynamic_tls: 0,
        inlines_hits: 0,
        valgrind: 0,
        secure: 0,
        profile: 0,
    };
    // SAFETY: `raw` is a valid structure whose size is set.
    let known = unsafe { sys::hak_config_get(&raw mut raw) };
    debug_assert_eq!(known, 1, "hak_config_get knows the structure of its own version");
    Config {
        version: Version::of_number(raw.version),
        // SAFETY: the strings are static.
        compiler: unsafe { static_str(raw.compiler) },
        // SAFETY: as above.
        flags: unsafe { static_str(raw.flags) },
        replaces_malloc: raw.replaces_malloc != 0,
        assertions: raw.assertions.unsigned_abs(),
        background: raw.background != 0,
        counts_hits: raw.counts_hits != 0,
        local_dynamic_tls: raw.local_dynamic_tls != 0,
        inlines_hits: raw.inlines_hits != 0,
        valgrind: raw.valgrind != 0,
        secure: raw.secure != 0,
        profile: raw.profile != 0,
        tier_bytes: raw.tier_bytes,
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hakmem {}", self.version)?;
        writeln!(f, "compiler: {}", self.compiler)?;
        writeln!(f, "flags: {}", self.flags)?;
        let yes = |value| if value { "yes" } else { "no" };
        writeln!(
            f,
            "malloc and free replaced: {}; assertions: level {}",
            yes(self.replaces_malloc),
            self.assertions
        )?;
        write!(
            f,
            "background: {}; counts hits: {}; local-dynamic TLS: {}; inlines hits: {}; valgrind: {}; secure: {}; profile: {}",
            yes(self.background),
            yes(self.counts_hits),
            yes(self.local_dynamic_tls),
            yes(self.inlines_hits),
            yes(self.valgrind),
            yes(self.secure),
            yes(self.profile)
        )?;
        for tier in Tier::ALL {
            match tier {
                Tier::Mmap => write!(f, "\ntier {tier}: above")?,
                _ => write!(f, "\ntier {tier}: to {} bytes", self.tier_bytes(tier))?,
            }
        }
        Ok(())
    }
}
