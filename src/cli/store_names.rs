//! The names of stores on the command line.

use crate::config::CopySettings;
use crate::failure::Failure;
use crate::names::printable;

/// The name of the main store, beside those of the further ones.
pub(super) const MAIN: &str = "main";

/// Every store, where a command takes that.
pub(super) const ALL: &str = "all";

/// Returns the further store with this name.
pub(super) fn named<'a>(name: &str, all: &'a [CopySettings]) -> Result<&'a CopySettings, Failure> {
    all.iter().find(|copy| copy.name.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|copy| copy.name.as_str()).collect();
        let hint = match known.as_slice() {
            [] => "add a table [copies.NAME] to the configuration".to_owned(),
            known => format!("there are: {MAIN}, {}", known.join(", ")),
        };
        Failure::usage(format!("no store \"{}\" is configured", printable(name)), hint)
    })
}
