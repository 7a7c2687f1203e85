//! The page of the admin server, as HTML that is rendered from the JSON documents of the command line.
//!
//! Every function here is pure: documents in, text out, and `now` is an argument. None of them reads a file, asks a
//! store or knows HTTP. Whatever is missing in a document is shown as "not known", never as good.
//!
//! Text from documents (names of tables, notes, errors) is data of others. It reaches the HTML only through `maud`,
//! which escapes it, and names in links are percent-encoded. There is no inline style and no inline script, so that the
//! server can forbid both. Everything works without the script; a viewer gets no form that changes something.

mod backup;
mod backups;
mod calendar;
mod confirm;
mod entry;
mod index;
mod job;
mod layout;
mod log;
mod overview;
mod read;
mod restore;
#[cfg(test)]
mod tests;
mod words;

pub use backup::backup;
pub use backups::backups;
pub use confirm::{confirm_delete, confirm_rotate, confirm_undo};
pub use entry::{WayIn, error, sign_in};
pub use job::job;
pub use layout::Page;
pub use log::log;
pub use overview::overview;
pub use restore::{restore_choice, restore_plan};

/// The style of every view: `{base}/assets/style.css`.
pub const STYLE: &str = include_str!("style.css");

/// The script of every view: `{base}/assets/script.js`. It polls jobs, shows times in the browser's zone and filters
/// tables.
pub const SCRIPT: &str = include_str!("script.js");
