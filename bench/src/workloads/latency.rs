//! How long single calls of malloc and free take, in a long run of mixed sizes.
//!
//! Two threads with working sets of 16 B to 1 MiB (each doubling equally likely) and now and then a block of 2 to 8 MiB;
//! one block in ten is freed by the next thread. Every page of a block is written once, outside of the timed calls, so a
//! page fault inside of them is the allocator's own. Each call is timed alone by the processor's counter ([`clock`]).
//!
//! Time that the thread did not run is told from the allocator's: the kernel's counters of the thread are read when a call
//! took long, and also before a call when long work of the workload itself lies behind, so that the difference belongs to the
//! call. What the kernel cannot tell (another guest of a virtual machine, a short interrupt) stays in.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    marker::PhantomData,
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    block::{Block, ALIGN},
    outcome, sizes, timed, working_set,
    working_set::{Crossing, WorkingSet},
    Case, HandOut, Outcome, Setting, Tally, Workload,
};
use crate::{clock, peers::Peer, ring::Ring, rng::Rng};

pub const WORKLOAD: Workload = Workload {
    name: "latency",
    what: "single calls in a run of 16 B to 1 MiB and a few of 2 to 8 MiB, a tenth freed by others",
    settings: SETTINGS,
    ..Workload::PLAIN
};

const SETTINGS: &[Setting] = &[("all", 2, 2_000_000, 500)];

/// One block in this many has 2 to 8 MiB.
const HUGE: u64 = 5000;

/// From this many nanoseconds on a call is looked at closely.
const LONG_NS: f64 = 50e3;
/// Work of this many nanoseconds between two calls may contain page faults.
const GAP_NS: f64 = 1e3;
/// What is reported of the longest calls of a run.
const SLOWEST: usize = 12;
const MILLISECOND_NS: f64 = 1e6;

/// Quantiles in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    pub calls: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
}

/// One of the longest calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    pub free: bool,
    pub ns: f64,
    pub bytes: usize,
    /// Page faults in it, switches to other threads that it asked for (locks) and that it did not ask for.
    pub faults: u64,
    pub waits: u64,
    pub preemptions: u64,
}

/// malloc or free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    pub all: Quantiles,
    /// Without those in which another thread had the processor.
    pub undisturbed: Quantiles,
    pub preempted: u64,
    /// Calls of more than a millisecond, preempted ones left out, by what they contain: page faults or a size that only
    /// the system can serve; neither.
    pub above_ms_system: u64,
    pub above_ms_own: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// What timing nothing gives; it is in every figure.
    pub timer: Quantiles,
    pub malloc: Calls,
    pub free: Calls,
    /// Longest first, preempted ones left out.
    pub slowest: Vec<Slow>,
}

/// The thread's counters of the kernel.
#[derive(Clone, Copy, Default)]
struct Counters {
    faults: u64,
    waits: u64,
    preemptions: u64,
}

impl Counters {
    fn now() -> Self {
        // SAFETY: getrusage fills in the structure; all zeros is a valid one.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
            usage
        };
        Counters {
            faults: usage.ru_minflt as u64,
            waits: usage.ru_nvcsw as u64,
            preemptions: usage.ru_nivcsw as u64,
        }
    }
}

fn histogram() -> Histogram<u64> {
    // In ticks, to some minutes of them.
    Histogram::new_with_bounds(1, 1 << 40, 3).expect("the bounds are in order")
}

/// What one kind of call took, in ticks.
struct Record {
    all: Histogram<u64>,
    preempted: Histogram<u64>,
    above_ms_system: u64,
    above_ms_own: u64,
}

impl Record {
    fn new() -> Self {
        Record {
            all: histogram(),
            preempted: histogram(),
            above_ms_system: 0,
            above_ms_own: 0,
        }
    }

    fn add(&mut self, other: &Record) {
        self.all.add(&other.all).expect("the bounds are the same");
        self.preempted.add(&other.preempted).expect("the bounds are the same");
        self.above_ms_system += other.above_ms_system;
        self.above_ms_own += other.above_ms_own;
    }

