//! `[sets.NAME] each`: one set for each database file that a pattern matches, named by what its wildcards matched.
//!
//! Pure: which files exist is found by `ops/jobs/each.rs`. A name is never shared: the second file that would get it is
//! a problem, because the archives of two databases in one set would look like one that was moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::{SetSettings, Settings, ShrinkWatch};
use crate::names::{Name, printable};
use crate::text::quoted;

/// The most wildcards in one component, so that matching stays quick.
const MAX_WILDCARDS: usize = 4;
/// What SQLite writes beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A path with wildcards: `*` for any characters and `?` for one, both within one component and not for a dot at its
/// beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    fixed: PathBuf,
    parts: Vec<String>,
}

impl Pattern {
    /// Splits a path at its first component with a wildcard. Fails with what is wrong with it.
    pub fn new(path: &Path) -> Result<Self, String> {
        let has_wildcard = |part: &Component<'_>| {
            let Component::Normal(part) = part else { return false };
            part.as_encoded_bytes().iter().any(|byte| b"*?".contains(byte))
        };
        let components: Vec<Component<'_>> = path.components().collect();
        let Some(first) = components.iter().position(has_wildcard) else {
            return Err("has no wildcard: write the name of a tenant as *, or list the database under databases".into());
        };
        let (fixed, rest) = components.split_at(first);
        let mut parts = Vec::new();
        for part in rest {
            let Component::Normal(part) = part else { return Err("must not contain \"..\" after a wildcard".into()) };
            let part = part.to_str().ok_or("is not UTF-8")?;
            if part.contains("**") {
                return Err("must not contain \"**\": a wildcard is for one folder or file".into());
            }
            if part.matches(['*', '?']).count() > MAX_WILDCARDS {
                return Err(format!("has more than {MAX_WILDCARDS} wildcards in \"{}\"", printable(part)));
            }
            parts.push(part.to_owned());
        }
        Ok(Self { fixed: fixed.iter().collect(), parts })
    }

    /// Returns the folder in front of the first wildcard.
    pub fn fixed(&self) -> &Path {
        if self.fixed.as_os_str().is_empty() { Path::new(".") } else { &self.fixed }
    }

    /// Returns the components from the first wildcard on.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Returns the same pattern below another folder.
    #[must_use]
    pub fn below(&self, fixed: PathBuf) -> Self {
        Self { fixed, parts: self.parts.clone() }
    }

    /// Returns whether the file name of a component fits: not that of a sidecar, if it is the last one.
    pub fn fits(&self, depth: usize, name: &[u8]) -> bool {
        let is_last = depth + 1 == self.parts.len();
        let is_sidecar = is_last && SIDECARS.iter().any(|ending| name.ends_with(ending.as_bytes()));
        !is_sidecar && self.parts.get(depth).is_some_and(|part| captures(part, name).is_some())
    }

    /// Returns the name of the set of a file, if the file matches: what the wildcards matched, with a dash in between.
    pub fn name_of(&self, path: &Path) -> Option<Name> {
        let rest: Vec<Component<'_>> = path.strip_prefix(&self.fixed).ok()?.components().collect();
        if rest.len() != self.parts.len() {
            return None;
        }
        let mut matched: Vec<&[u8]> = Vec::new();
        for (depth, (part, found)) in self.parts.iter().zip(&rest).enumerate() {
            let name = found.as_os_str().as_encoded_bytes();
            if !self.fits(depth, name) {
                return None;
            }
            matched.extend(captures(part, name)?);
        }
        matched.retain(|text| !text.is_empty());
        Name::of_text(&matched.join(&b'-')).or_else(|| Some(Name::from_path(path)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.fixed.join(self.parts.iter().collect::<PathBuf>());
        f.write_str(&printable(&path.to_string_lossy()))
    }
}

/// Returns what each wildcard matched, or `None` if the text does not match. The first `*` takes as little as it can.
fn captures<'t>(part: &str, text: &'t [u8]) -> Option<Vec<&'t [u8]>> {
    if text.starts_with(b".") && part.starts_with(['*', '?']) {
        return None;
    }
    matches(part.as_bytes(), text)
}

