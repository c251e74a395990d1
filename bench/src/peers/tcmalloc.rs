//! tcmalloc: no crate builds it, so the system's package is found and loaded in front of the C library.

use std::{ffi::c_void, path::PathBuf};

use super::Presence;

const FILE: &str = "libtcmalloc_minimal.so.4";

/// Names the library to use instead of the one in the usual folders.
const ENV: &str = "HAKMEM_BENCH_TCMALLOC";

pub fn presence() -> Presence {
    if let Some(path) = std::env::var_os(ENV) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Presence::Preload(path)
        } else {
            Presence::Absent(format!("{ENV}={} is no file", path.display()))
        };
    }
    let folders = [
        format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH),
        format!("/lib/{}-linux-gnu", std::env::consts::ARCH),
        "/usr/local/lib".into(),
        "/usr/lib64".into(),
        "/usr/lib".into(),
    ];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(FILE))
        .find(|path| path.is_file())
        .map_or_else(
            || {
                Presence::Absent(format!(
                    "no {FILE} in the usual folders; apt-get install libtcmalloc-minimal4, \
                     or name a library in {ENV}"
                ))
            },
            Presence::Preload,
        )
}

/// The version of the tcmalloc that this process runs on; None when malloc is not tcmalloc's.
pub fn version() -> Option<String> {
    // SAFETY: looks a symbol up; gperftools defines it with this type and accepts null for all three.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"tc_version".as_ptr());
        if symbol.is_null() {
            return None;
        }
        type TcVersion = unsafe extern "C" fn(*mut i32, *mut i32, *mut *const libc::c_char) -> *const libc::c_char;
        let version = std::mem::transmute::<*mut c_void, TcVersion>(symbol);
        let text = version(std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        Some(std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Has tcmalloc return what is free, when this process runs on it.
pub fn release_free_memory() {
    // SAFETY: looks a symbol up; gperftools defines it with this type.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"MallocExtension_ReleaseFreeMemory".as_ptr());
        if !symbol.is_null() {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(symbol)();
        }
    }
}
