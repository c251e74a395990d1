//! What this crate says of the allocator is what the C library says, whose printed reports come from the tables in C.

use std::alloc::{GlobalAlloc, Layout};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use hakmem_rs::{Hakmem, Options, Tier, TierStats};

/// What a function of the C library prints.
fn printed(name: &str, print: impl FnOnce(&File)) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", process::id()));
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    print(&file);
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    fs::remove_file(path).unwrap();
    text
}

#[test]
fn options_are_those_of_the_library() {
    let text = printed("options", |file| hakmem_rs::print_config(file));
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("HAKMEM_")).collect();
    let ours: Vec<_> = Options::all().map(|option| option.to_string()).collect();
    assert!(lines.len() >= 10, "{text}");
    assert_eq!(lines, ours);
    let variables: Vec<_> = Options::all().map(|option| option.variable).collect();
    let listed = Options::VARIABLES.iter().copied();
    let known: Vec<_> = listed
        .filter(|&variable| cfg!(feature = "secure") || variable != "HAKMEM_QUARANTINE_KIB")
        .collect();
    assert_eq!(
        variables, known,
        "src/options.rs lists the options of c_src/core/options.h in their order"
    );
    for option in Options::all() {
        assert!(option.range.contains(&option.value) && option.range.contains(&option.default));
    }
}

/// Prints the options as the test below expects them: this program again, with another environment.
#[test]
#[ignore = "run by options_follow_the_environment"]
fn print_options() {
    let options = hakmem_rs::options();
    println!("{options:?}");
}

fn options_with(variables: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "print_options", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("Options {"));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn options_follow_the_environment() {
    let set = options_with(&[
        ("HAKMEM_POOL", "0"),
        ("HAKMEM_DIRTY_KIB", "123"),
        ("HAKMEM_PURGE_DELAY_MS", "x"),
    ]);
    for expected in [
        "tiny: true",
        "pool: false",
        "dirty_kib: 123",
        "purge_delay_ms: 1000",
        "mmap_cache_kib: 65536",
    ] {
        assert!(set.contains(expected), "{set}");
    }
}

#[test]
fn figures_are_those_of_the_library() {
    let text = printed("stats", |file| hakmem_rs::print_stats(file));
    let names: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    let stats = hakmem_rs::stats();
    let mut ours: Vec<_> = stats.figures().map(|(name, _)| name.to_owned()).collect();
    for tier in Tier::ALL {
        ours.extend(TierStats::default().figures().map(|(name, _)| format!("{tier}.{name}")));
    }
    ours.extend(["ace.budget_bytes", "ace.grown_bytes"].map(str::to_owned));
    assert_eq!(names[..ours.len()], ours);
}

/// The caches of this thread, and with the feature `stats` every block that it has and had.
#[test]
fn a_thread_knows_what_it_holds_and_did() {
    let (before, all_before) = (hakmem_rs::thread_stats(), hakmem_rs::stats());
    let layout = Layout::new::<[u8; 3000]>();
    // SAFETY: the blocks are freed with their layout, which is not empty.
    unsafe {
        let blocks: Vec<_> = (0..10).map(|_| Hakmem.alloc(layout)).collect();
        let with_blocks = hakmem_rs::thread_stats();
        Hakmem.dealloc(blocks[0], layout);
        let one_less = hakmem_rs::thread_stats();
        if !cfg!(feature = "secure") {
            // there it waits, and is in no bin
            assert_eq!(one_less.bin_blocks, with_blocks.bin_blocks + 1);
            assert!(one_less.bin_bytes >= with_blocks.bin_bytes + 3000);
        }
        blocks[1..].iter().for_each(|&block| Hakmem.dealloc(block, layout));
    }
    let (after, all) = (hakmem_rs::thread_stats(), hakmem_rs::stats());
    let counted = if cfg!(feature = "stats") { 10 } else { 0 };
    assert!(after.tier(Tier::Mid).allocated >= before.tier(Tier::Mid).allocated + counted);
    assert!(after.tier(Tier::Mid).freed >= before.tier(Tier::Mid).freed + counted);
    assert!(all.tier(Tier::Mid).freed >= all_before.tier(Tier::Mid).freed + counted);
    if counted == 0 {
        assert_eq!(after.tier(Tier::Mid).allocated + all.tier(Tier::Tiny).allocated, 0);
    }
    assert_eq!(after.to_string().lines().count(), 7 + 2 * Tier::ALL.len());
}

