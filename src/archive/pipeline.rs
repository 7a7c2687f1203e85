//! Processes blocks in parallel, in order at both ends, in bounded memory.
//!
//! One thread feeds, several work, and the calling thread drains in feeding order. Jobs are buffers that are reused:
//! there are never more than the ones given at the start. A thread ends when one of its channels is closed, and closes
//! its own when it ends for any reason. So a failure in any stage, or a request to stop, ends them all, and none waits
//! forever.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `feed` until it returns `false`, `work` on every job that it filled, and then `drain` on each, in order.
///
/// Starts one thread for each of `workers`, or as many as the system grants. With one worker, or without threads,
/// everything runs on the calling thread. Of several errors, the one of the earliest job is returned.
pub(super) fn ordered<J: Send, W: Send, E: Send>(
    mut jobs: Vec<J>,
    workers: &mut [W],
    mut feed: impl FnMut(&mut J) -> Result<bool, E> + Send,
    work: impl Fn(&mut W, &mut J) -> Result<(), E> + Sync,
    mut drain: impl FnMut(&mut J) -> Result<(), E>,
) -> Result<(), E> {
    if workers.len() > 1
        && let Some(result) = in_parallel(&mut jobs, workers, &mut feed, &work, &mut drain)
    {
        return result;
    }
    if let ([worker, ..], Some(job)) = (workers, jobs.first_mut()) {
        while feed(job)? {
            work(worker, job)?;
            drain(job)?;
        }
    }
    Ok(())
}

/// Runs it with threads; returns `None`, having done nothing, if no thread can be spawned.
fn in_parallel<J: Send, W: Send, E: Send>(
    jobs: &mut Vec<J>,
    workers: &mut [W],
    feed: &mut (impl FnMut(&mut J) -> Result<bool, E> + Send),
    work: &(impl Fn(&mut W, &mut J) -> Result<(), E> + Sync),
    drain: &mut impl FnMut(&mut J) -> Result<(), E>,
) -> Option<Result<(), E>> {
    let (free, empties) = channel();
    let (todo, queue) = channel::<(u64, J)>();
    let (finished, done) = channel();
    let queue = &Mutex::new(queue);
    thread::scope(|scope| {
        let mut working = 0;
        for worker in workers {
            let finished = finished.clone();
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((number, mut job)) = next() {
                    let alarm = Alarm(&finished);
                    let result = work(worker, &mut job).map(|()| job);
                    drop(alarm);
                    if finished.send(Some((number, result))).is_err() {
                        break;
                    }
                }
            });
            working += usize::from(spawned.is_ok());
        }
        if working == 0 {
            return None;
        }
        let feeding = thread::Builder::new().spawn_scoped(scope, move || {
            for number in 0.. {
                let Ok(mut job) = empties.recv() else { break };
                match feed(&mut job) {
                    Ok(true) if todo.send((number, job)).is_ok() => {}
                    Ok(_) => break,
                    Err(error) => {
                        finished.send(Some((number, Err(error)))).ok();
                        break;
                    }
                }
            }
        });
        // The feeder's ends of the channels were dropped with it, so the workers end.
        feeding.ok()?;
        // Moved into this block, so that the channels close before the scope waits for its threads.
        let (free, done) = (free, done);
        for job in jobs.drain(..) {
            free.send(job).ok();
        }
        Some(drained(&free, &done, drain))
    })
}

/// Drains finished jobs in feeding order, and returns them to the feeder.
fn drained<J, E>(
    free: &Sender<J>,
    done: &Receiver<Outcome<J, E>>,
    mut drain: impl FnMut(&mut J) -> Result<(), E>,
) -> Result<(), E> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    // A worker that panicked sends `None`; the scope propagates the panic.
    for (number, result) in done.iter().map_while(|outcome| outcome) {
        early.insert(number, result);
        while let Some(result) = early.remove(&next) {
            let mut job = result?;
            drain(&mut job)?;
            next += 1;
            free.send(job).ok();
        }
    }
    Ok(())
}

/// A finished job with its number; `None` from a thread that panicked.
type Outcome<J, E> = Option<(u64, Result<J, E>)>;

/// Notifies the draining thread of a panic, so that it does not wait for the lost job.
struct Alarm<'a, T>(&'a Sender<Option<T>>);

impl<T> Drop for Alarm<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(None).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const END: u32 = 200;

    /// Runs numbers through the pipeline; each stage fails at the given number.
    fn run(workers: usize, feed_fails: u32, work_fails: u32, drain_fails: u32) -> (Result<(), String>, Vec<u32>) {
        let next = AtomicU32::new(0);
        let mut seen = Vec::new();
        let result = ordered(
            vec![0; workers + 2],
            &mut vec![(); workers],
            |job| {
                *job = next.fetch_add(1, Ordering::Relaxed);
                if *job == feed_fails { Err(format!("feed {job}")) } else { Ok(*job < END) }
            },
            |(), job| {
                thread::yield_now();
                if *job == work_fails { Err(format!("work {job}")) } else { Ok(()) }
            },
            |job| {
                if *job == drain_fails {
                    return Err(format!("drain {job}"));
                }
                seen.push(*job);
                Ok(())
            },
        );
        (result, seen)
    }

    #[test]
    fn everything_comes_out_once_and_in_order() {
        for workers in [1, 2, 7] {
            let (result, seen) = run(workers, u32::MAX, u32::MAX, u32::MAX);
            assert_eq!((result, seen), (Ok(()), (0..END).collect()));
        }
    }

    #[test]
    fn a_failure_at_any_job_of_any_stage_ends_all_threads_and_is_returned() {
        for workers in [1, 3] {
            for at in (0..END).step_by(7) {
                assert_eq!(run(workers, at, u32::MAX, u32::MAX), (Err(format!("feed {at}")), (0..at).collect()));
                assert_eq!(run(workers, u32::MAX, at, u32::MAX), (Err(format!("work {at}")), (0..at).collect()));
                assert_eq!(run(workers, u32::MAX, u32::MAX, at), (Err(format!("drain {at}")), (0..at).collect()));
            }
        }
    }

    #[test]
    #[should_panic = "a scoped thread panicked"]
    fn a_panic_in_a_worker_is_propagated_and_no_thread_hangs() {
        let mut left = END;
        let _ = ordered(
            vec![0; 4],
            &mut [(), ()],
            |_| {
                left -= 1;
                Ok::<_, ()>(left > 0)
            },
            |(), _| panic!("on purpose"),
            |_| Ok(()),
        );
    }
}
