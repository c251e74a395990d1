//! What was built in, what is on, and the limit, which a program sets itself.

use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::HAK_TIER_COUNT;

/// What was built in. Set `size` to the size of this structure before [`hak_config_get`]; a later version may add fields
/// at the end. The strings are static.
///
/// ```
/// use core::mem::MaybeUninit;
/// use hakmem_sys::*;
///
/// let mut config = MaybeUninit::<hak_config_t>::zeroed();
/// // SAFETY: all zeros are a valid structure, whose size is set.
/// let config = unsafe {
///     (*config.as_mut_ptr()).size = size_of::<hak_config_t>();
///     assert_eq!(hak_config_get(config.as_mut_ptr()), 1);
///     hak_config_print(2);
///     config.assume_init()
/// };
/// assert_eq!(config.version, HAK_VERSION);
/// assert_eq!(config.tier_bytes[HAK_TIER_TINY as usize], 1024);
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_config_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// The C compiler's version.
    pub compiler: *const c_char,
    /// What it was called with; "unknown" when the build did not say.
    pub flags: *const c_char,
    /// As [`hak_version`](crate::hak_version).
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
    /// The heap profiler is there: the feature `profile`.
    pub profile: c_int,
}

/// One option. Set `size` to the size of this structure before [`hak_option_get`]; a later version may add fields at the
/// end. The strings are static.
///
/// ```
/// use core::ffi::CStr;
/// use core::mem::MaybeUninit;
/// use hakmem_sys::*;
///
/// let mut option = MaybeUninit::<hak_option_t>::zeroed();
/// // SAFETY: all zeros are a valid structure, whose size is set; its strings are static.
/// unsafe {
///     (*option.as_mut_ptr()).size = size_of::<hak_option_t>();
///     let mut number = 0;
///     while hak_option_get(number, option.as_mut_ptr()) == 1 {
///         let option = option.assume_init();
///         println!("{}={}", CStr::from_ptr(option.variable).to_str().unwrap(), option.value);
///         assert!(option.least <= option.value && option.value <= option.most);
///         number += 1;
///     }
///     assert!(number > 10);
/// }
/// ```
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

/// What [`hak_limit_set`] has called when a request of `size` bytes would take the process beyond the limit, all that was
/// free has gone back to the system, and it still would. Returns 0 when the request is to fail, anything else when there
/// may be room now: then it is tried again, and if that is in vain, this is called again.
///
/// It runs in the thread that made the request, in several at once perhaps, with none of hakmem's locks held: it may free
/// blocks, and call [`hak_collect`](crate::hak_collect) or [`hak_limit_set`]. What it allocates may fail, without another call. It must return
/// (not unwind), must not destroy or reset the heap that the request is to, nor free or resize the block that is being
/// resized, nor wait for a lock that the caller may have.
///
/// ```
/// use core::ffi::{c_int, c_void};
/// use core::ptr::null_mut;
/// use hakmem_sys::*;
///
/// unsafe extern "C" fn refuse(asked: *mut c_void, size: usize) -> c_int {
///     // SAFETY: what hak_limit_set was given below.
///     unsafe { *asked.cast::<usize>() = size }
///     0
/// }
///
/// let callback: hak_limit_callback_t = Some(refuse);
/// let mut asked = 0usize;
/// // SAFETY: `asked` lives longer than the limit.
/// unsafe {
///     hak_limit_set(32 << 20, callback, (&raw mut asked).cast());
///     assert!(hak_malloc(64 << 20).is_null());
///     hak_limit_set(0, None, null_mut());
/// }
/// assert_eq!(asked, 64 << 20);
/// ```
pub type hak_limit_callback_t = Option<unsafe extern "C" fn(argument: *mut c_void, size: usize) -> c_int>;

extern "C" {
    /// Writes what was built in (version, compiler, flags, tiers and size limits) and what is on (every option with its
    /// value and the environment variable that sets it) to the file descriptor `fd`.
    pub fn hak_config_print(fd: c_int);

    /// Fills in `*config` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows.
    pub fn hak_config_get(config: *mut hak_config_t) -> c_int;

    /// Fills in `*option` for the option `number`, counted from 0, and returns 1; returns 0 and leaves it alone when there
    /// are not so many, or when its `size` is none that the library knows. Options do not change while the program runs.
    pub fn hak_option_get(number: c_uint, option: *mut hak_option_t) -> c_int;

    /// Sets the most that hakmem may hold for the process, in bytes as `held_bytes` of [`hak_stats_get`](crate::hak_stats_get) has them; 0: no
    /// limit. What is held already stays, be it more. A request for which more would be needed gives back what is free,
    /// calls `callback` (unless it is null) with `argument`, and at last returns null with `ENOMEM`. The former callback may
    /// still run in other threads when this returns.
    pub fn hak_limit_set(bytes: usize, callback: hak_limit_callback_t, argument: *mut c_void);
}
