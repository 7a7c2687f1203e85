//! What the operating system knows about files, in the words of the layers above.

mod files;
mod mounts;

pub use files::{file_identity, is_missing, resolved, same_file};
pub use mounts::is_network_file_system;
