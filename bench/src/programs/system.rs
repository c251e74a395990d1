//! The C library's malloc; with tcmalloc in LD_PRELOAD, tcmalloc.

hakmem_bench::program!("system", std::alloc::System, hakmem_bench::peers::system_version);