/// Behind the figures above, the C library prints a line for each class that was used.
#[test]
fn snapshots_of_ace_are_those_of_the_library() {
    let blocks: Vec<_> = (0..50)
        // SAFETY: blocks that are never freed.
        .map(|_| unsafe { Hakmem.alloc(Layout::new::<[u8; 100_000]>()) })
        .collect();
    assert!(blocks.iter().all(|block| !block.is_null()));
    let text = printed("ace", |file| hakmem_rs::print_stats(file));
    let snapshot = hakmem_rs::ace();
    assert!(snapshot.classes().is_sorted_by_key(|class| class.block_bytes));
    let used: Vec<_> = snapshot
        .classes()
        .iter()
        .filter(|class| class.misses + class.overflows > 0)
        .collect();
    assert!(!used.is_empty());
    for class in used {
        let line = format!("\nace.{}: threads={}, capacity=", class.block_bytes, class.threads);
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[test]
fn config_is_that_of_the_library() {
    let text = printed("config", |file| hakmem_rs::print_config(file));
    let config = hakmem_rs::config();
    assert_eq!(config.version, hakmem_rs::version());
    assert!(config.flags.contains("-std=gnu11"), "{}", config.flags);
    // Each feature that is an option of the C build says that it is on, and no other.
    assert_eq!(config.replaces_malloc, cfg!(feature = "override"));
    assert_eq!(config.local_dynamic_tls, cfg!(feature = "local-dynamic-tls"));
    assert_eq!(config.background, cfg!(feature = "background"));
    assert_eq!(config.counts_hits, cfg!(feature = "stats"));
    assert_eq!(config.assertions, u32::from(cfg!(feature = "debug")));
    assert!(!config.valgrind);
    assert_eq!(config.secure, cfg!(feature = "secure"));
    assert_eq!(config.profile, cfg!(feature = "profile"));
    let background = Options::all()
        .find(|option| option.variable == "HAKMEM_BACKGROUND")
        .unwrap();
    assert_eq!(background.default, i64::from(cfg!(feature = "background")));
    // The same lines, but for what the C library says of each tier behind its limit.
    let ours = config.to_string();
    assert_eq!(ours.lines().count(), 5 + Tier::ALL.len());
    for (ours, theirs) in ours.lines().zip(text.lines()) {
        let theirs = theirs.replace("built in, ", "");
        assert!(
            theirs == ours || theirs.starts_with(&format!("{ours};")),
            "{ours} / {theirs}"
        );
    }
    for tier in Tier::ALL {
        assert!(config.tier_bytes(tier) >= 1016);
    }
}

#[cfg(feature = "serde")]
#[test]
fn all_of_it_can_be_serialised() {
    use serde_json::{json, to_value};

    let stats = to_value(hakmem_rs::stats()).unwrap();
    assert!(stats["heaps"].is_u64(), "{stats}");
    assert!(stats["tiers"]["ace"]["served"].is_u64(), "{stats}");
    assert!(to_value(hakmem_rs::thread_stats()).unwrap()["tiers"]["mid"]["freed"].is_u64());
    assert!(to_value(hakmem_rs::ace()).unwrap()["classes"][0]["block_bytes"].is_u64());
    let options = to_value(hakmem_rs::options()).unwrap();
    assert_eq!(options["pool"], json!(true), "{options}");
    let config = to_value(hakmem_rs::config()).unwrap();
    assert_eq!(
        config["version"]["major"],
        json!(hakmem_rs::version().major),
        "{config}"
    );
    let all: Vec<_> = Options::all().collect();
    assert_eq!(to_value(&all).unwrap()[0]["variable"], json!("HAKMEM_TINY"));
    assert_eq!(to_value(Tier::Ace).unwrap(), json!("ace"));
}
