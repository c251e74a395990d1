//! Where the memory comes from: allocates from several call paths and writes a flame graph of what is live.
//!
//! ```sh
//! cargo run --release -p hakmem-rs --features profile --example heap_profile -- heap.svg
//! ```
//!
//! Stacks are found by the crate `backtrace`, so that the program need not be compiled with frame pointers.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::hint::black_box;

use hakmem_rs::profile::{self, Snapshot};

#[global_allocator]
static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;

/// Return addresses from the unwinding tables.
unsafe extern "C" fn unwind(addresses: *mut *const c_void, most: usize) -> usize {
    let mut depth = 0;
    backtrace::trace(|frame| {
        if depth < most {
            // SAFETY: there is room for `most`.
            unsafe { addresses.add(depth).write(frame.ip().cast_const()) };
            depth += 1;
        }
        depth < most
    });
    depth
}

#[inline(never)]
fn index(words: usize) -> BTreeMap<usize, String> {
    (0..words).map(|n| (n, format!("word number {n}"))).collect()
}

#[inline(never)]
fn pictures(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n as u8; 100_000]).collect()
}

/// Allocates as much as the others, and keeps nothing.
#[inline(never)]
fn forgets(times: usize) {
    for _ in 0..times {
        drop(black_box(vec![1u8; 50_000]));
    }
}

/// One line for each stack, the outermost function first, and its live bytes.
fn folded(snapshot: &Snapshot) -> Vec<String> {
    let name = |address: &usize| {
        let mut name = String::from("?");
        // Right before the return address is the call.
        backtrace::resolve((address - 1) as *mut c_void, |symbol| {
            if let Some(symbol) = symbol.name() {
                name = format!("{symbol:#}").replace(';', ":");
            }
        });
        name
    };
    let live = snapshot.iter().filter(|stack| stack.live_bytes != 0);
    live.map(|stack| {
        let names: Vec<_> = stack.addresses.iter().rev().map(name).collect();
        format!("{} {}", names.join(";"), stack.live_bytes)
    })
    .collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "heap_profile.svg".to_owned());
    // SAFETY: `unwind` keeps what is asked of it: `backtrace` may allocate and take its own lock, and does not unwind.
    unsafe { profile::unwind_with(Some(unwind)) };
    profile::start(32 << 10)?;
    let (words, images) = (index(100_000), pictures(200));
    forgets(400);
    profile::stop();

    let snapshot = profile::snapshot();
    let lines = folded(&snapshot);
    let bytes_of = |function: &str| -> u64 {
        let of = lines.iter().filter(|line| line.contains(function));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    for function in ["index", "pictures", "forgets"] {
        println!(
            "{function}: about {} KiB live",
            bytes_of(&format!("heap_profile::{function}")) >> 10
        );
    }
    println!("{:?}", profile::stats());
    // The truth is 20 000 000 bytes for the pictures, and nothing for what was forgotten.
    assert!((15_000_000..25_000_000).contains(&bytes_of("heap_profile::pictures")));
    assert_eq!(bytes_of("heap_profile::forgets"), 0);

    let mut options = inferno::flamegraph::Options::default();
    options.title = "Live heap memory".to_owned();
    options.count_name = "bytes".to_owned();
    let svg = std::fs::File::create(&path)?;
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), svg)?;
    println!("{path}");
    drop((words, images));
    Ok(())
}
