//! Reads a remote source in blocks, so that many small reads become a few large ones, and reads ahead during sequential
//! access.
//!
//! A local file does not need this: the kernel does the same, and better.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::store::ReadAt;

/// How many blocks are read ahead.
const AHEAD: u64 = 4;
/// How many blocks are kept: as many as the decompressing threads can lag behind the walking thread.
const KEPT: usize = 24;

/// A source that is read in blocks.
pub(crate) struct ReadAhead(Arc<Blocks>);

struct Blocks {
    source: Arc<dyn ReadAt>,
    block_bytes: u64,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    blocks: HashMap<u64, Block>,
    /// Counts accesses; the block with the lowest number is the least recently used.
    clock: u64,
}

enum Block {
    /// Being fetched by some thread.
    Coming,
    There {
        bytes: Arc<Vec<u8>>,
        used: u64,
    },
}

impl ReadAhead {
    /// Wraps a source for which small reads are expensive; returns any other unchanged.
    pub(crate) fn over(source: Arc<dyn ReadAt>) -> Arc<dyn ReadAt> {
        match source.block_bytes() {
            Some(block_bytes) => {
                let block_bytes = block_bytes.get() as u64;
                Arc::new(Self(Arc::new(Blocks {
                    source,
                    block_bytes,
                    state: Mutex::default(),
                    arrived: Condvar::new(),
                })))
            }
            None => source,
        }
    }
}

impl ReadAt for ReadAhead {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let blocks = &self.0;
        if buffer.is_empty() || offset >= blocks.source.bytes() {
            return Ok(0);
        }
        let number = offset / blocks.block_bytes;
        let (block, follows) = blocks.get(number)?;
        if follows {
            Blocks::fetch_ahead(blocks, number);
        }
        let rest = block.get((offset % blocks.block_bytes) as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.0.source.bytes()
    }
}

impl Blocks {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot have left the map half changed: each change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a block, fetching it unless another thread is doing so, and whether the block before it is cached, which
    /// means that access is sequential.
    fn get(&self, number: u64) -> io::Result<(Arc<Vec<u8>>, bool)> {
        let mut state = self.state();
        loop {
            state.clock += 1;
            let clock = state.clock;
            let follows = number.checked_sub(1).is_some_and(|before| state.blocks.contains_key(&before));
            match state.blocks.get_mut(&number) {
                Some(Block::There { bytes, used }) => {
                    *used = clock;
                    return Ok((bytes.clone(), follows));
                }
                Some(Block::Coming) => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                None => {
                    state.blocks.insert(number, Block::Coming);
                    drop(state);
                    return self.fetch(number).map(|bytes| (bytes, follows));
                }
            }
        }
    }

    /// Fetches a block that is marked as being fetched. If that fails, the mark is removed.
    fn fetch(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        let announced = Announced { blocks: self, number };
        let start = number * self.block_bytes;
        let mut bytes = vec![0; self.block_bytes.min(self.source.bytes() - start) as usize];
        self.source.read_exact_at(&mut bytes, start)?;
        let bytes = Arc::new(bytes);
        let mut state = self.state();
        let used = state.clock;
        state.blocks.insert(number, Block::There { bytes: bytes.clone(), used });
        while state.blocks.len() > KEPT && state.forget_oldest() {}
        drop(state);
        drop(announced);
        Ok(bytes)
    }

    /// Fetches the next blocks on separate threads. If no thread can be spawned, they are fetched when they are read.
    fn fetch_ahead(blocks: &Arc<Self>, number: u64) {
        let end = blocks.source.bytes().div_ceil(blocks.block_bytes);
        for next in (number + 1..=number + AHEAD).take_while(|next| *next < end) {
            if blocks.state().blocks.contains_key(&next) {
                continue;
            }
            blocks.state().blocks.entry(next).or_insert(Block::Coming);
            let own = blocks.clone();
            // The thread that reads the block gets the error again.
            let spawned = thread::Builder::new().spawn(move || drop(own.fetch(next)));
            if spawned.is_err() {
                drop(Announced { blocks, number: next });
            }
        }
    }
}

