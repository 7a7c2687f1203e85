//! What the operating system knows about files, in the words of the layers above.

mod files;
mod mounts;

pub use files::{file_identity, resolved};
pub use mounts::is_network_file_system;
