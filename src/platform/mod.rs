//! Files and processes of the operating system, in the terms of the layers above.

mod acl;
pub mod child;
mod feed;
mod file_clock;
mod file_rights;
mod files;
mod mounts;
mod open_file;
mod positional;
mod private;
mod processes;
mod publish;
mod record_locks;
mod rights;
mod room;
mod signals;
pub mod supervise;
mod terminal;
pub mod tool;

pub use acl::{Acl, default_acl, set_acl, without_acl};
pub use feed::{Fed, feed};
pub use file_clock::{boot_id, file_clock};
pub use file_rights::{FileRights, user_name};
pub use files::{
    FileStamp, are_names_of_one_file, file_id, file_identity, group_id, has_other_names, is_missing, is_mount_point,
    is_named, path_bytes, path_of_bytes, resolved, same_file, special_file,
};
pub use mounts::{Lasting, MemoryRoom, is_network_file_system, lasting, memory_room};
pub use open_file::{Links, OpenFile, is_no_file, modified, open_at_once, open_regular, open_to_overwrite};
pub use positional::PositionalIo;
pub use private::{
    create_private_folder, create_private_folders, lock_file, make_private_folder, parent, private_file,
    private_file_anew, public_file, sync_folder, write_synced,
};
pub use processes::{
    deleted_file_written, deleted_files, descriptor_path, has_open, host_name, is_ignored, is_no_process,
    keep_own_rights, names_open, other_processes, process_name, sees_all_processes, wait_for_input,
};
pub use publish::{First, Published, publish_new};
pub use record_locks::{LockKind, Locking, RecordLock, record_locks, try_lock_records};
pub use rights::{
    Writers, allows, can_give_away, give, group, is_own, is_private, is_root, is_trusted, lets_anybody_replace,
    may_give_to, may_make_files_in, may_read_and_write, owner, random_bytes, set_mode, set_mode_of, user_id, writers,
};
pub use room::{Room, device, free_bytes, room};
pub use signals::{note_signals, stop_myself};
pub use terminal::columns;
