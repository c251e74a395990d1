//! A barrier for threads that might panic: when one does, the others panic too instead of waiting for it for ever.

use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Default)]
struct State {
    waiting: usize,
    /// How often the gate has opened.
    opened: usize,
    broken: bool,
}

/// As `std::sync::Barrier`, but see above. Each thread holds a [`Guard`].
pub struct Gate {
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// Breaks the gate when the thread that holds it panics.
pub struct Guard<'a>(&'a Gate);

impl Gate {
    pub fn new(threads: usize) -> Self {
        Gate {
            threads,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn guard(&self) -> Guard<'_> {
        Guard(self)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard<'_> {
    /// Waits until all threads have come. Panics when one of them did.
    pub fn wait(&self) {
        let gate = self.0;
        let mut state = gate.lock();
        state.waiting += 1;
        if state.waiting == gate.threads {
            state.waiting = 0;
            state.opened += 1;
            gate.changed.notify_all();
        } else {
            let before = state.opened;
            while state.opened == before && !state.broken {
                state = gate.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let broken = state.broken;
        drop(state);
        assert!(!broken, "another thread panicked");
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn nobody_passes_before_all_have_come() {
        let gate = Gate::new(4);
        let came = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let guard = gate.guard();
                    for round in 1..=200 {
                        came.fetch_add(1, SeqCst);
                        guard.wait();
                        assert!(came.load(SeqCst) >= 4 * round);
                        guard.wait();
                    }
                });
            }
        });
        assert_eq!(came.load(SeqCst), 800);
    }

    #[test]
    fn a_panic_of_one_ends_the_others() {
        let gate = Gate::new(3);
        let ended = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..3)
                .map(|index| {
                    let gate = &gate;
                    scope.spawn(move || {
                        let guard = gate.guard();
                        assert!(index != 1, "as intended");
                        guard.wait();
                    })
                })
                .collect();
            handles.into_iter().filter_map(|handle| handle.join().err()).count()
        });
        assert_eq!(ended, 3);
    }
}
