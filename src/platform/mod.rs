//! Files and processes of the operating system, in the terms of the layers above.

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

pub use acl::{Acl, default_acl, set_acl, without_acl};
pub use file_rights::FileRights;
pub use files::{
    are_names_of_one_file, file_id, file_identity, group_id, has_other_names, is_missing, is_mount_point, is_named, resolved, same_file,
};
pub use mounts::is_network_file_system;
pub use open_file::{Links, OpenFile, is_no_file, modified, open_at_once};
pub use private::{
    create_private_folder, create_private_folders, lock_file, make_private_folder, parent, private_file, private_file_anew, public_file,
    sync_folder, write_synced,
};
pub use processes::{deleted_files, host_name, is_ignored, keep_own_rights};
pub use publish::{First, Published, publish_new};
pub use rights::{
    Writers, allows, give, group, is_own, is_private, is_root, is_trusted, lets_anybody_replace, may_give_to, may_make_files_in, owner,
    set_mode, user_id, writers,
};
pub use room::{Room, device, free_bytes, room};
