//! Programs that do what Rust programs do, each with one of the allocators as its `#[global_allocator]`: what the standard
//! collections, `Arc` and other people's crates take, which know no other allocator than that.
//!
//! `hakmem-bench rust` starts them in the place of its workers (see [`crate::worker`]): `hakmem-bench-rust-PEER PEER CASE`,
//! with the case as JSON. An allocator is chosen by the linker, so each of them is a program of its own; all do the same work, by
//! [`crate::workloads::rust`]. In these programs the harness allocates from the allocator under test, too, outside of the
//! timed parts.

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    peers::{self, Peer},
    runner::{self, Contestant, Field},
    worker::Measurement,
    workloads::{self, Case},
};

/// Makes a program of a peer's name, its type and the function that tells its version: its allocator and its `main`.
#[macro_export]
macro_rules! program {
    ($name:literal, $type:ty, $version:expr) => {
        #[global_allocator]
        static ALLOCATOR: $type = <$type as $crate::peers::Peer>::IT;

        fn main() -> std::process::ExitCode {
            $crate::programs::main::<$type>($name, $version)
        }
    };
}

const PREFIX: &str = "hakmem-bench-rust-";

/// The program of a peer, which cargo puts beside this one. tcmalloc's is the system's, with tcmalloc in LD_PRELOAD.
pub fn path(peer: &str) -> Result<PathBuf, String> {
    let peer = if peer == "tcmalloc" { "system" } else { peer };
    let here = env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let file = format!("{PREFIX}{peer}{}", env::consts::EXE_SUFFIX);
    Ok(here.parent().unwrap_or(Path::new(".")).join(file))
}

/// As [`runner::field`], without those that have no program.
pub fn field(only: &[String]) -> Field {
    let mut field = runner::field(only);
    let why = |contestant: &Contestant| match contestant.peer {
        "rpmalloc" => Some("has no complete global allocator for Rust".to_owned()),
        peer => match path(peer) {
            Ok(path) if path.is_file() => None,
            Ok(path) => Some(format!(
                "no {}; cargo build --release -p hakmem-bench --bins --features all-peers",
                path.display()
            )),
            Err(why) => Some(why),
        },
    };
    for contestant in &field.contestants {
        if let Some(why) = why(contestant).filter(|_| !contestant.again) {
            field.absent.push((contestant.peer, why));
        }
    }
    field.contestants.retain(|contestant| why(contestant).is_none());
    field
}

/// Runs a case on the allocator of this process, whose type is `A`.
fn measure<A: Peer>(name: &str, version: fn() -> String, peer: &str, case: &str) -> Result<String, String> {
    if peer != name && (peer, name) != ("tcmalloc", "system") {
        return Err(format!("this is the program of {name}"));
    }
    let case: Case = serde_json::from_str(case).map_err(|e| format!("not a case: {e}"))?;
    let tcmalloc = peers::tcmalloc::version();
    if (peer == "tcmalloc") != tcmalloc.is_some() {
        return Err("the process does not run on the malloc it was to run on (LD_PRELOAD)".into());
    }
    if A::tier_of((&raw const *Box::new(0u64)).cast()) == Some("none") {
        return Err("the process does not run on its global allocator".into());
    }
    let outcome = workloads::rust::run(&case)?;
    let measurement = Measurement {
        seconds: outcome.timing.wall.as_secs_f64(),
        allocs: outcome.tally.allocs,
        cpu_seconds: outcome.timing.cpu.as_secs_f64(),
        minor_faults: outcome.timing.minor_faults,
        peak_rss_kib: outcome.timing.peak_rss_kib,
        version: tcmalloc.unwrap_or_else(version),
        ..Measurement::default()
    };
    serde_json::to_string(&measurement).map_err(|e| e.to_string())
}

/// The `main` of the programs. `version` is the allocator's; the table of peers would link all of them.
pub fn main<A: Peer>(name: &str, version: fn() -> String) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match &args[..] {
        [peer, case] => measure::<A>(name, version, peer, case),
        _ => Err("takes an allocator and a case; `hakmem-bench rust` starts it".into()),
    };
    match result {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{PREFIX}{name}: {why}");
            ExitCode::FAILURE
        }
    }
}
