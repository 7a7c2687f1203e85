//! Shares the processors between the parts of an operation, so that the longest part never waits for the others.
//!
//! The operating system divides its time between threads, whatever they do. With two processors, a check beside two
//! threads that compress would get less than one, and then run on alone while the other processor is idle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of processors. Threads that claim one never wait; threads that share the rest wait for a free one.
#[derive(Debug)]
pub struct Processors {
    /// Negative if more were claimed than there are.
    free: Mutex<isize>,
    freed: Condvar,
}

impl Processors {
    /// Nobody uses any of them yet.
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(isize::try_from(count).unwrap_or(isize::MAX)), freed: Condvar::new() }
    }

    /// Takes a processor until the result is dropped, whether one is free or not.
    pub fn claim(&self) -> Busy<'_> {
        *self.free() -= 1;
        Busy(self)
    }

    /// Waits for a free processor, and takes it until the result is dropped. A thread that holds it must not wait for a
    /// thread that shares.
    pub fn share(&self) -> Busy<'_> {
        let mut free = self.free();
        while *free < 1 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Busy(self)
    }

    fn free(&self) -> MutexGuard<'_, isize> {
        // A panic elsewhere cannot have left the number half changed.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A processor that is in use.
#[must_use = "the processor is free again once this is dropped"]
#[derive(Debug)]
pub struct Busy<'a>(&'a Processors);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn sharing_waits_for_all_claims_and_claiming_never_waits() {
        let processors = Processors::new(2);
        let claims = [processors.claim(), processors.claim(), processors.claim()];
        let released = AtomicBool::new(false);
        thread::scope(|scope| {
            let sharing = scope.spawn(|| {
                let _busy = processors.share();
                released.load(Ordering::SeqCst)
            });
            thread::yield_now();
            released.store(true, Ordering::SeqCst);
            drop(claims);
            assert!(sharing.join().unwrap(), "it did not wait");
        });
        let _all = [processors.share(), processors.share()];
    }
}
