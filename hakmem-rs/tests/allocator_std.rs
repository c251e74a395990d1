//! The same traits as in `allocator.rs`, but the standard library's: `Vec`, `Box` and the `Rc` of nightly Rust.
#![feature(allocator_api)]

use std::alloc::{Allocator, Layout};
use std::rc::Rc;

use hakmem_rs::{Hakmem, Heap};

fn collections<A: Allocator + Clone>(allocator: &A) {
    let mut numbers = Vec::new_in(allocator.clone());
    numbers.extend(0..100_000u64);
    numbers.truncate(10);
    numbers.shrink_to_fit();
    let boxed = Box::new_in([7u8; 5000], allocator.clone());
    let shared = Rc::new_in(numbers, allocator.clone());
    assert_eq!(shared.iter().sum::<u64>() + u64::from(boxed[4999]), 52);
    let text = "a text".as_bytes().to_vec_in(allocator.clone());
    assert_eq!(text, b"a text");
    assert!(allocator
        .allocate(Layout::from_size_align(1 << 62, 1).unwrap())
        .is_err());
}

#[test]
fn collections_in_hakmem_and_in_a_heap() {
    collections(&Hakmem);
    let heap = Heap::new().unwrap();
    collections(&&heap);
    assert_eq!(heap.stats().live_blocks, 0);
    assert!(heap.stats().peak_bytes > 800_000);
}
