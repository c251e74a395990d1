//! The feature `override` in a program that depends on this crate and calls nothing of it: malloc is replaced all the same. That it
//! needs the anchor shows with GNU's linker, with which `tests/rust/run.sh` runs this.
#![cfg(feature = "override")]

use std::ffi::{c_char, c_int, c_void, CStr};

use hakmem_sys as _;

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *const c_void,
    symbol: *const c_char,
    address: *const c_void,
}

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

fn file_of(address: *const c_void) -> String {
    let mut info = DlInfo {
        file: std::ptr::null(),
        base: std::ptr::null(),
        symbol: std::ptr::null(),
        address: std::ptr::null(),
    };
    // SAFETY: dladdr fills in the structure, whose strings live as long as the file is loaded.
    unsafe {
        assert_ne!(dladdr(address, &mut info), 0, "no file has this address");
        CStr::from_ptr(info.file).to_str().unwrap().to_owned()
    }
}

#[test]
fn malloc_is_part_of_this_program() {
    // Asked for by its name: a reference to malloc would make the linker look for it in libhakmem.a.
    // SAFETY: the handle 0 is RTLD_DEFAULT, the order in which calls are bound.
    let malloc = unsafe { dlsym(std::ptr::null_mut(), c"malloc".as_ptr()) };
    assert_eq!(
        file_of(malloc),
        file_of(malloc_is_part_of_this_program as *const c_void)
    );
}
