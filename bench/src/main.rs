//! The program: see `hakmem_bench::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hakmem_bench::cli::main()
}
