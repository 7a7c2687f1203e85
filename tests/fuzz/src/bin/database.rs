//! Databases that were unpacked. SQLite itself is not instrumented; what is looked for is our side of it.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("database", |data| bounded(|| hostile::databases::check(data)));
