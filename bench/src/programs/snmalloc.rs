//! snmalloc.

hakmem_bench::program!("snmalloc", snmalloc_rs::SnMalloc, hakmem_bench::peers::snmalloc_version);
