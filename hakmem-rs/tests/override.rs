//! The feature `override`: one allocator for the Rust and the C code of a program. That it links at all says that nothing is
//! defined twice.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;

use hakmem_rs::{Hakmem, Tier};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;
    fn free(block: *mut c_void);
    fn strdup(text: *const c_char) -> *mut c_char;
    fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char;
}

/// Frees a block, after a look at whose it is.
fn tier_of_freed(block: *mut c_void) -> Option<Tier> {
    let tier = Hakmem::tier_of(block);
    // SAFETY: each caller hands over a block that it got from the C library's interface this moment.
    unsafe { free(block) };
    tier
}

#[test]
fn blocks_of_this_file_are_ours() {
    let mut aligned = ptr::null_mut();
    // SAFETY: malloc's family by its documented signatures; each block is freed once.
    unsafe {
        assert_eq!(tier_of_freed(malloc(100)), Some(Tier::Tiny));
        assert_eq!(tier_of_freed(calloc(10, 400)), Some(Tier::Mid));
        assert_eq!(tier_of_freed(realloc(malloc(10), 20 << 10)), Some(Tier::Pool));
        assert_eq!(posix_memalign(&mut aligned, 4096, 3 << 20), 0);
        assert_eq!(tier_of_freed(aligned), Some(Tier::Mmap));
    }
}

#[test]
fn blocks_of_the_c_library_are_ours() {
    // SAFETY: both take a string and return a block with one.
    unsafe {
        let copy = strdup(c"text".as_ptr());
        assert_eq!(CStr::from_ptr(copy), c"text");
        assert_eq!(tier_of_freed(copy.cast()), Some(Tier::Tiny));
        assert!(tier_of_freed(realpath(c"/proc/self/exe".as_ptr(), ptr::null_mut()).cast()).is_some());
    }
}

#[test]
fn rust_and_c_free_for_each_other() {
    let boxed = Box::into_raw(Box::new([1u8; 5000]));
    assert_eq!(tier_of_freed(boxed.cast()), Some(Tier::Mid));
    // SAFETY: the block has the size and the alignment of a box of that type, from the same allocator.
    unsafe {
        let block = malloc(5000);
        block.cast::<u8>().write_bytes(2, 5000);
        let boxed = Box::from_raw(block.cast::<[u8; 5000]>());
        assert_eq!(boxed[4999], 2);
    }
}

/// What programs start, and the standard library allocates by itself, C code included.
#[test]
fn threads_and_processes_start() {
    let threads: Vec<_> = (0..8)
        .map(|n| std::thread::spawn(move || vec![n; 100_000].iter().sum::<usize>()))
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), n * 100_000);
    }
    let output = std::process::Command::new("echo").arg("started").output().unwrap();
    assert_eq!(output.stdout, b"started\n");
}
