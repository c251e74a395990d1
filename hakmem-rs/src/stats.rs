//! The allocator's statistics, as Rust structures.

use core::fmt;
use core::mem::size_of;

use hakmem_sys as sys;

use crate::Tier;

/// A structure of figures that has a twin in C with the same names, and lists itself. Behind `..` are the fields of the twin that
/// are no figures; so one that C has got and this has not is an error.
macro_rules! figures {
    (
        $(#[$about:meta])*
        $struct:ident of $twin:path {
            $($(#[doc = $meaning:literal])+ $name:ident,)+
            $(.. $($other:ident),+)?
        }
        $($rest:ident: $kind:ty = $convert:expr,)?
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[non_exhaustive]
        pub struct $struct {
            $($(#[doc = $meaning])+ pub $name: u64,)+
            $(#[cfg_attr(feature = "serde", serde(serialize_with = "by_tier"))] $rest: $kind,)?
        }

        impl $struct {
            pub(crate) fn of(raw: &$twin) -> $struct {
                let &$twin { $($name,)+ $($($other: _,)+)? } = raw;
                $struct {
                    $($name: $name.into(),)+
                    $($rest: $convert(raw),)?
                }
            }

            /// The figures with their names, which are those of the fields and of C.
            ///
            /// ```
            /// for (name, value) in hakmem_rs::stats().figures() {
            ///     println!("{name}: {value}");
            /// }
            /// ```
            pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

pub(crate) use figures;

figures! {
    /// Counters of one tier. The fast paths count nothing (but with the feature `stats`), so every figure is made in slow
    /// paths.
    ///
    /// ```
    /// use hakmem_rs::{Tier, TierStats};
    ///
    /// let all = hakmem_rs::stats();
    /// let pool: &TierStats = all.tier(Tier::Pool);
    /// println!("{} blocks to threads in {} refills", pool.served, pool.refills);
    /// ```
    TierStats of sys::hak_tier_stats_t {
        /// Times a thread's cache ran empty and was filled, or a mapping was handed out.
        refills,
        /// Blocks handed to thread caches by those refills.
        served,
        /// Blocks that came back out of thread caches.
        returned,
        /// Requests this tier could not serve and passed to the next.
        fell_through,
        /// Requests that began at this tier and that no tier served.
        failed,
        /// Blocks handed to the program: of the mmap tier, or with the feature `stats`, else 0.
        allocated,
        /// Blocks that came back from it: the same.
        freed,
    }
}

figures! {
    /// Figures of the whole allocator, from [`stats`]. Printed with `{}`, they are one figure a line.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
    /// # let _block = vec![0u8; 5000];
    /// let stats: hakmem_rs::Stats = hakmem_rs::stats();
    /// assert!(stats.held_bytes >= stats.active_bytes + stats.mmap_bytes);
    /// assert!(stats.active_bytes > 0);
    /// ```
    Stats of sys::hak_stats_t {
        /// Address space of all segments.
        segment_bytes,
        /// The part of it that slabs and spans use.
        active_bytes,
        /// The part of it that is free and may still be resident.
        dirty_bytes,
        /// Live blocks of the mmap tier.
        mmap_bytes,
        /// Mappings of the mmap tier kept for reuse, as far as they may be resident.
        mmap_cached_bytes,
        /// Total returned to the system so far.
        purged_bytes,
        /// Thread heaps ever created.
        heaps,
        /// Of these, the ones without a thread at the moment.
        heaps_parked,
        /// Messages posted to other threads' heaps.
        remote_posts,
        /// Blocks of those messages that arrived.
        remote_blocks,
        /// Heaps of the program's own that there are: [`Heap`](crate::Heap).
        program_heaps,
        /// Bytes of their live blocks, rounded up to their classes.
        program_heap_bytes,
        /// The sum of the active, dirty, mmap and cached bytes: what the [limit](crate::limit) is for.
        held_bytes,
        /// The limit; 0: none.
        limit_bytes,
        /// Requests that failed because of it.
        limit_failed,
        .. size, tier
    }
    tiers: [TierStats; Tier::ALL.len()] = |raw: &sys::hak_stats_t| raw.tier.each_ref().map(TierStats::of),
}

figures! {
    /// What the calling thread holds and did, from [`thread_stats`].
    ///
    /// ```
    /// let mine: hakmem_rs::ThreadStats = hakmem_rs::thread_stats();
    /// println!("{} free bytes are this thread's", mine.bin_bytes + mine.magazine_bytes);
    /// ```
    ThreadStats of sys::hak_thread_stats_t {
        /// Free blocks to 8 KiB that wait for the thread's next requests.
        bin_blocks,
        /// Their bytes.
        bin_bytes,
        /// Free blocks above that, to 2 MiB.
        magazine_blocks,
        /// Their bytes.
        magazine_bytes,
        /// Blocks of other threads that it freed and has not sent home yet.
        ring_blocks,
        /// Their bytes.
        ring_bytes,
        /// Messages with blocks of its own, which others freed and it has not taken in yet.
        inbox_posts,
        .. size, allocated, freed
    }
    tiers: [ThreadTierStats; Tier::ALL.len()] = thread_tiers,
}

/// What the calling thread allocated and freed in one tier, by number of blocks: from tiny to ACE, with the feature `stats`;
/// else 0.
///
/// ```
/// use hakmem_rs::{ThreadTierStats, Tier};
///
/// let mine = hakmem_rs::thread_stats();
/// let ThreadTierStats { allocated, freed, .. } = *mine.tier(Tier::Tiny);
/// println!("{allocated} small blocks so far, {freed} freed");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ThreadTierStats {
    /// Blocks handed to it.
    pub allocated: u64,
    /// Blocks that it freed, its own and others'.
    pub freed: u64,
}

fn thread_tiers(raw: &sys::hak_thread_stats_t) -> [ThreadTierStats; Tier::ALL.len()] {
    Tier::ALL.map(|tier| ThreadTierStats {
        allocated: raw.allocated[tier as usize],
        freed: raw.freed[tier as usize],
    })
}

impl ThreadStats {
    /// What the thread did in one tier.
    ///
    /// ```
    /// # use hakmem_rs::Tier;
    /// let before = hakmem_rs::thread_stats().tier(Tier::Mid).allocated;
    /// # let work = || {};
    /// work();
    /// println!("{} blocks", hakmem_rs::thread_stats().tier(Tier::Mid).allocated - before);
    /// ```
    #[must_use]
    pub fn tier(&self, tier: Tier) -> &ThreadTierStats {
        &self.tiers[tier as usize]
    }
}

impl fmt::Display for ThreadStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, figure)) in self.figures().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{name}: {figure}")?;
        }
        for (tier, stats) in Tier::ALL.into_iter().zip(&self.tiers) {
            write!(
                f,
                "\n{tier}.allocated: {}\n{tier}.freed: {}",
                stats.allocated, stats.freed
            )?;
        }
        Ok(())
    }
}

/// What the calling thread holds for itself: free blocks in its caches, and blocks of others that are on their way home.
/// [`collect`](crate::collect) gives all of it back. It walks the thread's lists, which takes some microseconds.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
/// drop(vec![0u8; 100]);
/// let stats = hakmem_rs::thread_stats();
/// assert!(stats.bin_bytes >= 100);
/// println!("{stats}");
/// ```
#[must_use]
pub fn thread_stats() -> ThreadStats {
    let mut raw = sys::hak_thread_stats_t {
        size: size_of::<sys::hak_thread_stats_t>(),
        ..Default::default()
    };
    // SAFETY: `raw` is a valid structure whose size is set.
    let known = unsafe { sys::hak_thread_stats_get(&raw mut raw) };
    debug_assert_eq!(known, 1, "hak_thread_stats_get knows the structure of its own version");
    ThreadStats::of(&raw)
}

impl Stats {
    /// The counters of one tier.
    ///
    /// ```
    /// # use hakmem_rs::Tier;
    /// assert_eq!(hakmem_rs::stats().tier(Tier::Mmap).failed, 0);
    /// ```
    #[must_use]
    pub fn tier(&self, tier: Tier) -> &TierStats {
        &self.tiers[tier as usize]
    }

    /// The counters of every tier, in the order in which a request walks them.
    ///
    /// ```
    /// for (tier, counters) in hakmem_rs::stats().tiers() {
    ///     println!("{tier}: {} requests passed on", counters.fell_through);
    /// }
    /// ```
    pub fn tiers(&self) -> impl Iterator<Item = (Tier, &TierStats)> {
        Tier::ALL.into_iter().zip(&self.tiers)
    }
}

/// The counters under the names of their tiers.
#[cfg(feature = "serde")]
fn by_tier<T: serde::Serialize, S: serde::Serializer>(
    tiers: &[T; Tier::ALL.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Tier::ALL.into_iter().zip(tiers))
}

/// What happened so far. Figures of running threads are read while they change: each is exact, their sums may be a
/// moment apart.
///
/// ```
/// # use hakmem_rs::Tier;
/// let stats = hakmem_rs::stats();
/// println!("{} thread heaps, {} pool refills", stats.heaps, stats.tier(Tier::Pool).refills);
/// ```
#[must_use]
pub fn stats() -> Stats {
    let mut raw = sys::hak_stats_t {
        size: size_of::<sys::hak_stats_t>(),
        ..Default::default()
    };
    // SAFETY: `raw` is a valid structure whose size is set. An unknown size leaves it zero, but bindings and library
    // are built from the same source.
    let known = unsafe { sys::hak_stats_get(&raw mut raw) };
    debug_assert_eq!(known, 1, "hak_stats_get knows the structure of its own version");
    Stats::of(&raw)
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.figures() {
            writeln!(f, "{name:<18} {value:>14}")?;
        }
        write!(f, "tier")?;
        for (name, _) in TierStats::default().figures() {
            write!(f, " {name:>12}")?;
        }
        for (tier, stats) in self.tiers() {
            write!(f, "\n{tier:<4}")?;
            for (_, value) in stats.figures() {
                write!(f, " {value:>12}")?;
            }
        }
        Ok(())
    }
}
