//! mimalloc v3.

use hakmem_bench::peers::mimalloc;

hakmem_bench::program!("mimalloc", mimalloc::Mimalloc, mimalloc::v3_version);
