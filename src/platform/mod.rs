//! What the operating system knows about files and processes, in the words of the layers above.

mod acl;
mod file_rights;
mod files;
mod mounts;
mod open_file;
mod private;
mod processes;
mod publish;
mod rights;
mod room;

pub use file_rights::FileRights;
pub use files::{are_names_of_one_file, file_identity, group_id, is_missing, is_mount_point, resolved, same_file};
pub use mounts::is_network_file_system;
pub use open_file::{OpenFile, modified};
pub use private::{create_private_folder, parent, sync_folder, write_synced};
pub use processes::deleted_files;
pub use publish::{First, Published, publish_new};
pub use rights::{Acl, default_acl, give_to_group, may_give_to, set_acl, without_acl};
pub use room::free_bytes;
