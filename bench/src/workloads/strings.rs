//! Strings that are appended to, each growing by `realloc` to twice its size until it is thrown away.
//!
//! What the strings and vectors of C++ and Rust do to an allocator: libstdc++'s and Rust's double their capacity, and start
//! small. Stroustrup, "The C++ Programming Language", on `vector::push_back` has the pattern; that most strings are short is
//! why the lengths at which they end are skewed. No published benchmark is known that has only this.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "strings",
    what: "strings and vectors of up to 4 KiB that grow by realloc",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 1, 2_000_000, 2000)];

/// libstdc++'s strings leave their object at 16 bytes; this is their first block.
const FIRST: usize = 31;

struct Text {
    block: Block,
    len: usize,
    /// It ends when it is longer.
    limit: usize,
}

impl Text {
    fn new<A: Peer, const CHECK: bool>(rng: &mut Rng, tally: &mut Tally) -> Self {
        let draw = rng.draw();
        Text {
            block: Block::allocate::<A, CHECK>(FIRST, ALIGN, draw, tally),
            len: 16,
            limit: sizes::skewed(draw, 16, 4096),
        }
    }
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    Ok(measured::<A, _>(
        case,
        |index| {
            let mut rng = Rng::new(case.seed, index as u64);
            let mut tally = Tally::default();
            let texts: Vec<Text> = (0..case.slots.max(1))
                .map(|_| Text::new::<A, CHECK>(&mut rng, &mut tally))
                .collect();
            tally.set_up();
            (rng, texts, tally)
        },
        |(rng, texts, tally)| {
            while tally.ops() < case.ops {
                let draw = rng.draw();
                let index = rng.below(texts.len());
                let text = &mut texts[index];
                text.len += sizes::uniform(draw, 1, 64);
                if text.len > text.limit {
                    text.block.release::<A, CHECK>(tally);
                    *text = Text::new::<A, CHECK>(rng, tally);
                } else if text.len > text.block.size() {
                    let size = text.len.max(2 * text.block.size());
                    text.block.resize::<A, CHECK>(size, tally);
                }
            }
        },
        |(_, texts, tally)| free_rest::<A, CHECK>(texts.into_iter().map(|text| text.block), tally),
    ))
}
