//! Network buffers of 8 to 64 KiB: one thread allocates, two pass them on, a fourth frees; steadily or in bursts.
//!
//! The stages of a server (receive, decode, handle, send), as in Welsh, Culler and Brewer, "SEDA: An Architecture for
//! Well-Conditioned, Scalable Internet Services", SOSP 2001. In bursts, the first thread sleeps after each of them, so an
//! allocator may find time to return memory, and the wall time contains that sleep: compare the processor time too. What a server
//! still holds when its load is gone is the third variant: a burst that fills the queues, two seconds with a request now and
//! then, and a request to the allocator to return what it has; memory is noted after each.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    block::{free_rest, Block, ALIGN},
    measured, no_variant,
    phases::Phase,
    sizes, Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{
    peers::Peer,
    ring::{relax, Receiver, Ring, Sender},
    rng::Rng,
    worker,
};

pub const WORKLOAD: Workload = Workload {
    name: "buffers",
    what: "network buffers of 8 to 64 KiB that pass through four threads",
    variants: &[
        ("steady", "as fast as they are taken"),
        ("bursts", "bursts as long as a queue, then 2 ms of idleness"),
        (
            "idle",
            "a burst that is held as a whole, then 2 s with a buffer every 10 ms",
        ),
    ],
    settings: SETTINGS,
    check,
    ..Workload::PLAIN
};

/// The slots are the buffers that each of the three queues holds; operations are allocations, and as many releases.
const SETTINGS: &[Setting] = &[
    ("steady", 4, 100_000, 256),
    ("bursts", 4, 20_000, 256),
    ("idle", 4, 4096, 2048),
];

const STAGES: usize = 4;
const IDLE: Duration = Duration::from_millis(2);

/// After the burst of `idle`: one buffer each PAUSE, QUIET of them.
const PAUSE: Duration = Duration::from_millis(10);
const QUIET: u64 = 200;

fn check(case: &Case) -> Result<(), String> {
    if case.threads % STAGES == 0 {
        return Ok(());
    }
    Err(format!(
        "--threads {}: buffers needs a multiple of {STAGES}",
        case.threads
    ))
}

/// What a thread takes from and what it passes to.
type Stage<'a> = (Option<Receiver<'a, Block>>, Option<Sender<'a, Block>>);

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let (bursts, idle) = match case.variant.as_str() {
        "steady" => (false, false),
        "bursts" => (true, false),
        "idle" => (false, true),
        _ => return Err(no_variant(case)),
    };
    // Operations of a short run are all of them the burst.
    let quiet = if idle { QUIET.min(case.ops / 8) } else { 0 };
    let phases = Mutex::new(Vec::<Phase>::new());
    let note = |name: &str, ops: u64, start: Instant| {
        phases.lock().expect("no thread panics").push(Phase {
            name: name.into(),
            ops,
            seconds: start.elapsed().as_secs_f64(),
            rss_kib: worker::rss_kib(),
        });
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
    let mut outcome = measured::<A, _>(
        case,
        |index| {
            let part = (stages.take(index), Rng::new(case.seed, index as u64), Tally::default());
            (index, part)
        },
        |(index, ((source, sink), rng, tally))| {
            let (start, last) = (Instant::now(), *index == STAGES - 1);
            for number in 0..case.ops {
                let is_quiet = number >= case.ops - quiet;
                if idle && last && number == 0 {
                    // The others fill their queues meanwhile.
                    std::thread::sleep(Duration::from_millis(100));
                }
                if idle && last && number == case.ops - quiet {
                    note("burst", 2 * number, start);
                }
                let block = match source {
                    Some(source) => wait_for(idle, || source.pop()),
                    None => {
                        if bursts && number % case.slots.max(1) as u64 == 0 {
                            std::thread::sleep(IDLE);
                        }
                        if is_quiet {
                            std::thread::sleep(PAUSE);
                        }
                        let draw = rng.draw();
                        let size = sizes::octaves(draw, 8 << 10, 3);
                        let block = Block::allocate::<A, CHECK>(size, ALIGN, draw, tally);
                        block.touch_pages(0);
                        block
                    }
                };
                match sink {
                    Some(sink) => wait_for(idle, || sink.push(block).then_some(())),
                    None => block.release::<A, CHECK>(tally),
                }
            }
            if idle && last {
                note("2 s idle", 2 * quiet, start);
                A::collect();
                note("collect", 0, start);
            }
        },
        |(_, (_, _, tally))| free_rest::<A, CHECK>([], tally),
    );
    outcome.phases = phases.into_inner().expect("no thread panics");
    Ok(outcome)
}

/// Tries until there is a result, and lets the other side run; with `rests`, sleeps when that takes long.
fn wait_for<T>(rests: bool, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut tries = 0;
    loop {
        match attempt() {
            Some(result) => return result,
            None if rests && tries > 1000 => std::thread::sleep(Duration::from_millis(1)),
            None => relax(&mut tries),
        }
    }
}
