//! Names: of sets, databases, archives and archive entries; what is allowed in them and how they are made.
//!
//! A name that comes out of an archive, a database or a configuration is data. It is validated here before
//! it becomes a part of a path, and made [`printable`] before it reaches a terminal.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// The entry that describes an archive, and its first one in format 1.
pub const METADATA_ENTRY: &str = "backup_metadata.json";
/// The entry that tells a person how to restore without this tool.
pub const RESTORE_ENTRY: &str = "RESTORE.txt";
/// The longest name of a set or a database, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest name of an archive entry: what a ustar header holds without extensions, in bytes.
pub const MAX_ENTRY_BYTES: usize = 100;

/// Why a name is refused.
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

/// The name of a set or of a database: 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot or a dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Accepts a name as it stands, or says that it cannot be one.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len())
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(name))
        } else {
            Err(InvalidName { name, what: "a name (1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot or a dash)" })
        }
    }

    /// Makes a name out of a file name: its stem, every other character replaced, cut to length. Never fails.
    pub fn from_path(path: &Path) -> Self {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut name: String = stem
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' })
            .take(MAX_NAME_BYTES)
            .collect();
        let start = name.len() - name.trim_start_matches(['.', '-']).len();
        name.drain(..start);
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

/// The file name of an archive inside a store: one path component, no control characters, not hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ArchiveName(String);

/// The endings of files that a store lists as archives, longest first.
pub const ARCHIVE_ENDINGS: [&str; 10] =
    [".sqlite3.gz", ".sqlite.gz", ".tar.gz", ".sqlite3", ".sqlite", ".db.gz", ".tgz", ".tar", ".db", ".gz"];

impl ArchiveName {
    /// Accepts a file name as it stands; refuses one that could leave the store, is hidden, or would not be listed.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let fits = is_file_name(&name)
            && !name.starts_with('.')
            && name.len() <= 255
            && ARCHIVE_ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending));
        if fits { Ok(Self(name)) } else { Err(InvalidName { name, what: "the file name of an archive" }) }
    }

    /// Makes the automatic name `<set>_<YYYYMMDD>T<HHMMSS>Z.tar.gz`; `ending` is `.tar.gz` or `.tar`.
    pub fn automatic(set: &Name, at: DateTime<Utc>, ending: &str) -> Self {
        Self(format!("{set}_{}{ending}", at.format("%Y%m%dT%H%M%SZ")))
    }

    /// Returns the name that is tried when this one is taken: `-2`, `-3` … before the ending.
    pub fn numbered(&self, number: u32) -> Self {
        let (stem, ending) = self.split();
        Self(format!("{stem}-{number}{ending}"))
    }

    /// Returns the name without its ending: what `backup_name` says.
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
/// The old forms carry no zone and are taken as they stand; the caller decides in which zone they are.
pub fn time_in_name(name: &str) -> Option<NaiveDateTime> {
    const FORMS: [(usize, &str); 3] = [(16, "%Y%m%dT%H%M%SZ"), (15, "%Y%m%d_%H%M%S"), (17, "%Y-%m-%d-%H%M%S")];
    FORMS.iter().find_map(|(length, form)| {
        // chrono takes a sign before a year, which is the dash between name and time here.
        let candidate =
            |start: usize| name.get(start..start + length).filter(|text| text.starts_with(|first: char| first.is_ascii_digit()));
        (0..name.len()).find_map(|start| NaiveDateTime::parse_from_str(candidate(start)?, form).ok())
    })
}

/// Says whether a text can be one component of a path: not empty, `.` or `..`, no slash, no control character.
pub fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control)
}

/// Returns the entry name of a database: its file name where an entry can have it, else one made of the database's name.
///
/// `taken` are the entries that are there already; a second one of the same name gets the database's name in front.
pub fn entry_name(path: &Path, database: &Name, taken: &[String]) -> String {
    let free = |name: &String| {
        is_file_name(name) && name.len() <= MAX_ENTRY_BYTES && name != METADATA_ENTRY && name != RESTORE_ENTRY && !taken.contains(name)
    };
    let plain = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let prefixed = plain.as_ref().map(|name| format!("{database}_{name}"));
    [plain, prefixed].into_iter().flatten().find(free).unwrap_or_else(|| format!("{database}.db"))
}

/// Returns a text without anything that could steer a terminal: control characters and direction marks become `?`.
///
/// Line breaks count as control characters: a name must not forge a line of output.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers = |char: char| {
        char.is_control()
            || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(steers) {
        Cow::Owned(text.chars().map(|char| if steers(char) { '?' } else { char }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for wrong in ["", ".", "..", ".hidden", "-rf", "a/b", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(Name::new(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "..", "../a.tar.gz", ".a.tar.gz", "a.txt", ".tar.gz", "a\n.tar.gz"] {
            assert!(ArchiveName::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Name::new("archerytools-2.x_y").is_ok());
    }

    #[test]
    fn any_file_name_gives_a_database_name() {
        for (path, name) in [
            ("/x/user_data.db", "user_data"),
            ("-rf.db", "rf"),
            (":memory:", "_memory_"),
            ("/", "database"),
            (".hidden.db", "hidden"),
            ("ünï☃.db", "_n__"),
        ] {
            assert_eq!(Name::from_path(Path::new(path)).as_str(), name);
        }
    }

    #[test]
    fn a_taken_archive_name_gets_a_number_before_its_ending() {
        let name = ArchiveName::new("a_20250804T163829Z.tar.gz").unwrap();
        assert_eq!(name.numbered(2).as_str(), "a_20250804T163829Z-2.tar.gz");
        assert_eq!(name.stem(), "a_20250804T163829Z");
    }

    #[test]
    fn two_databases_of_one_file_name_get_two_entries() {
        let name = |text: &str| Name::new(text).unwrap();
        let first = entry_name(Path::new("/1/app.db"), &name("one"), &[]);
        let second = entry_name(Path::new("/2/app.db"), &name("two"), std::slice::from_ref(&first));
        assert_eq!((first.as_str(), second.as_str()), ("app.db", "two_app.db"));
        assert_eq!(entry_name(Path::new("/1/new\nline.db"), &name("x"), &[]), "x.db");
        assert_eq!(entry_name(Path::new("RESTORE.txt"), &name("x"), &[]), "x_RESTORE.txt");
    }

    #[test]
    fn times_are_found_in_the_names_of_all_tools() {
        for name in ["app_20250804T163829Z.tar.gz", "archerytools_backup_20250804_163829.tar.gz", "backup-2025-08-04-163829.db"] {
            assert_eq!(time_in_name(name).map(|time| time.to_string()).as_deref(), Some("2025-08-04 16:38:29"), "{name}");
        }
        assert_eq!(time_in_name("ünï☃.db"), None);
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{202e}"), "a?[31m?b?");
    }
}
