//! A limit on what the allocator holds for the whole process.
//!
//! ```
//! use hakmem_rs::limit;
//!
//! limit::set(1 << 30);
//! assert_eq!(hakmem_rs::stats().limit_bytes, 1 << 30);
//! ```
//!
//! For a part of a program, take a [`Heap`](crate::Heap) with a limit.

use core::ffi::{c_int, c_void};

use hakmem_sys as sys;

/// What a request at the limit is answered with.
///
/// ```
/// # use hakmem_rs::limit::AtLimit;
/// # fn drop_some_of_the_cache() -> bool { false }
/// fn shed(_bytes: usize) -> AtLimit {
///     if drop_some_of_the_cache() {
///         AtLimit::Retry
///     } else {
///         AtLimit::Fail
///     }
/// }
/// # assert_eq!(shed(1), AtLimit::Fail);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtLimit {
    /// It fails: the program gets null, or what its collections make of that.
    Fail,
    /// There may be room now: it is tried again, and if that is in vain, asked for again.
    Retry,
}

/// Sets the most that hakmem may hold for the process, in bytes as [`held_bytes`](crate::Stats::held_bytes) has them. A
/// request for which more would be needed gives back to the system what is free, and fails if it still would.
///
/// What is held already stays, be it more. Blocks that lie free in the caches of threads are served as ever. Requests that
/// arrive together may fail where one of them had room.
///
/// ```
/// hakmem_rs::limit::set(64 << 20);
/// let mut block = Vec::<u8>::new();
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// assert!(block.try_reserve_exact(100 << 20).is_err());
/// assert_eq!(hakmem_rs::stats().limit_failed, 1);
/// hakmem_rs::limit::remove();
/// assert!(block.try_reserve_exact(100 << 20).is_ok());
/// ```
pub fn set(bytes: usize) {
    // SAFETY: there is no callback.
    unsafe { sys::hak_limit_set(at_least_one(bytes), None, core::ptr::null_mut()) }
}

/// As [`set`], with a function that is asked before a request fails: with the number of bytes that it is for. The function may
/// free what the program can do without.
///
/// It is called in the thread that made the request, in several at once perhaps. What it allocates may fail, but does not
/// call it again. The former function may still run in other threads when this returns, which is why it has to live for
/// ever (`Box::leak` has a closure with what it captures do so). If it panics, the process ends.
///
/// It runs in the midst of whatever asked for memory. So it must not wait for a lock that the same thread may have by then
/// (`try_lock` is what does), nor free or resize the very block that is being resized, nor [reset](crate::Heap::reset) or
/// drop the heap that is asked; safe Rust rules out the last two.
///
/// ```
/// use std::sync::Mutex;
///
/// use hakmem_rs::limit::{self, AtLimit};
///
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// static CACHE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
///
/// fn drop_half(_bytes: usize) -> AtLimit {
///     match CACHE.try_lock() {
///         Ok(mut cache) if !cache.is_empty() => {
///             let half = cache.len() / 2;
///             cache.truncate(half);
///             AtLimit::Retry
///         }
///         _ => AtLimit::Fail,
///     }
/// }
///
/// limit::set_with(32 << 20, &drop_half);
/// for _ in 0..100 {
///     let entry = vec![1; 1 << 20];
///     CACHE.lock().unwrap().push(entry);
/// }
/// assert!(CACHE.lock().unwrap().len() <= 32);
/// ```
pub fn set_with<F: Fn(usize) -> AtLimit + Sync>(bytes: usize, ask: &'static F) {
    // SAFETY: the function lives as long as the process, may be called by any thread, and is called as what it is.
    unsafe {
        sys::hak_limit_set(
            at_least_one(bytes),
            Some(call::<F>),
            core::ptr::from_ref(ask).cast_mut().cast(),
        );
    }
}

/// From now on there is no limit.
///
/// ```
/// hakmem_rs::limit::set(64 << 20);
/// hakmem_rs::limit::remove();
/// assert_eq!(hakmem_rs::stats().limit_bytes, 0);
/// ```
pub fn remove() {
    // SAFETY: there is no callback.
    unsafe { sys::hak_limit_set(0, None, core::ptr::null_mut()) }
}

/// To the C library 0 is no limit.
fn at_least_one(bytes: usize) -> usize {
    bytes.max(1)
}

/// A panic cannot leave a function of this kind: the process ends then.
unsafe extern "C" fn call<F: Fn(usize) -> AtLimit + Sync>(argument: *mut c_void, bytes: usize) -> c_int {
    // SAFETY: `set_with` gave this reference.
    let ask = unsafe { &*argument.cast::<F>() };
    c_int::from(ask(bytes) == AtLimit::Retry)
}