    fn calls(&self, rate: f64) -> Calls {
        let mut undisturbed = self.all.clone();
        undisturbed.subtract(&self.preempted).expect("it is a part");
        Calls {
            all: quantiles(&self.all, rate),
            undisturbed: quantiles(&undisturbed, rate),
            preempted: self.preempted.len(),
            above_ms_system: self.above_ms_system,
            above_ms_own: self.above_ms_own,
        }
    }
}

fn quantiles(histogram: &Histogram<u64>, rate: f64) -> Quantiles {
    let at = |q: f64| histogram.value_at_quantile(q) as f64 / rate;
    Quantiles {
        calls: histogram.len(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: histogram.max() as f64 / rate,
    }
}

/// What a thread recorded.
struct Recorder {
    rate: f64,
    long: u64,
    gap: u64,
    /// When the last call ended, and the counters then or later.
    last: u64,
    counters: Counters,
    timer: Histogram<u64>,
    malloc: Record,
    free: Record,
    slowest: Vec<Slow>,
}

impl Recorder {
    fn new(rate: f64) -> Self {
        Recorder {
            rate,
            long: (LONG_NS * rate) as u64,
            gap: (GAP_NS * rate) as u64,
            last: clock::begin(),
            counters: Counters::now(),
            timer: histogram(),
            malloc: Record::new(),
            free: Record::new(),
            slowest: Vec::with_capacity(SLOWEST + 1),
        }
    }

    #[inline(always)]
    fn before(&mut self) {
        let (first, second) = (clock::begin(), clock::end());
        self.timer.saturating_record(second - first);
        if second - self.last > self.gap {
            self.counters = Counters::now();
        }
    }

    #[inline(always)]
    fn after(&mut self, free: bool, bytes: usize, ticks: u64, now: u64) {
        self.last = now;
        let record = if free { &mut self.free } else { &mut self.malloc };
        record.all.saturating_record(ticks);
        if ticks >= self.long {
            self.look_closely(free, bytes, ticks);
        }
    }

    #[cold]
    fn look_closely(&mut self, free: bool, bytes: usize, ticks: u64) {
        let before = std::mem::replace(&mut self.counters, Counters::now());
        let slow = Slow {
            free,
            ns: ticks as f64 / self.rate,
            bytes,
            faults: self.counters.faults.wrapping_sub(before.faults),
            waits: self.counters.waits.wrapping_sub(before.waits),
            preemptions: self.counters.preemptions.wrapping_sub(before.preemptions),
        };
        let record = if free { &mut self.free } else { &mut self.malloc };
        if slow.preemptions > 0 {
            record.preempted.saturating_record(ticks);
            return;
        }
        if slow.ns > MILLISECOND_NS {
            let system = slow.faults > 0 || bytes > 2 << 20;
            record.above_ms_system += u64::from(system);
            record.above_ms_own += u64::from(!system);
        }
        keep(&mut self.slowest, slow);
    }
}

/// Keeps the longest, longest first.
fn keep(slowest: &mut Vec<Slow>, slow: Slow) {
    let place = slowest.partition_point(|other| other.ns >= slow.ns);
    slowest.insert(place, slow);
    slowest.truncate(SLOWEST);
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// An allocator of which each call of a thread with a recorder is timed.
struct Timed<A>(PhantomData<A>);

#[inline(always)]
fn time<T>(free: bool, bytes: usize, call: impl FnOnce() -> T) -> T {
    RECORDER.with_borrow_mut(|recorder| {
        let Some(recorder) = recorder else { return call() };
        recorder.before();
        let start = clock::begin();
        let result = call();
        let end = clock::end();
        recorder.after(free, bytes, end - start, end);
        result
    })
}

// SAFETY: passes everything on.
unsafe impl<A: Peer> GlobalAlloc for Timed<A> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        time(false, layout.size(), || A::IT.alloc(layout))
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        time(true, layout.size(), || A::IT.dealloc(block, layout));
    }
}

impl<A: Peer> Peer for Timed<A> {
    const IT: Self = Timed(PhantomData);

    fn thread_start() {
        A::thread_start();
    }

    fn thread_end() {
        A::thread_end();
    }

    fn tier_of(block: *const u8) -> Option<&'static str> {
        A::tier_of(block)
    }
}

