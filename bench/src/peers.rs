//! The allocators under comparison: one type each, one table of all.
//!
//! A peer is called as its authors recommend for Rust, and through its fastest entry points: `malloc` where that already
//! gives the alignment asked for, the sized `dealloc` where there is one. All are C or C++ libraries compiled for release
//! and linked statically, called without link-time optimisation; the system's is called through its shared library, and so
//! is tcmalloc, which takes the system's place by LD_PRELOAD (see [`Presence`]).

pub mod mimalloc;
pub mod rpmalloc;
pub mod tcmalloc;

use std::{
    alloc::{GlobalAlloc, System},
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

    /// Whether `dealloc` makes use of the layout.
    const USES_LAYOUT: bool = false;

    /// The release that is told no layout, of a peer whose `dealloc` makes use of it.
    ///
    /// # Safety
    ///
    /// As of `dealloc`.
    unsafe fn free_unsized(_block: *mut u8) {
        unreachable!("only to be called where USES_LAYOUT is true")
    }

    /// Asks for all memory back that is not in use, where the allocator can be asked.
    fn collect() {}

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
        version: mimalloc::v3_version,
    },
    PeerInfo {
        name: "mimalloc2",
        what: "mimalloc v2, Microsoft",
        presence: mimalloc::v2_presence,
        version: mimalloc::v2_version,
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
        presence: snmalloc_presence,
        version: snmalloc_version,
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
        presence: tcmalloc::presence,
        version: || tcmalloc::version().unwrap_or_else(|| "not loaded".into()),
    },
    PeerInfo {
        name: "hakmem",
        what: "this project",
        presence: || Presence::BuiltIn,
        version: hakmem_version,
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
        "mimalloc" => visitor.visit::<mimalloc::Mimalloc>(),
        #[cfg(mimalloc2)]
        "mimalloc2" => visitor.visit::<mimalloc::Mimalloc2>(),
        #[cfg(feature = "jemalloc")]
        "jemalloc" => visitor.visit::<tikv_jemallocator::Jemalloc>(),
        #[cfg(feature = "snmalloc")]
        "snmalloc" => visitor.visit::<snmalloc_rs::SnMalloc>(),
        "rpmalloc" => visitor.visit::<rpmalloc::Rpmalloc>(),
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

// ---- system, hakmem -------------------------------------------------------------------------------------------------

impl Peer for System {
    const IT: Self = System;

    fn collect() {
        tcmalloc::release_free_memory();
        #[cfg(target_env = "gnu")]
        // SAFETY: may be called at any time. In a process that runs on tcmalloc it does nothing.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(target_env = "gnu")]
pub fn system_version() -> String {
    // SAFETY: returns a static string.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
pub fn system_version() -> String {
    "not glibc".into()
}

pub fn hakmem_version() -> String {
    hakmem_rs::version().to_string()
}

impl Peer for hakmem_rs::Hakmem {
    const IT: Self = hakmem_rs::Hakmem;

    const USES_LAYOUT: bool = true;

    #[inline]
    unsafe fn free_unsized(block: *mut u8) {
        hakmem_sys::hak_free(block.cast());
    }

    fn collect() {
        hakmem_rs::collect(true);
    }

    fn tier_of(block: *const u8) -> Option<&'static str> {
        Some(hakmem_rs::Hakmem::tier_of(block).map_or("none", |tier| tier.name()))
    }
}

// ---- jemalloc, snmalloc ---------------------------------------------------------------------------------------------

#[cfg(feature = "jemalloc")]
impl Peer for tikv_jemallocator::Jemalloc {
    const IT: Self = tikv_jemallocator::Jemalloc;

    const USES_LAYOUT: bool = true;

    #[inline]
    unsafe fn free_unsized(block: *mut u8) {
        tikv_jemalloc_sys::free(block.cast());
    }

    fn collect() {
        let nothing = std::ptr::null_mut();
        // SAFETY: these commands read and write no value. 4096 stands for all arenas.
        unsafe {
            tikv_jemalloc_sys::mallctl(c"thread.tcache.flush".as_ptr(), nothing, nothing.cast(), nothing, 0);
            tikv_jemalloc_sys::mallctl(c"arena.4096.purge".as_ptr(), nothing, nothing.cast(), nothing, 0);
        }
    }
}

#[cfg(feature = "jemalloc")]
pub fn jemalloc_version() -> String {
    let mut text: *const std::ffi::c_char = std::ptr::null();
    let mut bytes = std::mem::size_of_val(&text);
    // SAFETY: "version" reads one pointer to a static string.
    let error = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"version".as_ptr(),
            (&raw mut text).cast::<std::ffi::c_void>(),
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
pub fn jemalloc_version() -> String {
    "not built in".into()
}

fn snmalloc_presence() -> Presence {
    if cfg!(all(feature = "snmalloc", snmalloc_unoptimised)) {
        return Presence::Absent(
            "its crate compiled it without optimisation, as it does when the profile has debug information; \
             set debug = false in [profile.release.package.\"*\"]"
                .into(),
        );
    }
    when(cfg!(feature = "snmalloc"), "needs cmake and a C++ compiler")
}

pub fn snmalloc_version() -> String {
    "crate snmalloc-rs 0.7".into()
}

#[cfg(feature = "snmalloc")]
impl Peer for snmalloc_rs::SnMalloc {
    const IT: Self = snmalloc_rs::SnMalloc::new();

    const USES_LAYOUT: bool = true;

    #[inline]
    unsafe fn free_unsized(block: *mut u8) {
        extern "C" {
            fn sn_free(block: *mut std::ffi::c_void);
        }
        sn_free(block.cast());
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::Layout;

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
                        if A::USES_LAYOUT {
                            A::free_unsized(zeroed);
                        } else {
                            A::IT.dealloc(zeroed, layout);
                        }
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
