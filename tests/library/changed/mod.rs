//! Random histories of a database with an application (python3) that uses it: whenever nothing seems to have changed,
//! the archive must hold what the database holds.
//!
//! The margins of a look are scaled down: a look counts as settled if its newest time is [`TICKS`] old, which is longer
//! than the clock of the files takes for a step. So changes within one step happen, and nothing has to wait for 5 s.
//! `HEIRLOOM_HISTORIES=n` changes the number of histories, `HEIRLOOM_SEED=n` starts at another one.

mod application;
mod history;
mod live;

use std::collections::BTreeMap;

use self::history::{History, Outcome};

/// How long a step of the clock of files takes at most, with a margin, in nanoseconds.
const TICKS: i64 = 12_000_000;

#[test]
fn nothing_is_called_unchanged_that_differs_from_its_archive() {
    if !crate::tools::installed("unchanged databases are what their archives hold", &["python3"]) {
        return;
    }
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (first, count) = (number("HEIRLOOM_SEED", 1), number("HEIRLOOM_HISTORIES", 25));
    println!("histories of the seeds {first} to {}", first + count - 1);
    let mut application = application::Application::start();
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for seed in first..first + count {
        for outcome in History::new(seed, &mut application).run() {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    println!("{outcomes:?}");
    // Without these the histories would prove nothing.
    for needed in [Outcome::UnchangedByLook, Outcome::UnchangedByCopy, Outcome::Changed, Outcome::ChangedInBetween] {
        assert!(outcomes.get(&needed).is_some_and(|count| *count > 0), "no history came to {needed:?}: {outcomes:?}");
    }
}
