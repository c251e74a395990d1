//! What `--help` says besides the arguments: workloads, variants, examples.

use crate::workloads::Workload;

pub const AFTER_HELP: &str = "\
Variants of midlarge (blocks of 8 to 32 KiB):
  own     each thread allocates and frees in slots of its own
  shared  all threads swap blocks through the same slots
  pipe    half of the threads allocate, the others free

Examples (with cargo: `cargo run --release -- --quick`, and so on):
  hakmem-bench                                      midlarge, everything
  hakmem-bench --quick                              a rough look
  hakmem-bench --only hakmem,system --variant shared --threads 8
  hakmem-bench --variant own --threads 2 --ops 40000 --slots 2048 --seed 42
  hakmem-bench small                                small blocks: see `hakmem-bench small --help`";

pub const SMALL_EXAMPLES: &str = "Examples:
  hakmem-bench small                                the whole suite
  hakmem-bench small --quick                        a rough look, below 40 seconds
  hakmem-bench small --workload larson,prodcons --only hakmem,mimalloc
  hakmem-bench small --workload larson --threads 16 --rounds 9";

pub const CLASSIC_EXAMPLES: &str = "Examples:
  hakmem-bench classic                              the whole suite
  hakmem-bench classic --workload sh8bench,xmalloc --threads 16";

pub const LARGE_EXAMPLES: &str = "Examples:
  hakmem-bench large                                the whole suite; needs about 2 GiB of memory
  hakmem-bench large --workload vector --slots 256  a vector that grows to 256 MiB";

pub const RUST_EXAMPLES: &str =
    "An operation is an entry, a record or a pattern: see each workload. The programs are built by
`cargo build --release -p hakmem-bench --bins`, with `--features all-peers` those of all allocators.

Examples:
  hakmem-bench rust                                 the whole suite
  hakmem-bench rust --workload json --only hakmem,mimalloc --rounds 9";

pub const LATENCY_HELP: &str = "\
Two threads replace random blocks of 16 B to 1 MiB, and a few of 2 to 8 MiB; one in ten is freed by the other thread. Every
call is timed alone. A call above 50 us is looked at closely: whether the thread was preempted in it, waited or took page
faults. All figures are shown for all calls, those of the tail also without preempted ones.

Examples:
  hakmem-bench latency                              all allocators
  hakmem-bench latency --only hakmem,mimalloc --ops 20000000 --rounds 3";

pub const ACE_EXAMPLES: &str = "Examples:
  hakmem-bench ace                                  learned against HAKMEM_ACE_SHIFT=-3..3 without learning
  hakmem-bench ace --workload phased --rounds 9
  hakmem-bench ace --peers --only hakmem,mimalloc   allocators on the same workloads";

pub const SCALE_HELP: &str = "\
Workloads:
  own, shared, pipe  those of midlarge
  larson             that of `small`
  prodcons           that of `small`, symmetric, 64 B

Settings with more threads than cores are marked as oversubscribed. All settings of a workload do the same number of
operations, shared among the threads. An odd number of threads is passed over by pipe, and by prodcons except for 1.

Examples:
  hakmem-bench scale                                everything
  hakmem-bench scale --threads 1,2,4,8,16 --workload own,shared,pipe --only hakmem,system,mimalloc,mimalloc2
  hakmem-bench scale --threads 1,2 --workload own --only hakmem,mimalloc";

/// What `--help` says behind the arguments of a suite: its workloads, and examples.
pub fn suite_help(suite: &[Workload], examples: &str) -> String {
    let mut out = String::from("Workloads:\n");
    for workload in suite {
        out += &format!("  {:<13} {}\n", workload.name, workload.what);
    }
    out += "\nSpeed is compared by medians; a difference below the noise (hakmem against itself) means nothing. Every run goes \
            to a CSV, the summary to another.\n\n";
    out + examples
}
