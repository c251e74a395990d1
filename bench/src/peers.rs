//! The allocators under comparison: one type each, one table of all.
//!
//! A peer is called as its authors recommend for Rust, and through its fastest entry points: `malloc` where that already
//! gives the alignment asked for, the sized `dealloc` where there is one. All are C or C++ libraries compiled for release
//! and linked statically, called without link-time optimisation; the system's is called through its shared library, and so
//! is tcmalloc, which takes the system's place by LD_PRELOAD (see [`Presence`]).

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::c_void,
    path::PathBuf,
};

/// An allocator that can be measured. Its functions are called through this trait's type, never through `dyn`.
pub trait Peer: GlobalAlloc + Send + Sync + 'static {
    /// The allocator: none of them has state of its own on the Rust side.
    const IT: Self;

    /// To be called in every thread, the first one too, before it allocates from this peer.
    fn thread_start() {}

    /// To be called in every thread that ends, after its last call of this peer.
    fn thread_end() {}

    /// The tier that serves a live block, where the allocator can tell.
    fn tier_of(_block: *const u8) -> Option<&'static str> {
        None
    }
}

/// Whether a peer can be measured in this build, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Built in.
    BuiltIn,
    /// A shared library that the worker is started with, in LD_PRELOAD.
    Preload(PathBuf),
    /// Not here; says why and how to get it.
    Absent(String),
}

/// One line of the table.
pub struct PeerInfo {
    pub name: &'static str,
    pub what: &'static str,
    pub presence: fn() -> Presence,
    /// Asked in the worker, of the library that is really in use.
    pub version: fn() -> String,
}

/// Every allocator, in the order in which tables list them.
pub const PEERS: [PeerInfo; 8] = [
    PeerInfo {
        name: "system",
        what: "the C library's malloc",
        presence: || Presence::BuiltIn,
        version: system_version,
    },
    PeerInfo {
        name: "mimalloc",
        what: "mimalloc v3, Microsoft",
        presence: || Presence::BuiltIn,
        version: || mimalloc_version(unsafe { mi_version() }),
    },
    PeerInfo {
        name: "mimalloc2",
        what: "mimalloc v2, Microsoft",
        presence: mimalloc2_presence,
        version: mimalloc2_version,
    },
    PeerInfo {
        name: "jemalloc",
        what: "jemalloc, Meta",
        presence: || when(cfg!(feature = "jemalloc"), "needs make"),
        version: jemalloc_version,
    },
    PeerInfo {
        name: "snmalloc",
        what: "snmalloc, Microsoft",
        presence: || when(cfg!(feature = "snmalloc"), "needs cmake and a C++ compiler"),
        version: || "crate snmalloc-rs 0.7".into(),
    },
    PeerInfo {
        name: "rpmalloc",
        what: "rpmalloc, Mattias Jansson",
        presence: || Presence::BuiltIn,
        version: || "1.4 (crate rpmalloc-sys 0.2)".into(),
    },
    PeerInfo {
        name: "tcmalloc",
        what: "tcmalloc of gperftools, Google",
        presence: tcmalloc_presence,
        version: || tcmalloc_version().unwrap_or_else(|| "not loaded".into()),
    },
    PeerInfo {
        name: "hakmem",
        what: "this project",
        presence: || Presence::BuiltIn,
        version: || hakmem_rs::version().to_string(),
    },
];

pub fn find(name: &str) -> Option<&'static PeerInfo> {
    PEERS.iter().find(|peer| peer.name == name)
}

/// What to do with a peer's type once its name has been looked up.
pub trait Visitor {
    type Out;
    fn visit<A: Peer>(self) -> Self::Out;
}

