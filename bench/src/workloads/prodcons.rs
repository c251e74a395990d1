//! Producers and consumers: blocks go in batches through bounded queues from the thread that allocates to one that frees.
//!
//! After xmalloc-test (Lever and Boreham, "malloc() Performance in a Multithreaded Linux Environment", USENIX 2000): no block
//! is freed where it was allocated. There, all threads share one list of batches; here each pair of threads has queues of its
//! own (see `ring`), so that the queue is not what is measured. A single thread is its own partner.

use super::{
    block::{free_rest, Block, ALIGN},
    measured, no_variant, Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{
    peers::Peer,
    ring::{relax, Receiver, Ring, Sender},
};

pub const WORKLOAD: Workload = Workload {
    name: "prodcons",
    what: "blocks go through a queue from one thread to another, which frees",
    variants: &[
        ("symmetric 64 B", "each of two threads allocates, and frees the other's"),
        ("symmetric 1 KiB", "the same with 1 KiB"),
        ("asymmetric 64 B", "one thread allocates, one frees"),
        ("asymmetric 1 KiB", "the same with 1 KiB"),
    ],
    settings: SETTINGS,
    check,
    ..Workload::PLAIN
};

/// The slots are the blocks that a queue holds.
const SETTINGS: &[Setting] = &[
    ("symmetric 64 B", 2, 8_000_000, 512),
    ("symmetric 1 KiB", 2, 4_000_000, 512),
    ("asymmetric 64 B", 2, 8_000_000, 512),
    ("asymmetric 1 KiB", 2, 4_000_000, 512),
];

const BATCH: usize = 32;
type Batch = [Block; BATCH];

fn check(case: &Case) -> Result<(), String> {
    if case.threads == 1 || case.threads % 2 == 0 {
        return Ok(());
    }
    Err(format!(
        "--threads {}: prodcons needs 1 or an even number",
        case.threads
    ))
}

/// What a thread has to do: batches to send, batches to free, the queues for them.
struct Job<'a> {
    to_send: u64,
    sender: Option<Sender<'a, Batch>>,
    to_free: u64,
    receiver: Option<Receiver<'a, Batch>>,
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let (symmetric, size) = match case.variant.as_str() {
        "symmetric 64 B" => (true, 64),
        "symmetric 1 KiB" => (true, 1024),
        "asymmetric 64 B" => (false, 64),
        "asymmetric 1 KiB" => (false, 1024),
        _ => return Err(no_variant(case)),
    };
    if case.threads != 1 && case.threads % 2 != 0 {
        return Err("prodcons needs one thread or an even number".into());
    }
    // A thread that does both makes half of its operations on either side.
    let both = symmetric || case.threads == 1;
    let batches = case.ops.div_ceil(BATCH as u64 * if both { 2 } else { 1 });
    let queues = if both { case.threads } else { case.threads / 2 };
    let mut rings: Vec<Ring<Batch>> = (0..queues).map(|_| Ring::new(case.slots / BATCH)).collect();
    let mut jobs: Vec<Job> = (0..case.threads)
        .map(|_| Job {
            to_send: 0,
            sender: None,
            to_free: 0,
            receiver: None,
        })
        .collect();
    for (queue, ring) in rings.iter_mut().enumerate() {
        let (sender, receiver) = ring.split();
        let from = if both { queue } else { 2 * queue };
        let to = if case.threads == 1 { 0 } else { from ^ 1 };
        (jobs[from].to_send, jobs[from].sender) = (batches, Some(sender));
        (jobs[to].to_free, jobs[to].receiver) = (batches, Some(receiver));
    }
    let jobs = HandOut::new(jobs);
    Ok(measured::<A, _>(
        case,
        |index| (jobs.take(index), Tally::default()),
        |(job, tally)| job.run::<A, CHECK>(size, tally),
        |(_, tally)| free_rest::<A, CHECK>([], tally),
    ))
}

impl Job<'_> {
    fn run<A: Peer, const CHECK: bool>(&mut self, size: usize, tally: &mut Tally) {
        let mut ready: Option<Batch> = None;
        let mut tries = 0;
        while self.to_send > 0 || self.to_free > 0 {
            let left = self.to_send + self.to_free;
            if let (Some(sender), true) = (&mut self.sender, self.to_send > 0) {
                let batch = ready.take().unwrap_or_else(|| {
                    std::array::from_fn(|i| Block::allocate::<A, CHECK>(size, ALIGN, self.to_send + i as u64, tally))
                });
                if sender.push(batch) {
                    self.to_send -= 1;
                } else {
                    ready = Some(batch);
                }
            }
            if let Some(batch) = self.receiver.as_mut().and_then(|receiver| receiver.pop()) {
                batch.iter().for_each(|block| block.release::<A, CHECK>(tally));
                self.to_free -= 1;
            }
            if self.to_send + self.to_free < left {
                tries = 0;
            } else {
                relax(&mut tries);
            }
        }
    }
}
