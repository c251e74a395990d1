//! A process that stays within its limit: when memory runs short, its cache makes room for what is really needed, and a
//! request for which there is no room even so fails politely.
//!
//! Usage: `cargo run --release -p hakmem-rs --example process_limit -- [MIB]`

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use hakmem_rs::limit::{self, AtLimit};
use hakmem_rs::Hakmem;

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

/// Results that could be computed again.
static CACHE: Mutex<VecDeque<Box<[u8]>>> = Mutex::new(VecDeque::new());
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Drops the older half of the cache. The thread that asks for memory may have the lock itself: `lock` would wait for ever.
fn make_room(_bytes: usize) -> AtLimit {
    CALLS.fetch_add(1, Ordering::Relaxed);
    match CACHE.try_lock() {
        Ok(mut cache) if !cache.is_empty() => {
            let half = cache.len().div_ceil(2);
            cache.drain(..half);
            AtLimit::Retry
        }
        _ => AtLimit::Fail,
    }
}

fn main() {
    let mib: usize = std::env::args()
        .nth(1)
        .map_or(64, |number| number.parse().expect("a number"));
    limit::set_with(mib << 20, &make_room);

    for number in 0..10_000usize {
        let result = vec![number as u8; 1000 + number * 37 % 50_000].into_boxed_slice();
        CACHE.lock().unwrap().push_back(result);
    }
    let cached = CACHE.lock().unwrap().len();
    println!(
        "{cached} of 10000 results are still cached; asked {} times",
        CALLS.load(Ordering::Relaxed)
    );
    assert!(cached < 10_000 && hakmem_rs::stats().held_bytes <= (mib << 20) as u64);

    // Half of the limit at once: the cache goes.
    let large = vec![1u8; mib << 19];
    println!(
        "and {} after {} MiB were needed",
        CACHE.lock().unwrap().len(),
        large.len() >> 20
    );

    let mut larger = Vec::<u8>::new();
    let error = larger.try_reserve_exact(mib << 20).expect_err("beyond the limit");
    println!("{} MiB more: {error}", mib);
    let stats = hakmem_rs::stats();
    assert!(stats.held_bytes <= stats.limit_bytes && stats.limit_failed == 1);
    println!("held: {} of {} bytes", stats.held_bytes, stats.limit_bytes);
}