/// Calls `visitor` with the type of the peer `name`; None when it is not part of this build.
/// tcmalloc's type is the system's: the process runs under its LD_PRELOAD.
pub fn with_peer<V: Visitor>(name: &str, visitor: V) -> Option<V::Out> {
    Some(match name {
        "system" | "tcmalloc" => visitor.visit::<System>(),
        "mimalloc" => visitor.visit::<Mimalloc>(),
        #[cfg(mimalloc2)]
        "mimalloc2" => visitor.visit::<Mimalloc2>(),
        #[cfg(feature = "jemalloc")]
        "jemalloc" => visitor.visit::<tikv_jemallocator::Jemalloc>(),
        #[cfg(feature = "snmalloc")]
        "snmalloc" => visitor.visit::<snmalloc_rs::SnMalloc>(),
        "rpmalloc" => visitor.visit::<Rpmalloc>(),
        "hakmem" => visitor.visit::<hakmem_rs::Hakmem>(),
        _ => return None,
    })
}

fn when(built_in: bool, needs: &str) -> Presence {
    if built_in {
        Presence::BuiltIn
    } else {
        Presence::Absent(format!(
            "not built in ({needs}); cargo run --release --features all-peers"
        ))
    }
}

// ---- system, hakmem ------------------------------------------------------------------------------------------------

impl Peer for System {
    const IT: Self = System;
}

#[cfg(target_env = "gnu")]
fn system_version() -> String {
    // SAFETY: returns a static string.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn system_version() -> String {
    "not glibc".into()
}

impl Peer for hakmem_rs::Hakmem {
    const IT: Self = hakmem_rs::Hakmem;

    fn tier_of(block: *const u8) -> Option<&'static str> {
        Some(hakmem_rs::Hakmem::tier_of(block).map_or("none", |tier| tier.name()))
    }
}

// ---- mimalloc v3 and v2 --------------------------------------------------------------------------------------------

/// True when plain `malloc` gives the alignment: mimalloc promises 16 bytes for blocks of 16 bytes and more.
#[inline(always)]
fn malloc_aligns(layout: &Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

fn mimalloc_version(number: i32) -> String {
    // v2 and early v3 count in hundreds, later ones in tens of thousands.
    if number >= 10_000 {
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    } else {
        format!("{}.{}.{}", number / 100, number / 10 % 10, number % 10)
    }
}

extern "C" {
    fn mi_version() -> i32;
}

/// Implements a peer over one set of mimalloc's functions.
macro_rules! mimalloc_peer {
    ($type:ident, $malloc:path, $zalloc:path, $realloc:path, $malloc_aligned:path, $zalloc_aligned:path,
     $realloc_aligned:path, $free:path) => {
        // SAFETY: these are an allocator's functions; alignments of layouts are powers of two.
        unsafe impl GlobalAlloc for $type {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                if malloc_aligns(&layout) {
                    $malloc(layout.size()).cast()
                } else {
                    $malloc_aligned(layout.size(), layout.align()).cast()
                }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                if malloc_aligns(&layout) {
                    $zalloc(layout.size()).cast()
                } else {
                    $zalloc_aligned(layout.size(), layout.align()).cast()
                }
            }

            #[inline]
            unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
                $free(ptr.cast())
            }

            #[inline]
            unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                if layout.align() <= 16 && layout.align() <= new_size {
                    $realloc(ptr.cast(), new_size).cast()
                } else {
                    $realloc_aligned(ptr.cast(), new_size, layout.align()).cast()
                }
            }
        }

        impl Peer for $type {
            const IT: Self = $type;
        }
    };
}

/// mimalloc v3.
pub struct Mimalloc;

mimalloc_peer!(
    Mimalloc,
    libmimalloc_sys::mi_malloc,
    libmimalloc_sys::mi_zalloc,
    libmimalloc_sys::mi_realloc,
    libmimalloc_sys::mi_malloc_aligned,
    libmimalloc_sys::mi_zalloc_aligned,
    libmimalloc_sys::mi_realloc_aligned,
    libmimalloc_sys::mi_free
);

#[cfg(mimalloc2)]
mod mimalloc2 {
    use super::*;

