//! The clock that stamps files, and the boot that it runs in.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time with which the kernel stamps files that are written at this moment, in nanoseconds of Unix time.
///
/// Only for comparing with the times of files: the time of a run is its `Clock`, which may be set.
pub fn file_clock() -> i64 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// Returns the id of this boot; `None` if the system does not report one.
pub fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::FileStamp;

    #[test]
    fn a_file_gets_the_time_of_this_clock() {
        let before = file_clock();
        let file = tempfile::NamedTempFile::new().unwrap();
        let changed = FileStamp::of(&file.as_file().metadata().unwrap()).changed;
        // A kernel with finer times for files may be ahead by a tick.
        let second = 1_000_000_000;
        assert!((i128::from(before) - second..i128::from(file_clock()) + second).contains(&changed));
        assert!(boot_id().is_none_or(|id| id.len() == 36));
    }
}
