//! A cache that cannot grow beyond its limit, whatever is put into it: a heap with a limit refuses, and the cache drops its
//! oldest entries.
//!
//! Usage: `cargo run --release -p hakmem-rs --features allocator-api2 --example limit -- [MIB]`

use std::collections::VecDeque;

use allocator_api2::vec::Vec;
use hakmem_rs::{Hakmem, Heap};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

/// Entries in the order in which they came. Only their content is in the heap, so only that counts.
struct Cache<'a> {
    heap: &'a Heap,
    entries: VecDeque<Vec<u8, &'a Heap>>,
    dropped: usize,
}

impl Cache<'_> {
    /// Adds an entry; false when it is larger than the whole cache.
    fn add(&mut self, content: &[u8]) -> bool {
        let mut entry = Vec::new_in(self.heap);
        while entry.try_reserve_exact(content.len()).is_err() {
            if self.entries.pop_front().is_none() {
                return false;
            }
            self.dropped += 1;
        }
        entry.extend_from_slice(content);
        self.entries.push_back(entry);
        true
    }
}

fn main() {
    let mib: usize = std::env::args()
        .nth(1)
        .map_or(16, |number| number.parse().expect("a number"));
    let heap = Heap::builder()
        .limit_bytes(mib << 20)
        .build()
        .expect("memory for a heap");
    let mut cache = Cache {
        heap: &heap,
        entries: VecDeque::new(),
        dropped: 0,
    };
    for number in 0..20_000usize {
        let content = vec![number as u8; 100 + number * 37 % 50_000];
        assert!(cache.add(&content));
    }
    assert!(!cache.add(&vec![0; (mib << 20) + 1]), "larger than the cache");
    assert!(cache.entries.is_empty(), "... which is empty now");
    assert!(cache.add(b"and serves again"));
    let stats = heap.stats();
    println!("{} entries dropped in favour of others", cache.dropped);
    println!("{stats}");
    assert!(stats.peak_bytes <= stats.limit_bytes && stats.peak_bytes > stats.limit_bytes / 2);
}
