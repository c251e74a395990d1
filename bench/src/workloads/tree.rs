//! Trees of nodes of 24 to 96 B, each with a vector of children that grows, built and dropped while another tree lives.
//!
//! After binary-trees of the Computer Language Benchmarks Game, which goes back to Boehm's GCBench (Ellis, Kovac, Boehm): one
//! tree stays, short-lived ones come and go. There, all nodes are of one size and have two children; here a new node goes to
//! a random place of the tree, and its parent's vector doubles by `realloc`, as the nodes of documents and compilers do.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, sizes, Case, Outcome, Setting, Tally, Workload,
};
use crate::{peers::Peer, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "tree",
    what: "trees of nodes of 24 to 96 B with vectors of children that grow",
    settings: SETTINGS,
    ..Workload::PLAIN
};

/// The slots are the nodes of a tree.
const SETTINGS: &[Setting] = &[("all", 1, 2_000_000, 10_000)];

const FIRST_CAPACITY: usize = 4;

/// The beginning of a node's block, whose first byte is the block's own, and so is its last, which may be the last of these.
#[repr(C)]
struct Node {
    _first: u8,
    /// The block of the vector of children: null when there are none.
    children: *mut u8,
    len: u16,
    capacity: u16,
    stamp: u8,
    _last: [u8; 3],
}

const _: () = assert!(std::mem::size_of::<Node>() == 24 && std::mem::size_of::<Block>() == 16);

/// A vector has a margin at either end, for the bytes that `Block` writes.
const MARGIN: usize = 8;

fn vector_size(capacity: usize) -> usize {
    MARGIN + capacity * std::mem::size_of::<Block>() + MARGIN
}

impl Node {
    /// The vector of children; not to be asked for when there is none.
    fn vector(&self) -> Block {
        Block::from_parts(self.children, vector_size(self.capacity.into()), ALIGN, self.stamp)
    }

    fn set_vector(&mut self, vector: Block, capacity: usize) {
        self.children = vector.address();
        self.capacity = capacity as u16;
    }

    /// Where the child of that number is.
    fn child(&self, index: u16) -> *mut Block {
        // SAFETY: the vector has room for `capacity` children, and `index` is below.
        unsafe { self.children.add(MARGIN).cast::<Block>().add(index.into()) }
    }

    fn push<A: Peer>(&mut self, child: Block, tally: &mut Tally) {
        if self.children.is_null() {
            let size = vector_size(FIRST_CAPACITY);
            let vector = Block::allocate::<A, false>(size, ALIGN, self.stamp.into(), tally);
            self.set_vector(vector, FIRST_CAPACITY);
        } else if self.len == self.capacity {
            let capacity = 2 * usize::from(self.capacity);
            let mut vector = self.vector();
            vector.resize::<A, false>(vector_size(capacity), tally);
            self.set_vector(vector, capacity);
        }
        // SAFETY: there is room for it now.
        unsafe { self.child(self.len).write(child) };
        self.len += 1;
    }
}

fn make_node<A: Peer>(rng: &mut Rng, tally: &mut Tally) -> Block {
    let draw = rng.draw();
    let block = Block::allocate::<A, false>(sizes::uniform(draw, 24, 96), ALIGN, draw, tally);
    let node = block.address().cast::<Node>();
    // SAFETY: the block has room for a node and is aligned for it.
    unsafe {
        (&raw mut (*node).children).write(std::ptr::null_mut());
        (&raw mut (*node).len).write(0);
        (&raw mut (*node).capacity).write(0);
        (&raw mut (*node).stamp).write((draw >> 8) as u8);
    }
    block
}

/// The root of a tree of `count` nodes; `nodes` is emptied and used for them while it grows.
fn build<A: Peer>(count: usize, nodes: &mut Vec<Block>, rng: &mut Rng, tally: &mut Tally) -> Block {
    nodes.clear();
    nodes.push(make_node::<A>(rng, tally));
    while nodes.len() < count {
        let parent = nodes[rng.below(nodes.len())].address().cast::<Node>();
        let child = make_node::<A>(rng, tally);
        // SAFETY: all nodes of this tree are alive.
        unsafe { (*parent).push::<A>(child, tally) };
        nodes.push(child);
    }
    nodes[0]
}

/// Calls `each` with all blocks of a tree, children first; it may free the block.
fn visit(root: Block, each: &mut impl FnMut(Block)) {
    let node = root.address().cast::<Node>();
    // SAFETY: the node is alive, and so are its children until `each` gets them.
    unsafe {
        if !(*node).children.is_null() {
            for index in 0..(*node).len {
                visit((*node).child(index).read(), each);
            }
            each((*node).vector());
        }
    }
    each(root);
}

/// The content of the blocks is a tree: only their first and last bytes can be compared, with CHECK or without.
pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let count = case.slots.max(1);
    struct Forest {
        rng: Rng,
        nodes: Vec<Block>,
        /// The root of the tree that stays.
        old: Block,
        tally: Tally,
    }
    Ok(measured::<A, _>(
        case,
        |index| {
            let mut rng = Rng::new(case.seed, index as u64);
            let mut nodes = Vec::with_capacity(count);
            let mut tally = Tally::default();
            let old = build::<A>(count, &mut nodes, &mut rng, &mut tally);
            tally.set_up();
            Forest { rng, nodes, old, tally }
        },
        |forest| {
            let Forest { rng, nodes, tally, .. } = forest;
            while tally.ops() < case.ops {
                let root = build::<A>(count, nodes, rng, tally);
                visit(root, &mut |block| block.release::<A, false>(tally));
            }
        },
        |forest| {
            let mut left = Vec::new();
            visit(forest.old, &mut |block| left.push(block));
            free_rest::<A, false>(left, forest.tally)
        },
    ))
}
