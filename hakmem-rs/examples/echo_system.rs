//! The example `echo` with the system's allocator, to compare with.
//!
//! Usage: `cargo run --release -p hakmem-rs --example echo_system -- [MESSAGES OF EACH CLIENT]`

#[path = "shared/echo.rs"]
mod echo;

fn main() -> std::io::Result<()> {
    echo::main("system")
}
