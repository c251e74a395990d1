//! A vector that grows to 1 GiB by `realloc`, by doubling or by half of its size, with every new page written.
//!
//! The growth of libstdc++'s and Rust's vectors is 2, that of folly's FBVector and of MSVC's 1.5 (folly/docs/FBVector.md
//! argues for the latter, and for `realloc`, which may move pages instead of bytes). The slots are the MiB to grow to.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, Case, Outcome, Setting, Tally, Workload,
};
use crate::peers::Peer;

pub const WORKLOAD: Workload = Workload {
    name: "vector",
    what: "a vector that grows to 1 GiB by realloc",
    variants: &[
        ("double", "twice the size each time"),
        ("half", "one and a half times the size each time"),
    ],
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("double", 1, 20, 1024), ("half", 1, 20, 1024)];

const FIRST: usize = 4096;

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let next: fn(usize) -> usize = match case.variant.as_str() {
        "double" => |size| size * 2,
        "half" => |size| size + size / 2,
        _ => return Err(super::no_variant(case)),
    };
    let limit = case.slots << 20;
    Ok(measured::<A, _>(
        case,
        |_| Tally::default(),
        |tally| {
            while tally.ops() < case.ops {
                let mut vector = Block::allocate::<A, CHECK>(FIRST, ALIGN, tally.allocs, tally);
                while vector.size() < limit {
                    let old = vector.size();
                    vector.resize::<A, CHECK>(next(old).min(limit), tally);
                    vector.touch_pages(old);
                }
                vector.release::<A, CHECK>(tally);
            }
        },
        |tally| free_rest::<A, CHECK>([], tally),
    ))
}
