//! The process that measures one allocator on one case, once: `hakmem-bench worker <peer> <case as JSON>`.
//!
//! One process a run, so that peak memory, page faults and the state of the allocator are the run's own. The driver (see
//! `runner`) starts it and reads its result as one line of JSON.

use std::{alloc::Layout, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    peers::{self, Peer, Visitor},
    workloads::{self, latency::Latency, phases::Phase, Case, Tiers},
};

/// The hidden first argument that makes the program a worker.
pub const ARGUMENT: &str = "worker";

/// The result of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub seconds: f64,
    pub allocs: u64,
    pub frees: u64,
    pub reallocs: u64,
    /// Blocks freed after the clock had stopped.
    pub leftover: u64,
    /// Processor time of all threads in the timed part, the kernel's included.
    pub cpu_seconds: f64,
    pub minor_faults: u64,
    pub peak_rss_kib: u64,
    pub tiers: Tiers,
    pub version: String,
    pub phases: Vec<Phase>,
    pub latency: Option<Latency>,
}

impl Measurement {
    pub fn ops(&self) -> u64 {
        self.allocs + self.frees + self.reallocs
    }

    /// Millions of operations a second.
    pub fn mops(&self) -> f64 {
        self.ops() as f64 / self.seconds / 1e6
    }

    /// Nanoseconds of processor time that an operation took.
    pub fn cpu_ns_per_op(&self) -> f64 {
        1e9 * self.cpu_seconds / self.ops() as f64
    }
}

/// Runs `case` on the peer of that name in this process.
pub fn measure<const CHECK: bool>(peer: &str, case: &Case) -> Result<Measurement, String> {
    let info = peers::find(peer).ok_or_else(|| format!("no allocator is called {peer}"))?;
    // tcmalloc is the system's malloc of a process that it was loaded into; whether that worked, it tells itself.
    if (peer == "tcmalloc") != peers::tcmalloc::version().is_some() {
        return Err("the process does not run on the malloc it was to run on (LD_PRELOAD)".into());
    }
    let outcome = peers::with_peer(peer, Run::<CHECK>(case)).ok_or_else(|| format!("{peer} is not built in"))??;
    let tally = outcome.tally;
    if !tally.is_balanced() {
        return Err(format!("blocks were lost: {tally:?}"));
    }
    if tally.corrupt != 0 {
        return Err(format!("{} blocks were overwritten", tally.corrupt));
    }
    Ok(Measurement {
        seconds: outcome.timing.wall.as_secs_f64(),
        allocs: tally.allocs,
        frees: tally.frees,
        reallocs: tally.reallocs,
        leftover: tally.leftover,
        cpu_seconds: outcome.timing.cpu.as_secs_f64(),
        minor_faults: outcome.timing.minor_faults,
        peak_rss_kib: outcome.timing.peak_rss_kib,
        tiers: outcome.tiers,
        version: (info.version)(),
        phases: outcome.phases,
        latency: outcome.latency,
    })
}

/// What a process does first: its first thread allocates, before it starts others. An allocator may get ready in that.
fn first_block<A: Peer>() {
    A::thread_start();
    let layout = Layout::new::<[u8; 64]>();
    // SAFETY: the size is not 0, and what is freed is what was allocated, with its layout; freeing NULL is not.
    unsafe {
        let block = A::IT.alloc(layout);
        if !block.is_null() {
            A::IT.dealloc(block, layout);
        }
    }
}

struct Run<'a, const CHECK: bool>(&'a Case);

impl<const CHECK: bool> Visitor for Run<'_, CHECK> {
    type Out = Result<workloads::Outcome, String>;

    fn visit<A: Peer>(self) -> Self::Out {
        first_block::<A>();
        workloads::run::<A, CHECK>(self.0)
    }
}

/// The worker's `main`: `args` are those after [`ARGUMENT`].
pub fn main(args: &[String]) -> Result<(), String> {
    let [peer, case] = args else {
        return Err(format!(
            "{ARGUMENT} takes an allocator and a case; it is started by the driver"
        ));
    };
    let case = serde_json::from_str(case).map_err(|e| format!("not a case: {e}"))?;
    let measurement = measure::<false>(peer, &case)?;
    let line = serde_json::to_string(&measurement).map_err(|e| e.to_string())?;
    println!("{line}");
    Ok(())
}

/// Page faults of this process so far that needed no disk.
pub fn minor_faults() -> u64 {
    usage().ru_minflt as u64
}

/// Processor time of all threads of this process so far, in the program and in the kernel.
pub fn cpu_time() -> Duration {
    let usage = usage();
    let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The most memory this process has had in RAM so far. From /proc, since `ru_maxrss` survives exec: a worker's would begin
/// with the driver's.
pub fn peak_rss_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .as_deref()
        .and_then(parse_high_water)
        .unwrap_or_else(|| usage().ru_maxrss as u64)
}

/// The memory this process has in RAM now.
pub fn rss_kib() -> u64 {
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page / 1024
}

fn parse_high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn usage() -> libc::rusage {
    // SAFETY: getrusage fills in the structure; all zeros is a valid one.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(parse_high_water(status), Some(1234));
        assert_eq!(parse_high_water("Name:\tx\n"), None);
        assert!(peak_rss_kib() > 0 && rss_kib() > 0);
    }
}
