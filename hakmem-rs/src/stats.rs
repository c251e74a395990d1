//! The allocator's statistics, as Rust structures.

use core::fmt;
use core::mem::size_of;

use hakmem_sys as sys;

use crate::Tier;

/// Counters of one tier. The fast paths count nothing, so every figure is made in slow paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Times a thread's cache ran empty and was filled, or a mapping was handed out.
    pub refills: u64,
    /// Blocks handed to thread caches by those refills.
    pub served: u64,
    /// Blocks that came back out of thread caches.
    pub returned: u64,
    /// Requests this tier could not serve and passed to the next.
    pub fell_through: u64,
    /// Requests it could not serve and that no other tier served.
    pub failed: u64,
}

/// Figures of the whole allocator, from [`stats`]. Printed with `{}`, they are one figure a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Address space of all segments.
    pub segment_bytes: u64,
    /// The part of it that slabs and spans use.
    pub active_bytes: u64,
    /// The part of it that is free and may still be resident.
    pub dirty_bytes: u64,
    /// Live blocks of the mmap tier.
    pub mmap_bytes: u64,
    /// Mappings of the mmap tier kept for reuse.
    pub mmap_cached_bytes: u64,
    /// Total returned to the system so far.
    pub purged_bytes: u64,
    /// Thread heaps ever created.
    pub heaps: u64,
    /// Of these, the ones without a thread at the moment.
    pub heaps_parked: u64,
    /// Messages posted to other threads' heaps.
    pub remote_posts: u64,
    /// Blocks of those messages that arrived.
    pub remote_blocks: u64,
    tiers: [TierStats; Tier::ALL.len()],
}

impl Stats {
    /// The counters of one tier.
    pub fn tier(&self, tier: Tier) -> &TierStats {
        &self.tiers[tier as usize]
    }

    /// The counters of every tier, in the order in which a request walks them.
    pub fn tiers(&self) -> impl Iterator<Item = (Tier, &TierStats)> {
        Tier::ALL.into_iter().zip(&self.tiers)
    }
}

/// What happened so far. Figures of running threads are read while they change: each is exact, their sums may be a
/// moment apart.
///
/// ```
/// # use hakmem_rs::Tier;
/// let stats = hakmem_rs::stats();
/// println!("{} thread heaps, {} pool refills", stats.heaps, stats.tier(Tier::Pool).refills);
/// ```
pub fn stats() -> Stats {
    let mut raw = sys::hak_stats_t {
        size: size_of::<sys::hak_stats_t>(),
        ..Default::default()
    };
    // SAFETY: `raw` is a valid structure whose size is set. An unknown size leaves it zero, but bindings and library
    // are built from the same source.
    let known = unsafe { sys::hak_stats_get(&mut raw) };
    debug_assert_eq!(known, 1, "hak_stats_get knows the structure of its own version");
    Stats {
        segment_bytes: raw.segment_bytes,
        active_bytes: raw.active_bytes,
        dirty_bytes: raw.dirty_bytes,
        mmap_bytes: raw.mmap_bytes,
        mmap_cached_bytes: raw.mmap_cached_bytes,
        purged_bytes: raw.purged_bytes,
        heaps: raw.heaps,
        heaps_parked: raw.heaps_parked,
        remote_posts: raw.remote_posts,
        remote_blocks: raw.remote_blocks,
        tiers: raw.tier.map(|tier| TierStats {
            refills: tier.refills,
            served: tier.served,
            returned: tier.returned,
            fell_through: tier.fell_through,
            failed: tier.failed,
        }),
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [
            ("segment_bytes", self.segment_bytes),
            ("active_bytes", self.active_bytes),
            ("dirty_bytes", self.dirty_bytes),
            ("mmap_bytes", self.mmap_bytes),
            ("mmap_cached_bytes", self.mmap_cached_bytes),
            ("purged_bytes", self.purged_bytes),
            ("heaps", self.heaps),
            ("heaps_parked", self.heaps_parked),
            ("remote_posts", self.remote_posts),
            ("remote_blocks", self.remote_blocks),
        ];
        for (name, value) in figures {
            writeln!(f, "{name:<18} {value:>14}")?;
        }
        write!(
            f,
            "tier      refills       served     returned fell_through       failed"
        )?;
        for (
            tier,
            TierStats {
                refills,
                served,
                returned,
                fell_through,
                failed,
            },
        ) in self.tiers()
        {
            write!(
                f,
                "\n{tier:<4} {refills:>12} {served:>12} {returned:>12} {fell_through:>12} {failed:>12}"
            )?;
        }
        Ok(())
    }
}
