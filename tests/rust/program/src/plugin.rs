//! A library with hakmem as its allocator, opened at run time by a program with another one.

use hakmem_rs::Hakmem;

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

/// The sum of 1 to `n`, with memory of hakmem; 0 if it came from elsewhere.
#[no_mangle]
pub extern "C" fn plugin_sum(n: u64) -> u64 {
    let numbers: Vec<u64> = (1..=n).collect();
    let helper = std::thread::spawn(move || Hakmem::tier_of(numbers.as_ptr()).map_or(0, |_| numbers.iter().sum()));
    helper.join().unwrap_or(0)
}
