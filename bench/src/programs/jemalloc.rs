//! jemalloc.

hakmem_bench::program!(
    "jemalloc",
    tikv_jemallocator::Jemalloc,
    hakmem_bench::peers::jemalloc_version
);
