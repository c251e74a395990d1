//! An echo server on tokio and 32 clients of it, in one process, with hakmem. `echo_system` is the same program with the
//! system's allocator: run both to see what it changes.
//!
//! Usage: `cargo run --release -p hakmem-rs --example echo -- [MESSAGES OF EACH CLIENT]`

#[path = "shared/echo.rs"]
mod echo;

#[global_allocator]
static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;

fn main() -> std::io::Result<()> {
    echo::main("hakmem")
}
