//! Feeds inputs to the checks of `tests/library/hostile`, and limits the memory that each may use.

#[path = "../../library/hostile/mod.rs"]
pub mod hostile;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that reading any input may have allocated at one time. The whole program may use 64 MiB.
pub const MEMORY: usize = 48 << 20;

/// Counts allocated bytes and their maximum.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is passed unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // The system moves large blocks without allocating both.
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        took(bytes);
        unsafe { System.realloc(place, layout, bytes) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a check, and fails if it uses more memory than allowed.
pub fn bounded(check: impl FnOnce()) {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    check();
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(most <= MEMORY, "it used {} MiB at one time", most >> 20);
}

/// Writes the seeds of a target into the folder that `FUZZ_SEEDS` names.
pub fn sow(target: &str) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS") else { return };
    for (name, bytes) in hostile::seeds::of(target) {
        std::fs::write(std::path::Path::new(&folder).join(name), bytes).expect("the folder of FUZZ_SEEDS can be \
            written");
    }
}

/// Turns a check into a binary: a libFuzzer target or, without its flags, a program that checks the given files.
#[macro_export]
macro_rules! target {
    ($name:literal, |$data:ident| $check:expr) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(init: $crate::sow($name), |$data: &[u8]| $check);

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::sow($name);
            for path in std::env::args_os().skip(1) {
                let bytes = std::fs::read(path).expect("a readable file");
                let $data = &bytes[..];
                $check;
            }
        }
    };
}