    extern "C" {
        pub fn bench_mi2_malloc(size: usize) -> *mut c_void;
        pub fn bench_mi2_zalloc(size: usize) -> *mut c_void;
        pub fn bench_mi2_realloc(ptr: *mut c_void, size: usize) -> *mut c_void;
        pub fn bench_mi2_malloc_aligned(size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_zalloc_aligned(size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_realloc_aligned(ptr: *mut c_void, size: usize, align: usize) -> *mut c_void;
        pub fn bench_mi2_free(ptr: *mut c_void);
        pub fn bench_mi2_version() -> i32;
    }

    /// mimalloc v2: see build.rs.
    pub struct Mimalloc2;

    mimalloc_peer!(
        Mimalloc2,
        bench_mi2_malloc,
        bench_mi2_zalloc,
        bench_mi2_realloc,
        bench_mi2_malloc_aligned,
        bench_mi2_zalloc_aligned,
        bench_mi2_realloc_aligned,
        bench_mi2_free
    );
}

#[cfg(mimalloc2)]
pub use mimalloc2::Mimalloc2;

#[cfg(mimalloc2)]
fn mimalloc2_presence() -> Presence {
    Presence::BuiltIn
}

#[cfg(mimalloc2)]
fn mimalloc2_version() -> String {
    // SAFETY: returns a constant.
    mimalloc_version(unsafe { mimalloc2::bench_mi2_version() })
}

#[cfg(not(mimalloc2))]
fn mimalloc2_presence() -> Presence {
    Presence::Absent(format!("not built in: {}", env!("MIMALLOC2_ABSENT")))
}

#[cfg(not(mimalloc2))]
fn mimalloc2_version() -> String {
    "not built in".into()
}

// ---- rpmalloc ------------------------------------------------------------------------------------------------------

/// rpmalloc. Not the crate `rpmalloc`, which builds it with ENABLE_PRELOAD: that starts it in every process and puts a
/// `pthread_create` of its own in front of the system's, also when another peer is measured; and it has no realloc.
pub struct Rpmalloc;

extern "C" {
    // The crate declares this without its argument.
    fn rpmalloc_thread_finalize(release_caches: i32);
}

// SAFETY: these are an allocator's functions; blocks are aligned to 16 bytes, others are asked for with an alignment.
unsafe impl GlobalAlloc for Rpmalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rpmalloc(layout.size()).cast()
        } else {
            rpmalloc_sys::rpaligned_alloc(layout.align(), layout.size()).cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rpcalloc(1, layout.size()).cast()
        } else {
            rpmalloc_sys::rpaligned_calloc(layout.align(), 1, layout.size()).cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
        rpmalloc_sys::rpfree(ptr.cast())
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            rpmalloc_sys::rprealloc(ptr.cast(), new_size).cast()
        } else {
            rpmalloc_sys::rpaligned_realloc(ptr.cast(), layout.align(), new_size, layout.size(), 0).cast()
        }
    }
}

impl Peer for Rpmalloc {
    const IT: Self = Rpmalloc;

    fn thread_start() {
        static START: std::sync::Once = std::sync::Once::new();
        // SAFETY: the first call initialises the process, the second this thread (nothing, if it already is).
        unsafe {
            START.call_once(|| {
                rpmalloc_sys::rpmalloc_initialize();
            });
            rpmalloc_sys::rpmalloc_thread_initialize();
        }
    }

    fn thread_end() {
        // SAFETY: the caller promises that the thread makes no further call.
        unsafe { rpmalloc_thread_finalize(1) }
    }
}

// ---- jemalloc, snmalloc --------------------------------------------------------------------------------------------

#[cfg(feature = "jemalloc")]
impl Peer for tikv_jemallocator::Jemalloc {
    const IT: Self = tikv_jemallocator::Jemalloc;
}

