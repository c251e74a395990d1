//! What stays resident of two million blocks when 19 of 20 are freed at random, after two seconds of light activity:
//!
//!     cargo run --release --example fragmentation [--features all-peers]
//!
//! Blocks of 16 B to 4 KiB, each doubling equally likely, one in a thousand of 8 to 256 KiB; first and last byte and each
//! page of them written. A process for each allocator; the handles' memory is not counted. hakmem collects in the end besides.
//! This is no workload of the comparison because what it measures is a moment, not a peak.

use std::{
    alloc::Layout,
    env,
    process::Command,
    time::{Duration, Instant},
};

use hakmem_bench::{
    peers::{self, Peer, Presence, Visitor, PEERS},
    rng::Rng,
    workloads::sizes,
};

const BLOCKS: usize = 2_000_000;
const ALIGN: usize = 8;

fn resident_kib() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("pages")
        * 4
}

struct Run;

struct Handle {
    address: *mut u8,
    size: usize,
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGN).expect("a size")
}

fn allocate<A: Peer>(size: usize) -> Handle {
    // SAFETY: the size is not zero; what is written is inside of the block.
    unsafe {
        let address = A::IT.alloc(layout(size));
        assert!(!address.is_null());
        (0..size).step_by(4096).for_each(|at| address.add(at).write(1));
        address.add(size - 1).write(1);
        Handle { address, size }
    }
}

fn free<A: Peer>(handle: Handle) {
    // SAFETY: the block is live and has this layout.
    unsafe { A::IT.dealloc(handle.address, layout(handle.size)) }
}

impl Visitor for Run {
    type Out = [usize; 4];

    /// Resident: all allocated, just after the frees, after two seconds; and the bytes that are live then. In KiB.
    fn visit<A: Peer>(self) -> Self::Out {
        A::thread_start();
        let mut rng = Rng::new(42, 0);
        let mut blocks: Vec<Option<Handle>> = Vec::with_capacity(BLOCKS);
        // Touched, so that it can be left out.
        blocks.extend((0..BLOCKS).map(|_| {
            Some(Handle {
                address: std::ptr::null_mut(),
                size: 1,
            })
        }));
        let before = resident_kib();
        for block in &mut blocks {
            let draw = rng.draw();
            let size = match rng.below(1000) {
                0 => sizes::octaves(draw, 8 << 10, 5),
                _ => sizes::octaves(draw, 16, 8),
            };
            *block = Some(allocate::<A>(size));
        }
        let all = resident_kib() - before;
        let mut order: Vec<u32> = (0..BLOCKS as u32).collect();
        (1..BLOCKS).rev().for_each(|i| order.swap(i, rng.below(i + 1)));
        let order_kib = BLOCKS * 4 / 1024;
        for &index in &order[..BLOCKS / 20 * 19] {
            free::<A>(blocks[index as usize].take().expect("live"));
        }
        let live = blocks.iter().flatten().map(|block| block.size).sum::<usize>() / 1024;
        let after = resident_kib() - before - order_kib;
        // A few small blocks a millisecond, sixteen of them live.
        let start = Instant::now();
        let mut few: Vec<Handle> = (0..16).map(|_| allocate::<A>(64)).collect();
        while start.elapsed() < Duration::from_secs(2) {
            for _ in 0..4 {
                let at = rng.below(16);
                free::<A>(few.swap_remove(at));
                few.push(allocate::<A>(16 + rng.below(1024)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let later = resident_kib() - before - order_kib;
        [all, after, later, live]
    }
}

fn worker(peer: &str) {
    let [all, after, later, live] = peers::with_peer(peer, Run).expect("a peer");
    let collected = (peer == "hakmem").then(|| {
        let before = resident_kib();
        hakmem_rs::collect(true);
        later + resident_kib() - before
    });
    let mib = |kib: usize| kib as f64 / 1024.0;
    println!(
        "{peer:<10} {:>8.0} {:>8.0} {:>8.0} {:>8.2}   {}",
        mib(all),
        mib(after),
        mib(later),
        later as f64 / live as f64,
        collected.map_or(String::new(), |kib| format!(
            "{:.0} MiB after hakmem_rs::collect(true)",
            mib(kib)
        ))
    );
}

fn main() {
    if let Some(peer) = env::args().nth(1) {
        worker(&peer);
        return;
    }
    println!("resident MiB: all live, 19 of 20 freed, 2 s later; the last as a multiple of the live bytes");
    for peer in &PEERS {
        let mut command = Command::new(env::current_exe().expect("Linux"));
        command.arg(peer.name);
        match (peer.presence)() {
            Presence::BuiltIn => {}
            Presence::Preload(path) => drop(command.env("LD_PRELOAD", path)),
            Presence::Absent(why) => {
                println!("{:<10} absent: {why}", peer.name);
                continue;
            }
        }
        assert!(command.status().expect("a worker").success(), "{}", peer.name);
    }
}
