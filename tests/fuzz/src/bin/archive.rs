//! The archive reader: format 1 and every tar and gzip around it.

#![cfg_attr(fuzzing, no_main)]

use heirloom_fuzz::{bounded, hostile};

heirloom_fuzz::target!("archive", |data| {
    let given = hostile::recipe::given(data);
    bounded(|| hostile::archives::check(&given));
});
