//! What other tools left behind: archives of the tool before this one, tars, and plain databases.

pub(crate) mod file_label;
pub(crate) mod legacy;
pub(crate) mod plain_database;
pub(crate) mod sqlite_file;
