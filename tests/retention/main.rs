//! Retention against a slow, obviously right second implementation, by properties, and by examples with their exact dates.
//!
//! Ten thousand random histories each; a failure names its seed. `HEIRLOOM_SEED=n` starts elsewhere, `HEIRLOOM_HISTORIES=n`
//! tries more.

mod examples;
mod histories;
mod properties;
mod slow;