#[cfg(feature = "jemalloc")]
fn jemalloc_version() -> String {
    let mut text: *const std::ffi::c_char = std::ptr::null();
    let mut bytes = std::mem::size_of_val(&text);
    // SAFETY: "version" reads one pointer to a static string.
    let error = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"version".as_ptr(),
            (&raw mut text).cast::<c_void>(),
            &mut bytes,
            std::ptr::null_mut(),
            0,
        )
    };
    if error != 0 || text.is_null() {
        return "unknown".into();
    }
    // SAFETY: jemalloc just stored a static string there.
    let text = unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy();
    text.split('-').next().unwrap_or_default().to_owned()
}

#[cfg(not(feature = "jemalloc"))]
fn jemalloc_version() -> String {
    "not built in".into()
}

#[cfg(feature = "snmalloc")]
impl Peer for snmalloc_rs::SnMalloc {
    const IT: Self = snmalloc_rs::SnMalloc::new();
}

// ---- tcmalloc ------------------------------------------------------------------------------------------------------

const TCMALLOC_FILE: &str = "libtcmalloc_minimal.so.4";

/// Names the library to use instead of the one in the usual folders.
const TCMALLOC_ENV: &str = "HAKMEM_BENCH_TCMALLOC";

fn tcmalloc_presence() -> Presence {
    if let Some(path) = std::env::var_os(TCMALLOC_ENV) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Presence::Preload(path)
        } else {
            Presence::Absent(format!("{TCMALLOC_ENV}={} is no file", path.display()))
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
        .map(|folder| PathBuf::from(folder).join(TCMALLOC_FILE))
        .find(|path| path.is_file())
        .map_or_else(
            || {
                Presence::Absent(format!(
                    "no {TCMALLOC_FILE} in the usual folders; apt-get install libtcmalloc-minimal4, \
                     or name a library in {TCMALLOC_ENV}"
                ))
            },
            Presence::Preload,
        )
}

/// The version of the tcmalloc that this process runs on; None when malloc is not tcmalloc's.
pub fn tcmalloc_version() -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Exercise;

    impl Visitor for Exercise {
        type Out = ();

        fn visit<A: Peer>(self) {
            std::thread::spawn(|| {
                A::thread_start();
                for (size, align) in [(1, 1), (24, 8), (8192, 16), (100, 64), (70_000, 4096)] {
                    let layout = Layout::from_size_align(size, align).unwrap();
                    // SAFETY: the layout is not empty; the block is freed with the layout it has at that time.
                    unsafe {
                        let block = A::IT.alloc(layout);
                        assert!(!block.is_null());
                        assert_eq!(block as usize % align, 0);
                        block.write_bytes(7, size);
                        let block = A::IT.realloc(block, layout, size * 3);
                        assert!(!block.is_null());
                        assert_eq!(block as usize % align, 0);
                        assert!((0..size).all(|i| *block.add(i) == 7));
                        A::IT.dealloc(block, Layout::from_size_align(size * 3, align).unwrap());
                        let zeroed = A::IT.alloc_zeroed(layout);
                        assert!((0..size).all(|i| *zeroed.add(i) == 0));
                        A::IT.dealloc(zeroed, layout);
                    }
                }
                A::thread_end();
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn every_peer_of_this_build_allocates_aligns_and_reallocates() {
        for peer in &PEERS {
            let built_in = (peer.presence)() == Presence::BuiltIn;
            if built_in {
                assert_eq!(with_peer(peer.name, Exercise), Some(()), "{}", peer.name);
            }
        }
    }

    #[test]
    fn both_mimallocs_are_the_versions_they_claim() {
        assert!((find("mimalloc").unwrap().version)().starts_with("3."));
        if cfg!(mimalloc2) {
            assert!((find("mimalloc2").unwrap().version)().starts_with("2."));
        }
    }

    #[test]
    fn an_absent_peer_says_how_to_get_it() {
        for peer in &PEERS {
            if let Presence::Absent(why) = (peer.presence)() {
                assert!(!why.is_empty(), "{}", peer.name);
            }
        }
    }
}
