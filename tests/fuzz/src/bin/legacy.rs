//! The reader for files of older tools: their archives, plain databases, and names that contain a time.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("legacy", |data| {
    let given = hostile::recipe::given(data);
    bounded(|| hostile::archives::check(&given));
});
