//! hakmem.

hakmem_bench::program!("hakmem", hakmem_rs::Hakmem, hakmem_bench::peers::hakmem_version);
