//! hakmem as the allocator of a whole program: the standard library's containers, and blocks that change threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread;

use hakmem_rs::{Hakmem, Tier};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

#[test]
fn containers_live_in_hakmem() {
    let boxed = Box::new([1u64; 8]);
    let text = String::from("a string on the heap");
    let vector: Vec<u32> = (0..1000).collect();
    let map: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    assert!(Hakmem::tier_of(&*boxed).is_some());
    assert!(Hakmem::tier_of(text.as_ptr()).is_some());
    assert!(Hakmem::tier_of(vector.as_ptr()).is_some());
    assert_eq!(map.values().sum::<u32>(), 4950);
    // SAFETY: the vector's buffer is a live block.
    assert!(unsafe { Hakmem::usable_size(vector.as_ptr().cast()) } >= 4000);
}

#[test]
fn what_is_no_block_has_no_tier() {
    let on_stack = 0u64;
    assert_eq!(Hakmem::tier_of(&on_stack), None);
    assert_eq!(Hakmem::tier_of(&ALLOCATOR), None);
    assert_eq!(Hakmem::tier_of(std::ptr::null::<u8>()), None);
}

#[test]
fn size_decides_the_tier() {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let limits = [
        (1, Tier::Tiny),
        (KIB, Tier::Tiny),
        (KIB + 1, Tier::Mid),
        (8 * KIB, Tier::Mid),
        (8 * KIB + 1, Tier::Pool),
        (52 * KIB, Tier::Pool),
        (52 * KIB + 1, Tier::Ace),
        (2 * MIB, Tier::Ace),
        (2 * MIB + 1, Tier::Mmap),
        (64 * MIB, Tier::Mmap),
    ];
    let trailer = if cfg!(feature = "secure") { 8 } else { 0 };
    for (size, tier) in limits {
        let size = size.saturating_sub(trailer).max(1);
        let block: Vec<u8> = Vec::with_capacity(size);
        assert_eq!(Hakmem::tier_of(block.as_ptr()), Some(tier), "{size} bytes");
    }
}

#[test]
fn a_vector_grows_through_all_tiers() {
    let mut vector = Vec::new();
    for n in 0..1_000_000u64 {
        vector.push(n * 7);
    }
    assert!(vector
        .iter()
        .enumerate()
        .all(|(index, &value)| value == index as u64 * 7));
    vector.truncate(10);
    vector.shrink_to_fit();
    assert_eq!(vector, (0..10).map(|n| n * 7).collect::<Vec<u64>>());
}

#[test]
fn strings_and_maps_keep_their_content() {
    let mut map = BTreeMap::new();
    for n in 0..20_000u32 {
        map.insert(format!("key number {n:05}"), "x".repeat(n as usize % 300));
    }
    for n in (0..20_000).step_by(2) {
        map.remove(&format!("key number {n:05}"));
    }
    assert_eq!(map.len(), 10_000);
    for (key, value) in &map {
        let n: usize = key["key number ".len()..].parse().unwrap();
        assert_eq!(value.len(), n % 300);
        assert!(value.bytes().all(|byte| byte == b'x'));
    }
}

/// Every block is allocated by one thread, written by it, then checked and freed by another; sizes from all tiers.
#[test]
fn boxes_travel_between_threads() {
    const SENDERS: u8 = 4;
    const BOXES: usize = 2000;
    let sizes = [16, 100, 1000, 3000, 8000, 12_000, 40_000, 60_000, 300_000, 3_000_000];
    let (sender, receiver) = mpsc::sync_channel::<(u8, Box<[u8]>)>(64);
    let senders: Vec<_> = (1..=SENDERS)
        .map(|id| {
            let sender = sender.clone();
            thread::spawn(move || {
                for n in 0..BOXES {
                    // The large sizes come seldom: one box in a hundred.
                    let size = sizes[if n % 100 == 0 { n / 100 % sizes.len() } else { n % 7 }];
                    sender.send((id, vec![id; size].into_boxed_slice())).unwrap();
                }
            })
        })
        .collect();
    drop(sender);

    let mut received = [0; SENDERS as usize];
    for (id, block) in receiver {
        assert!(block.iter().all(|&byte| byte == id));
        received[usize::from(id) - 1] += 1;
    }
    assert_eq!(received, [BOXES; SENDERS as usize]);
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn blocks_outlive_their_thread() {
    let blocks: Vec<Vec<String>> = (0..20)
        .map(|id| {
            thread::spawn(move || (0..500).map(|n| format!("{id} {n}")).collect())
                .join()
                .unwrap()
        })
        .collect();
    for (id, strings) in blocks.iter().enumerate() {
        for (n, string) in strings.iter().enumerate() {
            assert_eq!(*string, format!("{id} {n}"));
        }
    }
}

#[test]
fn collecting_keeps_live_blocks() {
    let live: Vec<Box<[u8]>> = (0..200usize)
        .map(|n| vec![n as u8; n * 500].into_boxed_slice())
        .collect();
    drop(vec![1u8; 16 << 20]);
    hakmem_rs::collect(false);
    hakmem_rs::collect(true);
    for (n, block) in live.iter().enumerate() {
        assert!(block.len() == n * 500 && block.iter().all(|&byte| byte == n as u8));
    }
}

#[test]
fn statistics_know_this_program() {
    let blocks: Vec<Vec<u8>> = (0..100).map(|_| Vec::with_capacity(20_000)).collect();
    let stats = hakmem_rs::stats();
    assert!(stats.heaps >= 1);
    assert!(stats.active_bytes >= 100 * 20_000 && stats.segment_bytes > 0);
    assert!(stats.tier(Tier::Pool).served >= 100);
    assert_eq!(stats.tiers().count(), Tier::ALL.len());
    drop(blocks);
    let text = stats.to_string();
    for name in ["segment_bytes", "remote_blocks", "tiny", "mid", "pool", "ace", "mmap"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn names_of_tiers_are_those_of_the_library() {
    for tier in Tier::ALL {
        // SAFETY: hak_tier_name returns a static string for every number.
        let name = unsafe { std::ffi::CStr::from_ptr(hakmem_sys::hak_tier_name(tier.into())) };
        assert_eq!(name.to_str(), Ok(tier.name()));
    }
}
