//! Files of other tools: archives of heirloom's predecessor, tars, and plain databases.

pub(crate) mod file_label;
pub(crate) mod legacy;
pub(crate) mod plain_database;
pub(crate) mod sqlite_file;
