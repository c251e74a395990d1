//! Rust code in one program with C++ code, and the question who serves the blocks of the latter.

use std::ffi::{c_int, c_void};

use hakmem_rs::Hakmem;

extern "C" {
    fn part_block(number: c_int) -> *const c_void;
    fn part_frees(of_malloc: *mut c_void) -> c_int;
    fn malloc(bytes: usize) -> *mut c_void;
}

/// How many of the C++ part's blocks there are, and how many of them are hakmem's.
#[no_mangle]
pub extern "C" fn report() -> c_int {
    // SAFETY: the functions do as part.cpp says. The blocks are left to the end of the process.
    let blocks: Vec<_> = (0..)
        .map(|number| unsafe { part_block(number) })
        .take_while(|block| !block.is_null())
        .collect();
    let ours = blocks.iter().filter(|block| Hakmem::tier_of(**block).is_some()).count();
    println!("{ours} of {}", blocks.len());
    // SAFETY: the block is freed once, over there.
    assert_eq!(unsafe { part_frees(malloc(1000)) }, 5000);
    0
}
