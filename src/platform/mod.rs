//! What the operating system knows about files, in the words of the layers above.

mod files;

pub use files::{file_identity, is_missing, resolved, same_file};
