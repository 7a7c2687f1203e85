//! Makes reports out of what operations return.

mod backup;
mod restore;
mod retain;

pub use backup::{compared, made, not_changed, planned};
pub use restore::{plan, restored, schema_after, unchanged};
pub use retain::{Progressed, retained, simulated};

use std::path::Path;

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
