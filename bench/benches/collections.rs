//! What Rust's collections do with an allocator: a vector that grows, strings that come and go, a map that fills.
//!
//! The standard collections take no allocator on stable Rust. These are their twins: `Vec` of allocator-api2, and the
//! `HashMap` of hashbrown, which is the one std is made of. There is no such `String`; a vector of bytes stands for it,
//! which is what `String` is.

mod common;

use std::{fmt::Write as _, hash::BuildHasherDefault, hint::black_box};

use allocator_api2::vec::Vec;
use common::{for_each_peer, Alloc, OnPeer};
use criterion::{criterion_group, criterion_main, measurement::WallTime, BenchmarkGroup, Criterion};
use hakmem_bench::{peers::Peer, rng::Rng};
use hashbrown::HashMap;

const VEC_ELEMENTS: u64 = 100_000;

/// Pushes without having reserved: a realloc at each doubling, 64 B to 1 MiB.
struct VecGrowth;

impl OnPeer for VecGrowth {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut vec: Vec<u64, Alloc<A>> = Vec::new_in(Alloc::IT);
                for i in 0..VEC_ELEMENTS {
                    vec.push(i);
                }
                black_box(&mut vec);
            })
        });
    }
}

/// A string over an allocator: the bytes, and `write!`.
struct Text<A: Peer>(Vec<u8, Alloc<A>>);

impl<A: Peer> std::fmt::Write for Text<A> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

const STRINGS_LIVE: usize = 1024;
const STRINGS_MADE: u64 = 10_000;

/// Keeps a thousand strings of 8 to about 200 bytes and replaces random ones by new ones, built by `write!` in pieces.
struct StringChurn;

impl OnPeer for StringChurn {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut rng = Rng::new(42, 0);
                let mut live: Vec<Text<A>, Alloc<A>> = Vec::with_capacity_in(STRINGS_LIVE, Alloc::IT);
                for _ in 0..STRINGS_LIVE {
                    live.push(Text(Vec::new_in(Alloc::IT)));
                }
                for i in 0..STRINGS_MADE {
                    let mut text = Text(Vec::new_in(Alloc::IT));
                    for _ in 0..=rng.below(8) {
                        write!(text, "record {i}, ").expect("writing to memory");
                    }
                    live[rng.below(STRINGS_LIVE)] = text;
                }
                black_box(&mut live);
            })
        });
    }
}

const MAP_ENTRIES: u64 = 20_000;

/// Fills a map from numbers to byte vectors of 16 to 79 bytes, then drops it. The hasher is a fixed one: the same work for all.
struct MapFillAndDrop;

/// Multiplies by an odd constant: enough for keys that count up.
#[derive(Default)]
struct Multiply(u64);

impl std::hash::Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }
}

type Map<A> = HashMap<u64, Vec<u8, Alloc<A>>, BuildHasherDefault<Multiply>, Alloc<A>>;

impl OnPeer for MapFillAndDrop {
    fn bench<A: Peer>(&self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut map: Map<A> = HashMap::with_hasher_in(BuildHasherDefault::default(), Alloc::IT);
                for key in 0..MAP_ENTRIES {
                    let mut value = Vec::with_capacity_in(16 + (key % 64) as usize, Alloc::IT);
                    value.push(key as u8);
                    map.insert(key, value);
                }
                black_box(&mut map);
            })
        });
    }
}

fn collections(criterion: &mut Criterion) {
    for_each_peer(criterion, "Vec growth", VEC_ELEMENTS, &VecGrowth);
    for_each_peer(criterion, "String churn", STRINGS_MADE, &StringChurn);
    for_each_peer(criterion, "HashMap fill and drop", MAP_ENTRIES, &MapFillAndDrop);
}

criterion_group! { name = benches; config = common::config(); targets = collections }
criterion_main!(benches);
