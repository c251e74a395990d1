//! The processor's own counter, for calls that take less than a system's clock call does.

use std::time::{Duration, Instant};

/// The counter before what is measured: nothing that comes later begins before it is read.
#[inline(always)]
pub fn begin() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has both instructions.
    unsafe {
        use std::arch::x86_64::{_mm_lfence, _rdtsc};
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a register that Linux lets programs read.
        unsafe { std::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
        ticks
    }
}

/// The counter after it: everything that came earlier has ended.
#[inline(always)]
pub fn end() -> u64 {
    begin()
}

/// Ticks of the counter in a nanosecond, measured against the system's clock for `time`.
pub fn ticks_per_ns(time: Duration) -> f64 {
    let (start, first) = (Instant::now(), begin());
    let elapsed = loop {
        let elapsed = start.elapsed();
        if elapsed >= time {
            break elapsed;
        }
    };
    (end() - first) as f64 / elapsed.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_forward_and_as_the_systems_clock_does() {
        let rate = ticks_per_ns(Duration::from_millis(20));
        let (start, first) = (Instant::now(), begin());
        std::thread::sleep(Duration::from_millis(30));
        let (ticks, elapsed) = (end() - first, start.elapsed());
        let ns = ticks as f64 / rate;
        // The thread may have been stopped between the two readings, on either side.
        assert!(
            ns > 25e6 && ns < 4.0 * elapsed.as_nanos() as f64,
            "{ns} ns, {elapsed:?}"
        );
        assert!(end() >= first);
    }
}
