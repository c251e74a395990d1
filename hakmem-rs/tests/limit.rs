//! The limit of the process, by the typed functions. A program of its own, for the limit is everybody's; it is taken away
//! before anything is asserted, for a panic wants memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use hakmem_rs::limit::{self, AtLimit};
use hakmem_rs::{stats, Hakmem};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn beyond_what_is_held(more: usize) -> usize {
    hakmem_rs::collect(true);
    usize::try_from(stats().held_bytes).unwrap() + more
}

#[test]
fn requests_beyond_it_fail_and_those_within_do_not() {
    let _alone = alone();
    let bytes = beyond_what_is_held(8 << 20);
    limit::set(bytes);
    let before = stats();
    let mut list = Vec::<u8>::new();
    let within = list.try_reserve_exact(4 << 20);
    list.resize(4 << 20, 7);
    let beyond = list.try_reserve_exact(16 << 20);
    let after = stats();
    limit::remove();
    assert_eq!((before.limit_bytes, after.limit_bytes), (bytes as u64, bytes as u64));
    assert!(within.is_ok() && beyond.is_err(), "{within:?} {beyond:?}");
    assert!(list.iter().all(|&byte| byte == 7));
    assert_eq!(after.limit_failed, before.limit_failed + 1);
    assert_eq!(stats().limit_bytes, 0);
    list.try_reserve_exact(16 << 20).unwrap();
}

/// 0 is the strictest limit here, not the absence of one.
#[test]
fn zero_is_a_limit() {
    let _alone = alone();
    hakmem_rs::collect(true); // what another test freed is held already
    limit::set(0);
    let refused = Vec::<u8>::new().try_reserve_exact(16 << 20).is_err();
    limit::remove();
    assert!(refused);
}

static CACHE: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());
static ASKED: AtomicUsize = AtomicUsize::new(0);
static ASKED_FOR: AtomicUsize = AtomicUsize::new(0);

fn drop_some(bytes: usize) -> AtLimit {
    ASKED.fetch_add(1, Relaxed);
    ASKED_FOR.store(bytes, Relaxed);
    match CACHE.try_lock() {
        Ok(mut cache) if !cache.is_empty() => {
            let half = cache.len().div_ceil(2);
            cache.drain(..half);
            AtLimit::Retry
        }
        _ => AtLimit::Fail,
    }
}

#[test]
fn the_function_makes_room_and_is_asked_before_a_request_fails() {
    let _alone = alone();
    let bytes = beyond_what_is_held(16 << 20);
    limit::set_with(bytes, &drop_some);
    let asked = ASKED.load(Relaxed);
    // Each entry is a mapping. One more than the limit has room for makes the cache smaller.
    let most = bytes / (3 << 20) + 1;
    let mut made = 0;
    while made < most && ASKED.load(Relaxed) == asked {
        let entry = vec![1u8; 3 << 20];
        CACHE.lock().unwrap().push_back(entry);
        made += 1;
    }
    let (asked_then, left) = (ASKED.load(Relaxed) - asked, CACHE.lock().unwrap().len());
    // There is not so much to be had: all of the cache goes, then it fails.
    let refused = Vec::<u8>::new().try_reserve_exact(bytes + 1).is_err();
    let asked_for = ASKED_FOR.load(Relaxed);
    limit::remove();
    assert_eq!((asked_then, asked_for), (1, bytes + 1));
    assert!(
        left < made && refused && CACHE.lock().unwrap().is_empty(),
        "{left} of {made}"
    );
}

/// A function with something of its own.
#[test]
fn closures_keep_what_they_captured() {
    let _alone = alone();
    let calls: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let ask: &'static _ = Box::leak(Box::new(move |_| match calls.fetch_add(1, Relaxed) {
        0 | 1 => AtLimit::Retry,
        _ => AtLimit::Fail,
    }));
    limit::set_with(beyond_what_is_held(1 << 20), ask);
    let refused = Vec::<u8>::new().try_reserve_exact(16 << 20).is_err();
    limit::remove();
    assert!(refused);
    assert_eq!(calls.load(Relaxed), 3);
}

#[test]
fn several_threads_meet_it() {
    let _alone = alone();
    limit::set_with(beyond_what_is_held(24 << 20), &drop_some);
    let asked = ASKED.load(Relaxed);
    thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                for turn in 0..500usize {
                    let size = 1000 + turn * 7919 % 300_000;
                    let mut entry = Vec::new();
                    if entry.try_reserve_exact(size).is_ok() {
                        entry.resize(size, thread);
                        CACHE.lock().unwrap().push_back(entry);
                    }
                }
            });
        }
    });
    let stats = stats();
    limit::remove();
    assert!(ASKED.load(Relaxed) > asked);
    assert!(stats.held_bytes <= stats.limit_bytes, "{stats}");
    for entry in CACHE.lock().unwrap().drain(..) {
        assert!(entry.iter().all(|&byte| byte == entry[0]));
    }
}
