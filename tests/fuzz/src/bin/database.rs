//! Unpacked databases. SQLite itself is not instrumented; the search is for bugs on our side.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("database", |data| bounded(|| hostile::databases::check(data)));
