//! What describes a version of a pin: its `data.txt`, in YAML as the clients of Posit write and read it.
//!
//! Only what we need is parsed: scalars and short lists at the left margin, and our own two values below `user`.

use chrono::{DateTime, Utc};

use crate::digest::Sha256;
use crate::names::{ARCHIVE_ENDINGS, is_file_name};
use crate::store::{Kept, Token};

/// The file in a version that describes it.
pub(super) const FILE: &str = "data.txt";
/// How the clients of Posit write a time.
const TIME: &str = "%Y%m%dT%H%M%SZ";
const TOKEN: &str = "heirloom_token";
const DIGEST: &str = "heirloom_sha256";

/// A version that holds one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// The file in the version.
    pub(super) file: String,
    pub(super) bytes: u64,
    /// What we wrote about it: none if another client made the version.
    pub(super) own: Option<(Token, Sha256)>,
}

impl Described {
    /// Parses a description; `None` if the version holds several files, or none that we can read.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let file = match values(text, "file").as_slice() {
            [one] => one.clone(),
            _ => return None,
        };
        let bytes = match values(text, "file_size").as_slice() {
            [one] => one.parse().ok()?,
            _ => return None,
        };
        let own = nested(text, "user");
        let own_value = |name: &str| values(&own, name).into_iter().next();
        let own = own_value(TOKEN)
            .and_then(|token| token.parse().ok())
            .zip(own_value(DIGEST).and_then(|digest| digest.parse().ok()));
        is_file_name(&file).then_some(Self { file, bytes, own })
    }

    /// Returns whether a text is a description at all, and not the page of a proxy.
    pub(super) fn is_one(text: &str) -> bool {
        let is_key = |line: &str| {
            ["api_version", "type", "file", "file_size"].iter().any(|key| line.split(':').next() == Some(*key))
        };
        text.lines().any(|line| line.contains(':') && is_key(line))
    }

    /// Describes an archive. `created` is the time of its file.
    pub(super) fn write(name: &str, kept: &Kept, created: DateTime<Utc>) -> String {
        let Kept { token, bytes, sha256 } = kept;
        let token = token.map(|token| token.to_string()).unwrap_or_default();
        format!(
            "api_version: 1\ncreated: {created}\ndescription: null\nfile: {file}\nfile_size: {bytes}\n\
             pin_hash: {hash}\ntitle: {title}\ntype: file\nuser:\n  {TOKEN}: '{token}'\n  {DIGEST}: '{sha256}'\n",
            created = created.format(TIME),
            file = quoted(name),
            hash = &sha256.to_string()[..16],
            title = quoted(&format!("heirloom archive {name}")),
        )
    }

    /// Returns the attributes to compare an upload with; `None` if another client made the version.
    pub(super) fn kept(&self) -> Option<Kept> {
        self.own.map(|(token, sha256)| Kept { token: Some(token), bytes: self.bytes, sha256 })
    }

    /// Returns the name of the version's file in the store: of an archive its own; any other file, whose name every
    /// version has, gets the time of the version. `None` if it is nothing that a store lists as an archive.
    pub(super) fn name(&self, created: DateTime<Utc>) -> Option<String> {
        let ending = ARCHIVE_ENDINGS.into_iter().find(|ending| self.file.ends_with(ending))?;
        if self.own.is_some() {
            return Some(self.file.clone());
        }
        let stem = self.file.strip_suffix(ending).filter(|stem| !stem.is_empty() && !stem.starts_with('.'))?;
        Some(format!("{stem}_{}{ending}", created.format(TIME)))
    }
}

/// Returns a name with a number before its extension, for a name that another version has.
pub(super) fn numbered(name: &str, id: u64) -> String {
    let ending = ARCHIVE_ENDINGS.into_iter().find(|ending| name.ends_with(ending)).unwrap_or_default();
    format!("{}-{id}{ending}", name.strip_suffix(ending).unwrap_or(name))
}

