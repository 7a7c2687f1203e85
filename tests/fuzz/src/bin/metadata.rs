//! Metadata, and archives that start with it.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("metadata", |data| bounded(|| hostile::metadata::check(data)));
