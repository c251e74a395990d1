//! A heap for each request: what a request allocates is given back at once when it is done, without a look at each block.
//!
//! Usage: `cargo run --release -p hakmem-rs --features allocator-api2 --example arena -- [REQUESTS]`
//!
//! The requests are texts; each is cut into words, which are counted in a map and sorted. The map, its keys and the list
//! live in the request's heap, which one thread uses over and over.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Instant;

use allocator_api2::vec::Vec;
use hakmem_rs::{Hakmem, Heap};
use hashbrown::HashMap;

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

type Text<'a> = Vec<u8, &'a Heap>;
type Counts<'a> = HashMap<Text<'a>, u32, BuildHasherDefault<DefaultHasher>, &'a Heap>;

/// A text that is different for each request, always the same for the same one.
fn request(number: usize) -> String {
    (0..200)
        .map(|n| format!("word{} ", (number * 7 + n * n) % 97))
        .collect()
}

/// The most frequent word of the text, and how often it is there.
fn handle(text: &str, heap: &Heap) -> (String, u32) {
    let mut counts = Counts::with_hasher_in(BuildHasherDefault::default(), heap);
    for word in text.split_whitespace() {
        let mut key = Text::new_in(heap);
        key.extend_from_slice(word.as_bytes());
        *counts.entry(key).or_insert(0) += 1;
    }
    let mut ranking = Vec::with_capacity_in(counts.len(), heap);
    ranking.extend(counts.iter().map(|(word, count)| (*count, word)));
    ranking.sort_unstable();
    let (count, word) = ranking.last().expect("a request has words");
    // What outlives the request is copied out of its heap.
    let answer = (String::from_utf8_lossy(word).into_owned(), *count);
    // Dropped, the map would free its keys one by one. Forgotten, they go with the heap.
    drop(ranking);
    std::mem::forget(counts);
    answer
}

fn main() {
    let requests: usize = std::env::args()
        .nth(1)
        .map_or(10_000, |number| number.parse().expect("a number"));
    let mut heap = Heap::new().expect("memory for a heap");
    let start = Instant::now();
    let mut words = 0;
    for number in 0..requests {
        let (word, count) = handle(&request(number), &heap);
        assert!(word.starts_with("word") && count > 1);
        words += u64::from(count);
        heap.reset();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{requests} requests, {words} times their most frequent words");
    println!("{:.0} requests a second", requests as f64 / seconds);
    println!("{}", heap.stats());
    assert_eq!(heap.stats().live_blocks, 0);
}