impl State {
    /// Drops the least recently used block; returns whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let used = |block: &Block| if let Block::There { used, .. } = block { Some(*used) } else { None };
        let oldest = self.blocks.iter().filter_map(|(number, block)| Some((used(block)?, *number))).min();
        oldest.is_some_and(|(_, number)| self.blocks.remove(&number).is_some())
    }
}

/// Removes the mark of a block that did not arrive, after an error or a panic, and wakes the threads that wait for it.
struct Announced<'a> {
    blocks: &'a Blocks,
    number: u64,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut state = self.blocks.state();
        if let Some(Block::Coming) = state.blocks.get(&self.number) {
            state.blocks.remove(&self.number);
        }
        drop(state);
        self.blocks.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const BLOCK: usize = 1000;

    /// A source that records the first block of each request, and fails a given number of times.
    struct Distant {
        bytes: Vec<u8>,
        requests: Mutex<Sender<u64>>,
        failures: Mutex<u32>,
    }

    impl ReadAt for Distant {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.requests.lock().unwrap().send(offset / BLOCK as u64).unwrap_or_default();
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.bytes.read_at(buffer, offset)
        }

        fn bytes(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn block_bytes(&self) -> Option<NonZeroUsize> {
            NonZeroUsize::new(BLOCK)
        }
    }

    fn distant(bytes: usize, failures: u32) -> (Vec<u8>, Arc<dyn ReadAt>, Receiver<u64>) {
        let contents: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let (requests, seen) = channel();
        let source =
            Distant { bytes: contents.clone(), requests: Mutex::new(requests), failures: Mutex::new(failures) };
        (contents, ReadAhead::over(Arc::new(source)), seen)
    }

    #[test]
    fn many_small_reads_are_one_request_for_each_block() {
        let (contents, source, seen) = distant(10 * BLOCK + 10, 0);
        let mut read = Vec::new();
        while read.len() < contents.len() {
            let mut piece = [0; 7];
            let count = source.read_at(&mut piece, read.len() as u64).unwrap();
            read.extend_from_slice(&piece[..count]);
        }
        assert_eq!(source.read_at(&mut [0; 7], contents.len() as u64).unwrap(), 0);
        drop(source);
        let mut requests: Vec<u64> = seen.iter().collect();
        requests.sort_unstable();
        assert!(read == contents && requests == (0..=10).collect::<Vec<u64>>(), "{requests:?}");
    }

    #[test]
    fn sequential_access_reads_ahead_and_random_access_does_not() {
        let (_, source, seen) = distant(100 * BLOCK, 0);
        let mut byte = [0];
        for jump in [90, 50, 70] {
            source.read_exact_at(&mut byte, jump * BLOCK as u64).unwrap();
        }
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [90, 50, 70]);
        source.read_exact_at(&mut byte, 71 * BLOCK as u64).unwrap();
        // `recv` fails instead of waiting once the source is dropped.
        drop(source);
        let mut requests: Vec<u64> = seen.iter().collect();
        requests.sort_unstable();
        assert_eq!(requests, [71, 72, 73, 74, 75]);
    }

    #[test]
    fn a_request_that_failed_is_reported_and_made_again() {
        let (contents, source, _seen) = distant(3 * BLOCK, 1);
        let mut read = vec![0; contents.len()];
        assert_eq!(source.read_exact_at(&mut read, 0).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        source.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, contents);
    }

    #[test]
    fn no_more_blocks_are_kept_than_the_bound() {
        let (contents, source, seen) = distant(3 * KEPT * BLOCK, 0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (source, contents) = (source.clone(), contents.clone());
                thread::spawn(move || {
                    let mut read = vec![0; contents.len()];
                    source.read_exact_at(&mut read, 0).unwrap();
                    assert!(read == contents);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        source.read_exact_at(&mut [0], 0).unwrap();
        drop(source);
        let again = seen.iter().filter(|number| *number == 0).count();
        assert!(again > 1, "the first block should have made room for later ones");
    }
}
