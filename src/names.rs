//! Names of sets, databases, archives and archive entries: which are valid, and how they are created.
//!
//! A name from an archive, a database or a configuration is untrusted. It is validated here before it becomes part of a
//! path, and made [`printable`] before it reaches a terminal.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// The entry that describes an archive; the first one in format 1.
pub const METADATA_ENTRY: &str = "backup_metadata.json";
/// The entry that explains how to restore without this tool.
pub const RESTORE_ENTRY: &str = "RESTORE.txt";
/// The longest name of a set or a database, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest name of an archive entry, in bytes: the limit of a ustar header without extensions.
pub const MAX_ENTRY_BYTES: usize = 100;
/// How many hex digits of a digest distinguish two names.
const DIGEST_CHARS: usize = 6;

/// Why a name is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    name: String,
    what: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" cannot be {}", printable(&self.name), self.what)
    }
}

impl std::error::Error for InvalidName {}

/// The name of a set or of a database: 1 to 64 of `A-Z a-z 0-9 . _ -`, not starting with a dot or a dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Accepts a name unchanged, or returns why it is invalid.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len())
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(name))
        } else {
            Err(InvalidName { name, what: "a name (1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot or a dash)" })
        }
    }

    /// Derives a name from a file name: its stem. Never fails.
    ///
    /// If the stem is not a valid name, characters are replaced and a short digest of the stem is added, so two files
    /// of one folder never get the same name because of a replacement.
    pub fn from_path(path: &Path) -> Self {
        let stem = path.file_stem().unwrap_or_default();
        Self::new(stem.to_string_lossy()).unwrap_or_else(|_| Self(with_digest(stem.as_encoded_bytes(), "database")))
    }

    /// Derives a name from any text, as from the stem of a file name. `None` for an empty text.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let valid = std::str::from_utf8(text).ok().and_then(|text| Self::new(text).ok());
        valid.or_else(|| (!text.is_empty()).then(|| Self(with_digest(text, "database"))))
    }

    /// Returns the name that releases before streams derived from a path: without a digest. Only for recognising their
    /// archives.
    pub fn from_path_without_digest(path: &Path) -> Self {
        let name = replaced(&path.file_stem().unwrap_or_default().to_string_lossy(), MAX_NAME_BYTES);
        if name.is_empty() { Self("database".into()) } else { Self(name) }
    }

    /// Returns the text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// Replaces invalid characters, removes leading dots and dashes, and truncates to `most` bytes. May return an empty
/// text.
fn replaced(text: &str, most: usize) -> String {
    let fits = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let name: String = text.chars().map(|char| if fits(char) { char } else { '_' }).take(most).collect();
    name.trim_start_matches(['.', '-']).to_owned()
}

/// Derives a name from bytes that are not a valid name.
fn with_digest(original: &[u8], if_empty: &str) -> String {
    let digest = Sha256::of(original).to_string();
    let suffix = &digest[..DIGEST_CHARS];
    let name = replaced(&String::from_utf8_lossy(original), MAX_NAME_BYTES - DIGEST_CHARS - 1);
    format!("{}-{suffix}", if name.is_empty() { if_empty } else { &name })
}

/// The name of the machine or application that archives come from: 1 to 64 of `A-Z a-z 0-9 . _ -`, not starting with a
/// dot or a dash, and not a Windows device name, because it becomes part of a path or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostLabel(String);

impl HostLabel {
    /// Accepts a label unchanged, or returns why it is invalid.
    pub fn new(label: impl Into<String>) -> Result<Self, InvalidName> {
        let label = label.into();
        match Name::new(label.as_str()) {
            Ok(Name(name)) if !is_device(&name) => Ok(Self(name)),
            _ => Err(InvalidName {
                name: label,
                what: "a host label (1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot or a dash, not a Windows \
                       device name)",
            }),
        }
    }

    /// Derives a label from a host name, as reported by the system or recorded in an archive. Never fails.
    pub fn from_host_name(host: &str) -> Self {
        // A device name stays one even with a digest after its dot; with a word before it, it does not.
        let safe = || Self(with_digest(format!("host_{host}").as_bytes(), "host"));
        Self::new(host).or_else(|_| Self::new(with_digest(host.as_bytes(), "host"))).unwrap_or_else(|_| safe())
    }

    /// The default label in a container, whose host name changes with every deployment.
    pub fn container() -> Self {
        Self("container".into())
    }

    /// Returns the text of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for HostLabel {
    type Error = InvalidName;

    fn try_from(label: String) -> Result<Self, InvalidName> {
        Self::new(label)
    }
}

impl From<HostLabel> for String {
    fn from(label: HostLabel) -> String {
        label.0
    }
}

impl std::str::FromStr for HostLabel {
    type Err = InvalidName;

    fn from_str(label: &str) -> Result<Self, InvalidName> {
        Self::new(label)
    }
}

/// Returns whether Windows treats a name as a device, whatever its extension.
/// <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let numbered =
        |port: &str| stem.strip_prefix(port).is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']));
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// The identity of an archive, independent of its name: the first 16 hex digits of the SHA-256 of its stored metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId([u8; 8]);

