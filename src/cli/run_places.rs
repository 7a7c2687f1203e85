//! Warnings at the start of `run` about file systems that do not keep what is written, or whose locks SQLite distrusts.

use std::path::Path;

use super::Context;
use crate::ops::jobs::Chosen;
use crate::platform::{Lasting, lasting, parent};
use crate::text::quoted;

/// Warns of databases, and of a store in a folder, one line for each folder.
pub(super) fn warn(chosen: &[Chosen], context: &Context) {
    let databases = chosen.iter().flat_map(|set| &set.sources).map(|source| ("the database", source.path.as_path()));
    let store = context.settings.store.folder().map(|folder| ("the store", folder));
    let mut warned: Vec<&Path> = Vec::new();
    for (what, path) in store.into_iter().chain(databases) {
        let folder = if what == "the store" { path } else { parent(path) };
        if warned.contains(&folder) {
            continue;
        }
        let Some(warning) = warning(what, path, folder) else { continue };
        warned.push(folder);
        context.ui.warning(warning);
    }
}

fn warning(what: &str, path: &Path, folder: &Path) -> Option<String> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let shown = quoted(path);
    match lasting(&absolute) {
        Lasting::Yes => None,
        Lasting::Memory => Some(format!(
            "{what} {shown} is in memory (tmpfs) and lost at the next restart: mount a volume at {}",
            quoted(&absolute)
        )),
        Lasting::Container => Some(format!(
            "{what} {shown} is in the layer of the container (overlay), which is lost with it: mount a volume, such as \
             `-v data:{}`",
            absolute.display()
        )),
        Lasting::Elsewhere(kind) if what == "the database" => Some(format!(
            "{what} {shown} is on a network file system ({kind}): SQLite says that locks are often broken there, which \
             can damage it, and that WAL mode does not work (sqlite.org/faq.html#q5, sqlite.org/wal.html)"
        )),
        Lasting::Elsewhere(_) => None,
    }
}
