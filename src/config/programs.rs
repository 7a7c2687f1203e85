//! Settings that run programs, and which configuration files may hold them.
//!
//! They are honoured from a file that somebody named, or that is in a place of this user or of root. In a file that was
//! only found in the working directory they are refused: entering a folder must not run what it says.

use std::path::Path;

use super::{Key, Problem, Secret, Settings, Way};
use crate::failure::Remedy;
use crate::store_url::Service;
use crate::text::quoted;

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

    /// Returns a problem for each setting that runs a program, for a file that was found by chance.
    pub fn refuse_programs(&self, file: &Path) -> Vec<Problem> {
        let refused = |key| Problem {
            place: None,
            key,
            message: format!("runs a program, and {} was only found in the working directory", quoted(file)),
            remedy: Some(Remedy::NameConfiguration { file: file.to_owned() }),
        };
        self.programs().into_iter().map(refused).collect()
    }
}

fn runs_a_program(service: Service) -> bool {
    service == Service::Rclone
}