fn matches<'t>(part: &[u8], text: &'t [u8]) -> Option<Vec<&'t [u8]>> {
    match part.split_first() {
        None => text.is_empty().then(Vec::new),
        Some((b'*', rest)) => (0..=text.len()).find_map(|end| {
            let mut found = matches(rest, &text[end..])?;
            found.insert(0, &text[..end]);
            Some(found)
        }),
        Some((b'?', rest)) => {
            // One character, which may have several bytes.
            let bytes = (1..=4.min(text.len())).find(|end| std::str::from_utf8(&text[..*end]).is_ok())?;
            let mut found = matches(rest, &text[bytes..])?;
            found.insert(0, &text[..bytes]);
            Some(found)
        }
        Some((byte, rest)) => text.strip_prefix(&[*byte][..]).and_then(|text| matches(rest, text)),
    }
}

/// A pattern and the files that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EachSettings {
    /// The name in the configuration, which stands for all of its sets.
    pub name: Name,
    /// The files.
    pub pattern: Pattern,
    /// How its sets watch for shrinks.
    pub shrink: ShrinkWatch,
    /// The sets of the databases that were found.
    pub sets: BTreeSet<Name>,
    /// Files that match and are not databases yet: of 0 bytes, or without a header of SQLite.
    pub not_yet: Vec<PathBuf>,
    /// What keeps databases that match from being backed up.
    pub problems: Vec<String>,
}

/// A file that matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Where it is.
    pub path: PathBuf,
    /// Device and inode, if known.
    pub id: Option<(u64, u64)>,
    /// Whether it is a symbolic link: another name of a database that matches itself counts once.
    pub is_link: bool,
}

impl EachSettings {
    /// Makes one of which nothing was looked for yet.
    pub fn new(name: Name, pattern: Pattern, shrink: ShrinkWatch) -> Self {
        Self { name, pattern, shrink, sets: BTreeSet::new(), not_yet: Vec::new(), problems: Vec::new() }
    }
}

impl Settings {
    /// Returns the pattern that a set comes from.
    pub fn each_of(&self, set: &Name) -> Option<&EachSettings> {
        self.each.iter().find(|each| each.sets.contains(set))
    }

