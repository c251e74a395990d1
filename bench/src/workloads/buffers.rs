//! Network buffers of 8 to 64 KiB: one thread allocates, two pass them on, a fourth frees; steadily or in bursts.
//!
//! The stages of a server (receive, decode, handle, send), as in Welsh, Culler and Brewer, "SEDA: An Architecture for
//! Well-Conditioned, Scalable Internet Services", SOSP 2001. In bursts, the first thread sleeps after each of them, so an
//! allocator may find time to return memory, and the wall time contains that sleep: compare the processor time too.

use std::time::Duration;

use super::{
    block::{free_rest, Block, ALIGN},
    cases_of, no_variant, outcome, sizes, timed, Case, HandOut, Outcome, Request, Setting, Tally, Workload,
};
use crate::{
    peers::Peer,
    ring::{relax, Receiver, Ring, Sender},
    rng::Rng,
};

pub const WORKLOAD: Workload = Workload {
    name: "buffers",
    what: "network buffers of 8 to 64 KiB that pass through four threads",
    variants: &[
        ("steady", "as fast as they are taken"),
        ("bursts", "bursts as long as a queue, then 2 ms of idleness"),
    ],
    cases,
};

/// The slots are the buffers that each of the three queues holds; operations are allocations, and as many releases.
const SETTINGS: &[Setting] = &[("steady", 4, 100_000, 256), ("bursts", 4, 20_000, 256)];

const STAGES: usize = 4;
const IDLE: Duration = Duration::from_millis(2);

fn cases(request: &Request) -> Result<Vec<Case>, String> {
    let cases = cases_of(&WORKLOAD, SETTINGS, request);
    match cases.iter().find(|case| case.threads % STAGES != 0) {
        Some(case) => Err(format!(
            "--threads {}: buffers needs a multiple of {STAGES}",
            case.threads
        )),
        None => Ok(cases),
    }
}

/// What a thread takes from and what it passes to.
type Stage<'a> = (Option<Receiver<'a, Block>>, Option<Sender<'a, Block>>);

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let bursts = match case.variant.as_str() {
        "steady" => false,
        "bursts" => true,
        _ => return Err(no_variant(case)),
    };
    if case.threads % STAGES != 0 {
        return Err(format!("buffers needs a multiple of {STAGES} threads"));
    }
    let mut stages: Vec<Stage> = (0..case.threads).map(|_| (None, None)).collect();
    let mut rings: Vec<Ring<Block>> = (0..case.threads).map(|_| Ring::new(case.slots)).collect();
    for (index, ring) in rings.iter_mut().enumerate() {
        if index % STAGES != STAGES - 1 {
            let (sender, receiver) = ring.split();
            stages[index].1 = Some(sender);
            stages[index + 1].0 = Some(receiver);
        }
    }
    let stages = HandOut::new(stages);
    let (timing, results) = timed::<A, _, _>(
        case.threads,
        |index| (stages.take(index), Rng::new(case.seed, index as u64), Tally::default()),
        |((source, sink), rng, tally)| {
            for number in 0..case.ops {
                let block = match source {
                    Some(source) => wait_for(|| source.pop()),
                    None => {
                        if bursts && number % case.slots.max(1) as u64 == 0 {
                            std::thread::sleep(IDLE);
                        }
                        let draw = rng.draw();
                        let size = sizes::octaves(draw, 8 << 10, 3);
                        let block = Block::allocate::<A, CHECK>(size, ALIGN, draw, tally);
                        block.touch_pages(0);
                        block
                    }
                };
                match sink {
                    Some(sink) => wait_for(|| sink.push(block).then_some(())),
                    None => block.release::<A, CHECK>(tally),
                }
            }
        },
        |(_, _, tally)| free_rest::<A, CHECK>([], tally),
    );
    Ok(outcome(timing, results))
}

/// Tries until there is a result, and lets the other side run.
fn wait_for<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut tries = 0;
    loop {
        match attempt() {
            Some(result) => return result,
            None => relax(&mut tries),
        }
    }
}
