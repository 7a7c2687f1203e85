//! What a configuration file may not set that was only found in the working directory.
//!
//! Settings that run programs, because entering a folder must not run what a file in it says. Receivers of notices that
//! take a value from a variable or another file, and servers that are sent a key or token of this user, because whoever
//! wrote the file chose where it is sent. All are honoured from a file that somebody named, or that is in a place of
//! this user or of root.

use std::ffi::OsString;
use std::path::Path;

use super::connect::completed;
use super::{Effective, Expanded, FileLayer, Key, Origin, Problem, Secret, Settings, Way, expand};
use crate::failure::Remedy;
use crate::store_url::{Service, StoreUrl};
use crate::text::quoted;

/// Returns a problem for each setting that a file found by chance may not have. `effective` is what is in force, and
/// `layer` is what the file says; `lookup` gives the variables of this user.
pub fn refuse_by_chance(
    effective: &Effective,
    layer: &FileLayer,
    file: &Path,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Vec<Problem> {
    let settings = &effective.settings;
    let refused = |(key, what): (String, String)| Problem {
        place: None,
        key,
        message: format!("{what}, and {} was only found in the working directory", quoted(file)),
        remedy: Some(Remedy::NameConfiguration { file: file.to_owned() }),
    };
    let programs = settings.programs().into_iter().map(|key| (key, "runs a program".to_owned()));
    programs.chain(layer.sent_values()).chain(effective.strange_servers(lookup)).map(refused).collect()
}

impl Effective {
    /// Returns the keys of stores in the file whose servers would be sent a key or token of this user although the user
    /// did not name them, and what each would do. A request to S3 is signed, and carries no secret.
    fn strange_servers(&self, lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, String)> {
        let own = completed("connect:", lookup).and_then(|completed| completed.ok());
        let server = |url: &StoreUrl| (url.place.clone(), url.option("endpoint").map(str::to_owned));
        let own = own.map(|(own, _)| server(&own));
        let is_strange = |url: &StoreUrl| match url.service {
            Service::Connect => own.as_ref() != Some(&server(url)),
            Service::Gcs | Service::Azure => url.option("endpoint").is_some(),
            Service::S3 | Service::Rclone => false,
        };
        let of_file = matches!(self.store_origin(), Origin::File { .. });
        let main = self.settings.store.url().filter(|_| of_file).map(|url| ("store.url".to_owned(), url));
        let copies = self.settings.copies.iter();
        let copies = copies.filter_map(|copy| Some((format!("copies.{}.url", copy.name), copy.location.url()?)));
        let strange = main.into_iter().chain(copies).filter(|(_, url)| is_strange(url));
        let what = |url: &StoreUrl| match url.service {
            Service::Connect => format!("sends CONNECT_API_KEY to {}", url.place),
            _ => "sends credentials to the endpoint that it names".to_owned(),
        };
        strange.map(|(key, url)| (key, what(url))).collect()
    }
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
