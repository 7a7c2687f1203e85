//! What a configuration file may not set that was only found in the working directory.
//!
//! Settings that run programs, because entering a folder must not run what a file in it says. Receivers of notices that
//! take a value from a variable or another file, because whoever wrote the file chose where it is sent. Both are
//! honoured from a file that somebody named, or that is in a place of this user or of root.

use std::path::Path;

use super::{Expanded, FileLayer, Key, Problem, Secret, Settings, Way, expand};
use crate::failure::Remedy;
use crate::store_url::Service;
use crate::text::quoted;

/// Returns a problem for each setting that a file found by chance may not have. `settings` are those in force, and
/// `layer` is what the file says.
pub fn refuse_by_chance(settings: &Settings, layer: &FileLayer, file: &Path) -> Vec<Problem> {
    let refused = |(key, what): (String, String)| Problem {
        place: None,
        key,
        message: format!("{what}, and {} was only found in the working directory", quoted(file)),
        remedy: Some(Remedy::NameConfiguration { file: file.to_owned() }),
    };
    let programs = settings.programs().into_iter().map(|key| (key, "runs a program".to_owned()));
    programs.chain(layer.sent_values()).map(refused).collect()
}

impl Settings {
    /// Returns the keys of all settings that run a program.
    fn programs(&self) -> Vec<String> {
        let remotes =
            self.copies.iter().filter(|copy| copy.location.url().is_some_and(|url| runs_a_program(url.service)));
        let hooks = Key::HOOKS.into_iter().filter(|key| key.get(self).is_some());
        let mut keys: Vec<String> =
            remotes.map(|copy| format!("copies.{}.url", copy.name)).chain(hooks.map(|key| key.to_string())).collect();
        for receiver in &self.receivers {
            keys.extend(matches!(receiver.way, Way::Command(_)).then(|| format!("notify.{}.command", receiver.name)));
            let secrets = receiver.way.secrets().into_iter();
            let commands = secrets.filter(|(_, secret)| matches!(secret, Secret::Command(_)));
            keys.extend(commands.map(|(key, _)| format!("notify.{}.{key}_command", receiver.name)));
        }
        keys
    }
}

impl FileLayer {
    /// Returns the keys of receivers that take a value from a variable or from another file, whether it exists or not,
    /// and what each does. A variable in any text counts: an address or a recipient carries it away as well as a token.
    fn sent_values(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for receiver in &self.receivers {
            for (key, (text, _)) in &receiver.texts {
                let what = if key.ends_with("_file") {
                    "sends what another file holds".to_owned()
                } else if let Ok(Expanded::Unset(variable)) = expand(text, |_| None) {
                    format!("sends what the variable {variable} holds")
                } else {
                    continue;
                };
                found.push((format!("notify.{}.{key}", receiver.name), what));
            }
        }
        found
    }
}

fn runs_a_program(service: Service) -> bool {
    service == Service::Rclone
}
