//! A Rust program with C++ code in it, whose own allocator is the system's.

fn main() {
    mixed::report();
}
