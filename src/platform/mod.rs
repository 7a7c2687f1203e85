//! What the operating system knows about files, in the words of the layers above.

mod acl;
mod file_rights;
mod files;
mod mounts;
mod publish;
mod room;

pub use file_rights::FileRights;
pub use files::{file_identity, is_missing, resolved, same_file};
pub use mounts::is_network_file_system;
pub use publish::{First, Published, publish_new};
pub use room::free_bytes;
