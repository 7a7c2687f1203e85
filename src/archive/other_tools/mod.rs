//! What other tools left behind: archives of the tool before this one, and plain databases.

pub(crate) mod legacy;
pub(crate) mod sqlite_file;
