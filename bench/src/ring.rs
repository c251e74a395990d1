//! A bounded lock-free queue from one thread to one other, for workloads that hand blocks over.
//!
//! `tail` counts what was pushed, `head` what was popped; both only grow. Each side keeps the other's counter as it last
//! saw it and looks again only when that says full or empty, so that the lines of the counters rarely travel.

use std::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{AtomicUsize, Ordering},
};

#[repr(align(128))]
struct Line<T>(T);

/// The queue. One thread at a time may own its [`Sender`], one its [`Receiver`].
pub struct Ring<T = u64> {
    cells: Box<[UnsafeCell<MaybeUninit<T>>]>,
    tail: Line<AtomicUsize>,
    head: Line<AtomicUsize>,
}

pub struct Sender<'a, T = u64> {
    ring: &'a Ring<T>,
    tail: usize,
    head_seen: usize,
}

pub struct Receiver<'a, T = u64> {
    ring: &'a Ring<T>,
    head: usize,
    tail_seen: usize,
}

// SAFETY: values go from one thread to one other, and a cell is never used by both at once: see `push` and `pop`.
unsafe impl<T: Copy + Send> Sync for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// A queue of at least `capacity` places (rounded up to a power of two).
    pub fn new(capacity: usize) -> Self {
        let places = capacity.max(1).next_power_of_two();
        Ring {
            cells: (0..places).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
            tail: Line(AtomicUsize::new(0)),
            head: Line(AtomicUsize::new(0)),
        }
    }

    /// The two ends. Taking the ring mutably once is what makes them the only ones.
    pub fn split(&mut self) -> (Sender<'_, T>, Receiver<'_, T>) {
        let ring = &*self;
        let head = ring.head.0.load(Ordering::Relaxed);
        let tail = ring.tail.0.load(Ordering::Relaxed);
        (
            Sender {
                ring,
                tail,
                head_seen: head,
            },
            Receiver {
                ring,
                head,
                tail_seen: tail,
            },
        )
    }
}

impl<T: Copy> Ring<T> {
    /// The ends for threads in a circle: each sends into its own ring and receives from the previous one's.
    pub fn circle(rings: &mut [Ring<T>]) -> Vec<(Sender<'_, T>, Receiver<'_, T>)> {
        let (senders, mut receivers): (Vec<_>, Vec<_>) = rings.iter_mut().map(Ring::split).unzip();
        receivers.rotate_right(1);
        senders.into_iter().zip(receivers).collect()
    }
}

impl<T: Copy> Sender<'_, T> {
    /// Appends all of `values`, of which there must not be more than places, in one step; waits until they fit.
    #[inline]
    pub fn push_all(&mut self, values: &[T]) {
        let places = self.ring.cells.len();
        debug_assert!(values.len() <= places);
        let mut tries = 0;
        while self.tail + values.len() - self.head_seen > places {
            // As in `push`.
            self.head_seen = self.ring.head.0.load(Ordering::Acquire);
            if self.tail + values.len() - self.head_seen > places {
                relax(&mut tries);
            }
        }
        for (i, &value) in values.iter().enumerate() {
            // SAFETY: as in `push`.
            unsafe { (*self.ring.cells[(self.tail + i) & (places - 1)].get()).write(value) };
        }
        self.tail += values.len();
        self.ring.tail.0.store(self.tail, Ordering::Release);
    }

    /// Appends `value`; false when the queue is full.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        let places = self.ring.cells.len();
        if self.tail - self.head_seen == places {
            // Pairs with the release in `pop`: the cell was read before we write it again.
            self.head_seen = self.ring.head.0.load(Ordering::Acquire);
            if self.tail - self.head_seen == places {
                return false;
            }
        }
        // SAFETY: the cell was popped, or never used, and we are the only ones who push.
        unsafe { (*self.ring.cells[self.tail & (places - 1)].get()).write(value) };
        self.tail += 1;
        // Pairs with the acquire in `pop`: whoever sees the count sees the cell, and the block it names as written.
        self.ring.tail.0.store(self.tail, Ordering::Release);
        true
    }
}

impl<T: Copy> Receiver<'_, T> {
    /// Hands the oldest `count` values, of which there must not be more than places, to `take`; waits until they are there.
    #[inline]
    pub fn pop_all(&mut self, count: usize, mut take: impl FnMut(T)) {
        let places = self.ring.cells.len();
        debug_assert!(count <= places);
        let mut tries = 0;
        while self.tail_seen - self.head < count {
            // As in `pop`.
            self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
            if self.tail_seen - self.head < count {
                relax(&mut tries);
            }
        }
        for i in 0..count {
            // SAFETY: as in `pop`.
            take(unsafe { (*self.ring.cells[(self.head + i) & (places - 1)].get()).assume_init_read() });
        }
        self.head += count;
        self.ring.head.0.store(self.head, Ordering::Release);
    }

    /// Takes the oldest value; None when the queue is empty.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
            if self.head == self.tail_seen {
                return None;
            }
        }
        let places = self.ring.cells.len();
        // SAFETY: the cell was pushed and not popped, and we are the only ones who pop.
        let value = unsafe { (*self.ring.cells[self.head & (places - 1)].get()).assume_init_read() };
        self.head += 1;
        self.ring.head.0.store(self.head, Ordering::Release);
        Some(value)
    }
}

/// Waits a little for the other side: spins first, then lets others run. Call with a counter that starts at 0.
#[inline]
pub fn relax(tries: &mut u32) {
    *tries += 1;
    if *tries < 64 {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_empty_are_reported() {
        let mut ring = Ring::new(4);
        let (mut tx, mut rx) = ring.split();
        assert_eq!(rx.pop(), None);
        assert!((1..=4).all(|v| tx.push(v)));
        assert!(!tx.push(5));
        assert_eq!(rx.pop(), Some(1));
        assert!(tx.push(5));
        assert_eq!(std::iter::from_fn(|| rx.pop()).collect::<Vec<_>>(), [2, 3, 4, 5]);
    }

    #[test]
    fn order_is_kept_across_threads() {
        let mut ring = Ring::new(8);
        let (mut tx, mut rx) = ring.split();
        std::thread::scope(|s| {
            s.spawn(move || {
                for v in 0..20_000 {
                    let mut tries = 0;
                    while !tx.push(v) {
                        relax(&mut tries);
                    }
                }
            });
            for v in 0..20_000 {
                let mut tries = 0;
                let got = loop {
                    match rx.pop() {
                        Some(got) => break got,
                        None => relax(&mut tries),
                    }
                };
                assert_eq!(got, v);
            }
        });
    }
    #[test]
    fn many_at_a_time_keep_their_order_too() {
        let mut rings = [Ring::new(8)];
        let (mut tx, mut rx) = Ring::circle(&mut rings).pop().unwrap();
        std::thread::scope(|s| {
            s.spawn(move || (0..3000).for_each(|v| tx.push_all(&[3 * v, 3 * v + 1, 3 * v + 2])));
            let mut expected = 0..9000;
            (0..1800).for_each(|_| rx.pop_all(5, |value| assert_eq!(Some(value), expected.next())));
        });
    }
}
