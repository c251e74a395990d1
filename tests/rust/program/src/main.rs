//! A user's program, with hakmem as its global allocator.
//!
//! Without arguments it allocates in all the ways that tests/rust/run.sh wants to see work in every kind of build. With the
//! name of a path and a number of rounds it does nothing else than those: tests/instructions/rust.py counts them.

use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, GlobalAlloc, Layout};
use std::hint::black_box;
use std::thread;

use hakmem_rs::{Hakmem, Tier};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

const fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("no such layout"),
    }
}

/// A block of a size known to the compiler, as `Box` asks for it.
#[inline(always)]
fn constant<const SIZE: usize, const ALIGN: usize>(rounds: usize) {
    let layout = const { layout(SIZE, ALIGN) };
    for _ in 0..rounds {
        // SAFETY: the block is freed with its layout, which is not empty.
        unsafe { dealloc(black_box(alloc(layout)), layout) }
    }
}

/// The same past `#[global_allocator]`, as a collection with an allocator of its own does.
#[inline(always)]
fn direct<const SIZE: usize>(rounds: usize) {
    let layout = const { layout(SIZE, 8) };
    for _ in 0..rounds {
        // SAFETY: as above.
        unsafe { Hakmem.dealloc(black_box(Hakmem.alloc(layout)), layout) }
    }
}

/// A block of a size that only the run decides, as `Vec` asks for it.
#[inline(never)]
fn dynamic(size: usize, rounds: usize) {
    for _ in 0..rounds {
        let layout = layout(black_box(size), 1);
        // SAFETY: as above.
        unsafe { dealloc(black_box(alloc(layout)), layout) }
    }
}

fn zeroed<const SIZE: usize>(rounds: usize) {
    let layout = const { layout(SIZE, 8) };
    for _ in 0..rounds {
        // SAFETY: as above.
        unsafe { dealloc(black_box(alloc_zeroed(layout)), layout) }
    }
}

fn resized<const FROM: usize, const TO: usize>(rounds: usize) {
    let (from, to) = const { (layout(FROM, 8), layout(TO, 8)) };
    for _ in 0..rounds {
        // SAFETY: as above; the block has the new layout after it was resized.
        unsafe { dealloc(black_box(realloc(black_box(alloc(from)), from, TO)), to) }
    }
}

fn count(path: &str, rounds: usize) {
    match path {
        "loop" => {
            for round in 0..rounds {
                black_box(black_box(round));
            }
        }
        "constant-64" => constant::<64, 8>(rounds),
        "constant-4096" => constant::<4096, 8>(rounds),
        "constant-16384" => constant::<16384, 8>(rounds),
        "constant-300000" => constant::<300_000, 8>(rounds),
        "aligned-64" => constant::<64, 64>(rounds),
        "direct-64" => direct::<64>(rounds),
        "direct-16384" => direct::<16384>(rounds),
        "dynamic-64" => dynamic(64, rounds),
        "dynamic-16384" => dynamic(16384, rounds),
        "zeroed-64" => zeroed::<64>(rounds),
        "resized-in-place" => resized::<113, 120>(rounds),
        "resized-64-to-128" => resized::<64, 128>(rounds),
        other => panic!("no path is called {other}"),
    }
}

fn every_tier() {
    for (size, tier) in [
        (100, Tier::Tiny),
        (4000, Tier::Mid),
        (40_000, Tier::Pool),
        (400_000, Tier::Ace),
        (4_000_000, Tier::Mmap),
    ] {
        let block = vec![7u8; size];
        assert_eq!(Hakmem::tier_of(block.as_ptr()), Some(tier));
        assert!(vec![0u8; size].iter().all(|&byte| byte == 0));
        assert!(block.iter().all(|&byte| byte == 7));
    }
}

fn every_alignment() {
    for shift in 0..=16 {
        for size in [1, 100, 8192, 8193, 60_000] {
            let layout = layout(size, 1 << shift);
            // SAFETY: the block is freed with its layout, which is not empty.
            unsafe {
                let block = alloc(layout);
                assert!(!block.is_null() && block as usize % layout.align() == 0);
                block.write_bytes(1, size);
                dealloc(block, layout);
            }
        }
    }
}

fn threads() {
    let made: Vec<_> = (0..4usize)
        .map(|n| thread::spawn(move || (0..10_000).map(|i| vec![n; i % 300]).collect::<Vec<_>>()))
        .collect();
    for (n, made) in made.into_iter().enumerate() {
        assert!(made.join().unwrap().iter().flatten().all(|&number| number == n));
    }
}

/// Unwinding frees what was on the way; a program that aborts instead has no more to do.
fn a_panic() {
    if cfg!(panic = "unwind") {
        std::panic::set_hook(Box::new(|_| {}));
        let result = std::panic::catch_unwind(|| {
            let _block = vec![1u8; 50_000];
            panic!("as it should");
        });
        assert!(result.is_err());
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    if let (Some(path), Some(rounds)) = (args.next(), args.next()) {
        count(&path, rounds.parse().expect("a number of rounds"));
        return;
    }
    every_tier();
    every_alignment();
    threads();
    a_panic();
    hakmem_rs::collect(true);
    hakmem_rs::print_config(std::io::stdout());
    println!("fine");
}