/// Quotes a text as JSON does, which is YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the values of a key at the left margin: one, or those of a list.
fn values(text: &str, key: &str) -> Vec<String> {
    let of_key = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let mut lines = text.lines().skip_while(|line| !of_key(line));
    let Some(first) = lines.next() else { return Vec::new() };
    let first = first[key.len() + 1..].trim();
    let following: Vec<&str> = lines.take_while(|line| line.starts_with(['-', ' '])).map(str::trim).collect();
    if first.is_empty() {
        return following.into_iter().filter_map(|line| Some(plain(line.strip_prefix("- ")?.trim()))).collect();
    }
    // A long text is continued on the next lines.
    let whole = following.into_iter().fold(first.to_owned(), |whole, line| format!("{whole} {line}"));
    match whole.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => list.split(',').map(|value| plain(value.trim())).filter(|value| !value.is_empty()).collect(),
        None => vec![plain(&whole)],
    }
}

/// Returns the lines below a key, without their margin.
fn nested(text: &str, key: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim_end() != format!("{key}:")).skip(1);
    let inner = lines.take_while(|line| line.starts_with(' '));
    inner.map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")
}

/// Removes the quotes of a value.
fn plain(value: &str) -> String {
    if let Ok(text) = serde_json::from_str::<String>(value) {
        return text;
    }
    match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_is_what_we_read() {
        for name in ["notes_20260301T030000Z.tar.gz", "a: \"b\" 'c' #d.tar.gz", "ü\u{1F600}.db", "- x.tar"] {
            let kept = Kept { token: Some(Token::random()), bytes: 12, sha256: Sha256::of(b"x") };
            let text = Described::write(name, &kept, "2026-03-01T03:00:00Z".parse().unwrap());
            let described = Described::parse(&text).unwrap();
            assert_eq!((described.file.as_str(), described.kept()), (name, Some(kept)), "{text}");
        }
    }

    #[test]
    fn what_other_clients_write_is_read() {
        let created = "2025-08-04T16:38:29Z".parse().unwrap();
        for (text, file) in [
            ("api_version: 1\nfile: app.db\nfile_size: 8192\nuser: {}\n", Some("app.db")),
            ("file:\n- app.db\nfile_size: 8192\n", Some("app.db")),
            ("file:\n  - app.db\nfile_size:\n- 8192\n", Some("app.db")),
            ("file: [app.db]\nfile_size: 8192\n", Some("app.db")),
            ("file: 'it''s.db'\nfile_size: 8192\n", Some("it's.db")),
            ("file: a long name that is\n  continued.db\nfile_size: 8192\n", Some("a long name that is continued.db")),
            ("file:\n- a.db\n- b.db\nfile_size: 8192\n", None),
            ("file: ../app.db\nfile_size: 8192\n", None),
            ("file: app.db\n", None),
            ("file_size: 8192\n", None),
            ("type: csv\n", None),
        ] {
            let described = Described::parse(text);
            assert!(Described::is_one(text));
            assert_eq!(described.as_ref().map(|described| described.file.as_str()), file, "{text}");
            assert!(described.is_none_or(|described| described.bytes == 8192 && described.kept().is_none()));
        }
        for page in ["", "<html>\n<p>type: none", "{\"error\": 1}", "file"] {
            assert!(!Described::is_one(page), "{page}");
        }
        let named = |file: &str| Described { file: file.into(), bytes: 0, own: None }.name(created);
        assert_eq!(named("app.db").unwrap(), "app_20250804T163829Z.db");
        assert_eq!(named("app.db.gz").unwrap(), "app_20250804T163829Z.db.gz");
        assert_eq!([named("data.rds"), named(".db"), named("index.html")], [None, None, None]);
        assert_eq!(numbered("app_20250804T163829Z.db", 12), "app_20250804T163829Z-12.db");
    }
}