impl ArchiveId {
    /// Returns the id of an archive with this metadata entry, padding included.
    pub fn of_metadata(json: &[u8]) -> Self {
        let digest = Sha256::of(json);
        let mut id = [0; 8];
        id.copy_from_slice(&digest.as_bytes()[..8]);
        Self(id)
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for ArchiveId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || InvalidName { name: text.to_owned(), what: "the id of an archive (16 hex digits)" };
        let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| fits).ok_or_else(wrong)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl Serialize for ArchiveId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArchiveId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The file name of an archive inside a store: one path component, no control characters, not hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ArchiveName(String);

impl TryFrom<String> for ArchiveName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

/// The extensions of files that a store lists as archives, longest first.
pub const ARCHIVE_ENDINGS: [&str; 20] = [
    ".sqlite3.zst",
    ".tar.zst.age",
    ".sqlite3.gz",
    ".tar.gz.age",
    ".sqlite.zst",
    ".sqlite.gz",
    ".tar.age",
    ".tgz.age",
    ".tar.zst",
    ".tar.gz",
    ".sqlite3",
    ".db.zst",
    ".sqlite",
    ".db.gz",
    ".tzst",
    ".tgz",
    ".tar",
    ".zst",
    ".db",
    ".gz",
];

/// The extension of an encrypted file, after that of its contents.
pub const ENCRYPTED_ENDING: &str = ".age";

impl ArchiveName {
    /// Accepts a file name unchanged; refuses one that could escape the store, is hidden, or would not be listed.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let fits = is_file_name(&name)
            && !name.starts_with('.')
            && name.len() <= 255
            && ARCHIVE_ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending));
        if fits { Ok(Self(name)) } else { Err(InvalidName { name, what: "the file name of an archive" }) }
    }

    /// Creates the automatic name `<set>_<YYYYMMDD>T<HHMMSS>Z.tar.gz`; `ending` is the extension, such as `.tar.gz`.
    pub fn automatic(set: &Name, at: DateTime<Utc>, ending: &str) -> Self {
        Self(format!("{set}_{}{ending}", at.format("%Y%m%dT%H%M%SZ")))
    }

    /// Returns the name to try if this one is taken: `-2`, `-3` … before the extension.
    pub fn numbered(&self, number: u32) -> Self {
        let (stem, ending) = self.split();
        Self(format!("{stem}-{number}{ending}"))
    }

    /// Returns whether it is the name of an encrypted archive.
    pub fn is_encrypted(&self) -> bool {
        self.0.ends_with(ENCRYPTED_ENDING)
    }

    /// Returns the name of its encrypted form.
    pub fn encrypted(&self) -> Self {
        Self(format!("{}{ENCRYPTED_ENDING}", self.0))
    }

    /// Returns the name with four more hex digits before the extension, for stores in which two writers can take one
    /// name.
    pub fn distinct(&self, digits: u16) -> Self {
        let (stem, ending) = self.split();
        Self(format!("{stem}-{digits:04x}{ending}"))
    }

    /// Returns the number after an automatic name, or 1 if there is none: `-2` is the second archive of the same
    /// second.
    pub fn number(&self) -> u32 {
        let number = self.stem().rsplit_once('-').map(|(_, number)| number);
        // Four digits are not a number: see `distinct`.
        number.filter(|number| number.len() < 4).and_then(|number| number.parse().ok()).unwrap_or(1)
    }

    /// Returns the name without its extension, as in `backup_name`.
    pub fn stem(&self) -> &str {
        self.split().0
    }

    fn split(&self) -> (&str, &str) {
        let ending = ARCHIVE_ENDINGS.iter().find(|ending| self.0.ends_with(**ending)).map_or(0, |ending| ending.len());
        self.0.split_at(self.0.len() - ending)
    }

    /// Returns the text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&printable(&self.0))
    }
}

impl AsRef<str> for ArchiveName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for ArchiveName {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// Finds the time in a file name: our `20250804T163829Z`, the old tools' `20250804_163829` and `2025-08-04-163829`.
///
/// The old forms have no zone and are returned unchanged; the caller decides which zone applies.
pub fn time_in_name(name: &str) -> Option<NaiveDateTime> {
    const FORMS: [(usize, &str); 3] = [(16, "%Y%m%dT%H%M%SZ"), (15, "%Y%m%d_%H%M%S"), (17, "%Y-%m-%d-%H%M%S")];
    FORMS.iter().find_map(|(length, form)| {
        // chrono accepts a sign before a year, which here is the dash between name and time.
        let candidate = |start: usize| {
            name.get(start..start + length).filter(|text| text.starts_with(|first: char| first.is_ascii_digit()))
        };
        (0..name.len()).find_map(|start| NaiveDateTime::parse_from_str(candidate(start)?, form).ok())
    })
}

/// Returns whether a text is a valid path component: not empty, `.` or `..`, no slash, no control character.
pub fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control)
}

/// Returns the entry name of a database: its file name if that is valid, otherwise one derived from the database's
/// name.
///
/// `taken` are the existing entries; a second one with the same name is prefixed with the database's name.
pub fn entry_name(path: &Path, database: &Name, taken: &[String]) -> String {
    let free = |name: &String| {
        is_file_name(name)
            && name.len() <= MAX_ENTRY_BYTES
            && name != METADATA_ENTRY
            && name != RESTORE_ENTRY
            && !taken.contains(name)
    };
    let plain = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let prefixed = plain.as_ref().map(|name| format!("{database}_{name}"));
    [plain, prefixed].into_iter().flatten().find(free).unwrap_or_else(|| format!("{database}.db"))
}

/// Makes a text safe for a terminal: control characters and direction marks become `?`.
///
/// Line breaks count as control characters: a name must not forge a line of output.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers = |char: char| {
        char.is_control()
            || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(steers) {
        Cow::Owned(text.chars().map(|char| if steers(char) { '?' } else { char }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
