//! The sampling heap profiler.

use core::ffi::{c_int, c_void};

/// A call stack of the profile, and what was sampled there. A later version may add fields at the end.
///
/// ```
/// use core::ffi::c_void;
/// use core::mem::size_of;
/// use hakmem_sys::*;
///
/// unsafe extern "C" fn visit(stack: *const hak_profile_stack_t, bytes: *mut c_void) {
///     // SAFETY: the stack is valid during the call; `bytes` is what hak_profile_visit was given.
///     unsafe { *bytes.cast::<u64>() += (*stack).live_bytes }
/// }
///
/// unsafe extern "C" fn nothing(_addresses: *mut *const c_void, _most: usize) -> usize {
///     0
/// }
///
/// let mut stats = hak_profile_stats_t { size: size_of::<hak_profile_stats_t>(), ..Default::default() };
/// let mut bytes = 0u64;
/// // SAFETY: the functions are what they are said to be; the block is freed once.
/// unsafe {
///     if hak_profile_start(4096) == 1 { // 0 without the feature `profile`
///         hak_profile_unwind_with(Some(nothing)); // finds no stack: the call site alone
///         hak_profile_unwind_with(None);
///         let block = hak_malloc(1 << 20);
///         assert!(hak_profile_visit(Some(visit), (&raw mut bytes).cast()) >= 1);
///         assert_eq!(hak_profile_stats(&mut stats), 1);
///         assert!(bytes >= 1 << 20 && stats.live_bytes >= 1 << 20);
///         hak_free(block);
///         hak_profile_dump(2);
///         hak_profile_stop();
///         hak_profile_reset();
///     }
/// }
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct hak_profile_stack_t {
    /// Return addresses, the innermost first; valid during the call.
    pub addresses: *const *const c_void,
    /// Their number.
    pub depth: usize,
    /// Sampled blocks that are not freed.
    pub live_samples: u64,
    /// The blocks that these stand for.
    pub live_blocks: u64,
    /// Their bytes, as requested.
    pub live_bytes: u64,
    /// All sampled blocks, freed or not.
    pub total_samples: u64,
    /// The blocks that these stand for.
    pub total_blocks: u64,
    /// Their bytes, as requested.
    pub total_bytes: u64,
}

/// Sums of the profile. Set `size` to the size of this structure before [`hak_profile_stats`]; a later version may add
/// fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hak_profile_stats_t {
    /// In: the size of this structure; out: the bytes filled in.
    pub size: usize,
    /// The mean distance of new samples; 0 when the profile is stopped.
    pub mean_bytes: u64,
    /// Different call stacks.
    pub stacks: u64,
    /// Samples for which a table had no room, missing in all other figures.
    pub dropped: u64,
    /// As in [`hak_profile_stack_t`], of all stacks; here and below.
    pub live_samples: u64,
    /// See there.
    pub live_blocks: u64,
    /// See there.
    pub live_bytes: u64,
    /// See there.
    pub total_samples: u64,
    /// See there.
    pub total_blocks: u64,
    /// See there.
    pub total_bytes: u64,
}

extern "C" {
    /// Begins to sample one of every `mean` allocated bytes, or of as many as the option says for 0; or goes on with another
    /// mean. Returns 1, or 0 with `ENOSYS` in a library without the feature `profile`, `ENOMEM` without memory, `EINVAL`
    /// when the option is 0 as well.
    pub fn hak_profile_start(mean: usize) -> c_int;

    /// Ends it. What was recorded stays, and frees of sampled blocks are noted as before.
    pub fn hak_profile_stop();

    /// Forgets all that was recorded.
    pub fn hak_profile_reset();

    /// Has call stacks found by `unwind` instead of frame pointers, or by these again for null. It stores up to `most` return
    /// addresses, the innermost first, and returns their number; 0 if it cannot say. It is called in the middle of an
    /// allocation and may allocate, but must neither unwind nor call functions of the profile.
    pub fn hak_profile_unwind_with(
        unwind: Option<unsafe extern "C" fn(addresses: *mut *const c_void, most: usize) -> usize>,
    );

    /// Calls `visit` with every stack that was sampled since the last reset, and returns how many those were. It may
    /// allocate and free.
    pub fn hak_profile_visit(
        visit: Option<unsafe extern "C" fn(stack: *const hak_profile_stack_t, context: *mut c_void)>,
        context: *mut c_void,
    ) -> usize;

    /// Fills in `*stats` and returns 1; returns 0 and leaves it alone when its `size` is none that the library knows, or with
    /// `ENOSYS`.
    pub fn hak_profile_stats(stats: *mut hak_profile_stats_t) -> c_int;

    /// Writes the profile to the file descriptor `fd`, in the text form of gperftools that pprof reads. Returns 1, or 0 with
    /// `errno`.
    pub fn hak_profile_dump(fd: c_int) -> c_int;
}
