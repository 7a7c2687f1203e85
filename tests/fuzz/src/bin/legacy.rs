//! The reader of what older tools left: their archives, plain databases, names that tell a time.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("legacy", |data| {
    let given = hostile::recipe::given(data);
    bounded(|| hostile::archives::check(&given));
});
