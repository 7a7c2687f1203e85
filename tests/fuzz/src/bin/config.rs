//! The configuration file, `.env`, variables, URLs and names.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("config", |data| bounded(|| hostile::config::check(data)));
