//! Reads what grants access, when it is needed, and takes it out of answers.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{Hidden, Secret, Way, check_address};
use crate::platform::feed;
use crate::text::quoted;

/// The largest secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// How long a program may take that prints one.
const LIMIT: Duration = Duration::from_secs(5);
/// A shorter text is not taken out of answers: it would not be a secret, and its removal would spoil them.
const SHORTEST: usize = 4;
/// A part of a path that has this length is a secret, even if it looks like a word.
const LONG: usize = 16;

/// The secrets of one receiver, with the key of each.
pub(super) struct Secrets(Vec<(&'static str, Hidden)>);

impl Secrets {
    /// Reads them. The error names the file or the program, and quotes nothing of what it holds.
    pub(super) fn read(way: &Way, deadline: Instant) -> Result<Self, String> {
        let mut found = Vec::new();
        for (key, secret) in way.secrets() {
            found.push((key, value(key, secret, deadline)?));
        }
        let secrets = Self(found);
        let guarded = secrets.get("token").is_some();
        for key in ["ntfy", "webhook", "healthchecks"] {
            if let Some(url) = secrets.get(key) {
                check_address(url, guarded).map_err(|why| format!("{key} {why}"))?;
            }
        }
        Ok(secrets)
    }

    /// Returns the one of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.reveal())
    }

    /// Returns a text without them. An address counts from its path on: its server is no secret, nor is a plain word
    /// of its path.
    pub(super) fn removed_from(&self, text: &str) -> String {
        let is_word = |part: &&str| part.len() < LONG && part.chars().all(|char| char.is_ascii_lowercase());
        let mut text = text.to_owned();
        for (_, value) in &self.0 {
            let value = value.reveal();
            let path = value.split_once("://").map(|(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
            let parts = path.unwrap_or_default().split('/').filter(|part| !is_word(part));
            for part in [value].into_iter().chain(path).chain(parts).filter(|part| part.len() >= SHORTEST) {
                text = text.replace(part, "…");
            }
        }
        text
    }
}

fn value(key: &str, secret: &Secret, deadline: Instant) -> Result<Hidden, String> {
    let text = match secret {
        Secret::Value(value) => return Ok(value.clone()),
        Secret::File(path) => read(path).map_err(|why| format!("cannot read {key}_file {}: {why}", quoted(path)))?,
        Secret::Command(words) => {
            let program = quoted(words.first().map_or("", String::as_str));
            let limit = deadline.saturating_duration_since(Instant::now()).min(LIMIT);
            let fed = feed(words, Vec::new(), limit).map_err(|cause| format!("{key}_command {program}: {cause}"))?;
            match fed.code {
                Some(0) if !fed.timed_out => fed.output,
                _ if fed.timed_out => return Err(format!("{key}_command {program} took too long")),
                Some(code) => return Err(format!("{key}_command {program}: exit code {code}")),
                None => return Err(format!("{key}_command {program} was killed by a signal")),
            }
        }
    };
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(Hidden::new(line)),
        _ => Err(format!("{key} is empty")),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|cause| cause.to_string())?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err("it is not a regular file".into());
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_no_secret() {
        let secrets = Secrets(vec![
            ("webhook", Hidden::new("https://hooks.example/services/T0/hunter2")),
            ("token", Hidden::new("tk_secret")),
        ]);
        let text = secrets.removed_from("https://hooks.example/services/T0/hunter2: no tk_secret; /T0/hunter2");
        assert_eq!(text, "…: no …; /T0/…");
        assert_eq!(secrets.removed_from("services"), "services");
    }
}
