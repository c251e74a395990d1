//! mimalloc v2, where bench/build.rs could build it.

#[cfg(mimalloc2)]
use hakmem_bench::peers::mimalloc;

#[cfg(mimalloc2)]
hakmem_bench::program!("mimalloc2", mimalloc::Mimalloc2, mimalloc::v2_version);

#[cfg(not(mimalloc2))]
fn main() -> std::process::ExitCode {
    eprintln!("mimalloc v2 is not built in");
    std::process::ExitCode::FAILURE
}