pub fn run<A: Peer, const CHECK: bool>(case: &Case) -> Result<Outcome, String> {
    let make = |rng: &mut Rng, tally: &mut Tally| {
        let draw = rng.draw();
        let huge = (rng.draw() >> 32) * HUGE < 1 << 32;
        let size = if huge {
            sizes::octaves(draw, 2 << 20, 2)
        } else {
            sizes::octaves(draw, 16, 16)
        };
        let block = Block::allocate::<Timed<A>, CHECK>(size, ALIGN, draw, tally);
        block.touch_pages(0);
        block
    };
    let rate = clock::ticks_per_ns(Duration::from_millis(50));
    let mut queues = working_set::queues(case.threads);
    let ends = HandOut::new(Ring::circle(&mut queues));
    let (timing, results) = timed::<A, _, _>(
        case.threads,
        |index| {
            let part = Crossing::new(WorkingSet::new(case, index, make), ends.take(index));
            (part, Some(Recorder::new(rate)))
        },
        |(part, recorder)| {
            RECORDER.set(recorder.take());
            part.replace::<Timed<A>, CHECK>(case.ops, make);
            *recorder = RECORDER.take();
        },
        |(part, recorder)| (part.finish::<A, CHECK>(), recorder.expect("the work is done")),
    );
    let (results, recorders): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let mut outcome = outcome(timing, results);
    outcome.latency = Some(sum(recorders, rate));
    Ok(outcome)
}

fn sum(recorders: Vec<Recorder>, rate: f64) -> Latency {
    let (mut timer, mut malloc, mut free) = (histogram(), Record::new(), Record::new());
    let mut slowest = Vec::new();
    for recorder in recorders {
        timer.add(&recorder.timer).expect("the bounds are the same");
        malloc.add(&recorder.malloc);
        free.add(&recorder.free);
        for slow in recorder.slowest {
            keep(&mut slowest, slow);
        }
    }
    Latency {
        timer: quantiles(&timer, rate),
        malloc: malloc.calls(rate),
        free: free.calls(rate),
        slowest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(1.0)
    }

    #[test]
    fn quantiles_of_what_was_recorded() {
        let mut r = recorder();
        for ticks in 1..=10_000 {
            r.after(false, 16, ticks, 0);
        }
        r.after(true, 16, 40_000, 0);
        let latency = sum(vec![r, recorder()], 1.0);
        let q = &latency.malloc.all;
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.002;
        assert_eq!(q.calls, 10_000);
        assert!(near(q.p50, 5000.0) && near(q.p99, 9900.0) && near(q.p999, 9990.0) && near(q.max, 10_000.0));
        assert!(near(latency.free.all.max, 40_000.0));
        assert!(latency.slowest.is_empty());
    }

    #[test]
    fn a_call_that_was_preempted_is_set_apart_and_a_fault_is_the_systems() {
        let long = 2_000_000;
        let mut r = recorder();
        r.counters = Counters::now();
        r.counters.preemptions = r.counters.preemptions.wrapping_sub(1);
        r.look_closely(false, 16, long);
        r.malloc.all.record(long).unwrap();
        assert_eq!((r.malloc.preempted.len(), r.slowest.len()), (1, 0));
        let calls = r.malloc.calls(1.0);
        assert_eq!(
            (calls.all.calls, calls.undisturbed.calls, calls.undisturbed.max),
            (1, 0, 0.0)
        );

        r.counters = Counters::now();
        r.counters.faults = r.counters.faults.wrapping_sub(3);
        r.look_closely(true, 16, long);
        assert_eq!((r.free.above_ms_system, r.free.above_ms_own), (1, 0));
        assert!(r.slowest[0].free && r.slowest[0].faults >= 3, "{:?}", r.slowest);
    }

    #[test]
    fn the_longest_are_kept_in_order() {
        let mut slowest = Vec::new();
        for ns in [5, 1, 9, 3, 7, 2, 8, 4, 6, 0, 13, 11, 12, 10] {
            let slow = Slow {
                free: false,
                ns: f64::from(ns),
                bytes: 1,
                faults: 0,
                waits: 0,
                preemptions: 0,
            };
            keep(&mut slowest, slow);
        }
        let kept: Vec<f64> = slowest.iter().map(|slow| slow.ns).collect();
        assert_eq!(kept, (2..14).rev().map(f64::from).collect::<Vec<_>>());
    }
}
