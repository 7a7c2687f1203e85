//! Which settings run a program, and why a file that was only found in the working directory may not set them.
//!
//! Entering a folder must not run what it says. A file counts as chosen if the command line or the environment names
//! it, or if it is the user's or the system's own.

use std::path::Path;

use super::{Effective, Problem, Secret, Settings, Way};
use crate::failure::Remedy;
use crate::store_url::Service;
use crate::text::quoted;

/// Returns a problem for every setting that runs a program, in a file that nobody chose.
pub fn refused_by_chance(effective: &Effective, file: &Path) -> Vec<Problem> {
    let refused = |key: String| Problem {
        place: None,
        key,
        message: format!("runs a program, and {} was only found in the working directory", quoted(file)),
        remedy: Some(Remedy::NameConfiguration { file: file.to_owned() }),
    };
    keys_of_programs(&effective.settings).into_iter().map(refused).collect()
}

/// Returns the keys of the settings in force that run a program. A new kind of them is added here.
fn keys_of_programs(settings: &Settings) -> Vec<String> {
    let is_program = |url: &crate::store_url::StoreUrl| url.service == Service::Rclone;
    let copies = settings.copies.iter().filter(|copy| copy.location.url().is_some_and(is_program));
    let mut keys: Vec<String> = copies.map(|copy| format!("copies.{}.url", copy.name)).collect();
    for receiver in &settings.receivers {
        keys.extend(matches!(receiver.way, Way::Command(_)).then(|| format!("notify.{}.command", receiver.name)));
        let commands = receiver.way.secrets().into_iter().filter(|(_, secret)| matches!(secret, Secret::Command(_)));
        keys.extend(commands.map(|(key, _)| format!("notify.{}.{key}_command", receiver.name)));
    }
    keys
}
