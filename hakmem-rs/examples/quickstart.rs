//! The two lines that make hakmem a program's allocator, and the questions that can be asked then.
//!
//! Usage: `cargo run --release -p hakmem-rs --example quickstart`

use std::collections::BTreeMap;

use hakmem_rs::{Hakmem, Tier};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

fn main() {
    // From here on nothing is special: all that allocates does so from hakmem.
    let squares: BTreeMap<u64, String> = (0..10_000).map(|n| (n, (n * n).to_string())).collect();
    assert_eq!(squares[&99], "9801");

    // Which tier serves which size.
    for size in [100, 4000, 40_000, 400_000, 4_000_000] {
        let block: Vec<u8> = Vec::with_capacity(size);
        let tier = Hakmem::tier_of(block.as_ptr()).expect("a live block of this allocator");
        println!(
            "{size:>9} bytes: tier {tier}, {} bytes to use",
            Hakmem::good_size(size).unwrap_or(0)
        );
    }

    // What was built in, what is on, what happened.
    let config = hakmem_rs::config();
    println!("hakmem {}, compiled by {}", config.version, config.compiler);
    let options = hakmem_rs::options();
    println!(
        "keeps {} KiB of free memory at most, or {} % of what is in use",
        options.dirty_kib, options.dirty_percent
    );
    let before = hakmem_rs::stats();
    println!(
        "{} blocks of the tiny tier went to threads",
        before.tier(Tier::Tiny).served
    );

    // Memory goes back by itself in time; all of it at once when asked.
    drop(squares);
    hakmem_rs::collect(true);
    let after = hakmem_rs::stats();
    println!(
        "{} bytes in use before, {} after",
        before.active_bytes, after.active_bytes
    );
    assert!(after.active_bytes <= before.active_bytes && after.dirty_bytes == 0);
}
