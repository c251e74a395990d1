//! Compares hakmem with the system's allocator and with its peers.
//!
//! - [`peers`]: the allocators, one table, each a type that implements [`std::alloc::GlobalAlloc`]
//! - [`workloads`]: what is measured, one file a workload
//! - [`worker`]: the process that measures one allocator on one case, once
//! - [`programs`]: the same for programs with the allocator as their `#[global_allocator]`
//! - [`runner`]: starts the workers, in an order that is fair to all
//! - [`stats`], [`report`], [`chart`]: medians, tables, the CSV and the SVG
//! - [`summary`]: a suite of workloads in one table; [`scale`]: the same work with more and more threads
//! - [`latency`]: the time that single calls take; [`phases`]: speed and memory in each phase of a workload
//! - [`gate`], [`ring`], [`clock`], [`rng`]: what the workloads' threads need
//! - [`cli`], [`course`]: the command line, and what is done for it
//!
//! The Criterion benches in `benches/` use the same peers.

pub mod chart;
pub mod cli;
pub mod clock;
pub mod course;
pub mod gate;
pub mod latency;
pub mod peers;
pub mod phases;
pub mod programs;
pub mod report;
pub mod ring;
pub mod rng;
pub mod runner;
pub mod scale;
pub mod stats;
pub mod summary;
pub mod worker;
pub mod workloads;
