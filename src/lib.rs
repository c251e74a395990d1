//! The C sources of the hakmem memory allocator, and the build script that compiles them into `libhakmem.a`.
//!
//! This crate has no items. It exists to be linked: `hakmem-sys` declares the functions, `hakmem-rs` makes them safe.
//! It exports two values to the build scripts of its dependents: `DEP_HAKMEM_INCLUDE` (the folder of `hakmem.h`) and
//! `DEP_HAKMEM_LIB` (the folder of `libhakmem.a`).
#![no_std]