    /// Makes a set of each database that matches the pattern at an index. `known` says which files have a set already.
    ///
    /// A file of an earlier pattern, or one that is listed under `databases`, stays what it is.
    pub fn add_matched(&mut self, index: usize, mut matched: Vec<Matched>, known: &mut BTreeMap<(u64, u64), Name>) {
        // The real file first: a link to it is another name of it.
        matched.sort_by(|a, b| (a.is_link, &a.path).cmp(&(b.is_link, &b.path)));
        let mut taken: BTreeMap<String, Name> =
            self.sets.keys().map(|name| (name.as_str().to_ascii_lowercase(), name.clone())).collect();
        taken.extend(self.each.iter().map(|each| (each.name.as_str().to_ascii_lowercase(), each.name.clone())));
        for Matched { path, id, .. } in matched {
            let each = &mut self.each[index];
            if id.is_some_and(|id| known.contains_key(&id)) {
                continue;
            }
            let Some(name) = each.pattern.name_of(&path) else { continue };
            let key = name.as_str().to_ascii_lowercase();
            if let Some(other) = taken.get(&key) {
                let which = match self.sets.get(other).and_then(|set| set.databases.values().next()) {
                    Some(path) => format!("{} has it", quoted(path)),
                    None => "it stands for all of them".to_owned(),
                };
                each.problems.push(format!(
                    "{} is not backed up: its set would be named \"{name}\", and {which}; rename one of them",
                    quoted(&path)
                ));
                continue;
            }
            taken.insert(key, name.clone());
            known.extend(id.map(|id| (id, name.clone())));
            each.sets.insert(name.clone());
            let databases = BTreeMap::from([(name.clone(), path)]);
            self.sets.insert(name, SetSettings { databases, shrink: each.shrink, ..SetSettings::default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: &str, path: &str) -> Option<String> {
        Pattern::new(Path::new(pattern)).unwrap().name_of(Path::new(path)).map(|name| name.to_string())
    }

    #[test]
    fn a_set_is_named_by_what_the_wildcards_matched() {
        for (pattern, path, expected) in [
            ("/data/*.db", "/data/acme.db", Some("acme")),
            ("/data/*.db", "/data/a.b.db", Some("a.b")),
            ("/data/*/app.db", "/data/acme/app.db", Some("acme")),
            ("/data/*/*.db", "/data/acme/main.db", Some("acme-main")),
            ("/data/t??.db", "/data/t07.db", Some("0-7")),
            ("/data/t?.db", "/data/tü.db", Some("_-8ee1d3")),
            ("/data/app*.db", "/data/app.db", Some("app")),
            ("/data/*", "/data/acme", Some("acme")),
            ("data/*.db", "data/acme.db", Some("acme")),
            ("*.db", "acme.db", Some("acme")),
            ("/data/*.db", "/data/acme.sqlite", None),
            ("/data/*.db", "/data/x/acme.db", None),
            ("/data/*.db", "/other/acme.db", None),
            ("/data/*.db", "/data/.hidden.db", None),
            ("/data/.*.db", "/data/.hidden.db", Some("hidden")),
            ("/data/*", "/data/acme.db-wal", None),
            ("/data/*", "/data/acme-journal", None),
            ("/data/*-wal/x", "/data/acme-wal/x", Some("acme")),
            ("/data/[a]*.db", "/data/[a]b.db", Some("b")),
        ] {
            let found = name(pattern, path);
            match expected {
                Some(text) if text.contains("_-") => assert!(found.unwrap().starts_with("_-"), "{path}"),
                expected => assert_eq!(found.as_deref(), expected, "{pattern} {path}"),
            }
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_meant_is_refused() {
        for (pattern, why) in [
            ("/data/app.db", "no wildcard"),
            ("/data/**/app.db", "**"),
            ("/data/*/../x.db", ".."),
            ("/data/*a*b*c*d*e.db", "more than 4"),
        ] {
            assert!(Pattern::new(Path::new(pattern)).unwrap_err().contains(why), "{pattern}");
        }
    }

    #[test]
    fn a_name_is_given_once_and_a_file_has_one_set() {
        let mut settings = Settings::default();
        for (each, pattern) in [("one", "/a/*.db"), ("two", "/b/*.db")] {
            let pattern = Pattern::new(Path::new(pattern)).unwrap();
            settings.each.push(EachSettings::new(Name::new(each).unwrap(), pattern, ShrinkWatch::Off));
        }
        let file = |path: &str, inode: u64, is_link| Matched { path: path.into(), id: Some((1, inode)), is_link };
        let mut known = BTreeMap::new();
        let first = vec![file("/a/link.db", 1, true), file("/a/x.db", 1, false), file("/a/one.db", 7, false)];
        settings.add_matched(0, first, &mut known);
        let second = vec![file("/b/X.db", 2, false), file("/b/y.db", 3, false), file("/b/again.db", 1, false)];
        settings.add_matched(1, second, &mut known);
        let sets: Vec<&str> = settings.sets.keys().map(Name::as_str).collect();
        assert_eq!(sets, ["x", "y"]);
        assert_eq!(settings.sets.values().map(|set| set.shrink).collect::<Vec<_>>(), [ShrinkWatch::Off; 2]);
        assert_eq!(settings.each[0].problems.len(), 1, "{:?}", settings.each[0].problems);
        assert!(settings.each[1].problems[0].contains("\"/b/X.db\" is not backed up"));
    }
}
