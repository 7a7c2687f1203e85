//! The text of `heirloom.toml` as a layer of settings.
//!
//! All problems of a file are found in one pass, each with its line and key. A file that has any is not used at all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::copies::FileCopy;
use super::notify::{Event, FileReceiver};
use super::server::ServerToken;
use super::value::{not, parsed};
use super::variables::expand;
use super::{Key, Origin, Pattern, Problem, Settings, ShrinkWatch, Value};
use crate::names::{Name, printable};
use crate::schedule::Line;

/// The content of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayer {
    /// The file. Relative paths in it start from its folder.
    pub path: PathBuf,
    /// The settings and their lines.
    pub(super) settings: Vec<(Key, Value, usize)>,
    /// The databases of all sets, in the order of the file.
    pub(super) databases: Vec<FileDatabase>,
    /// The sets that stand for one set per file, in the order of the file.
    pub(super) each: Vec<FileEach>,
    /// The further stores, in the order of the file.
    pub(super) copies: Vec<FileCopy>,
    /// Who hears of what, in the order of the file.
    pub(super) receivers: Vec<FileReceiver>,
    /// What receivers hear of that choose nothing, if it is set.
    pub(super) notify_on: Option<Vec<Event>>,
    /// How sets watch for shrinks, if they set it.
    pub(super) shrinks: Vec<(Name, ShrinkWatch)>,
    /// The tokens of the admin server, in the order of the file.
    pub(super) tokens: Vec<ServerToken>,
}

/// A pattern in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEach {
    pub(super) set: Name,
    pub(super) pattern: String,
    pub(super) line: usize,
}

/// A database in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDatabase {
    pub(super) set: Name,
    pub(super) name: Name,
    /// The candidate paths, best first; never empty.
    pub(super) candidates: Vec<String>,
    pub(super) line: usize,
}

impl FileDatabase {
    /// Returns the whole key: `sets.app.databases.user`.
    pub(super) fn key(&self) -> String {
        format!("sets.{}.databases.{}", self.set, self.name)
    }
}

impl FileLayer {
    /// Returns the tokens of the admin server, in the order of the file.
    pub fn tokens(&self) -> &[ServerToken] {
        &self.tokens
    }

    /// Reads the text of a configuration file. The path is used for messages and relative paths; nothing is opened.
    pub fn parse(path: &Path, text: &str) -> (Self, Vec<Problem>) {
        // toml rejects a byte order mark with a message about a key, and editors do not show the mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader {
            breaks: text.match_indices('\n').map(|(at, _)| at).collect(),
            layer: Self {
                path: path.to_owned(),
                settings: Vec::new(),
                databases: Vec::new(),
                each: Vec::new(),
                copies: Vec::new(),
                receivers: Vec::new(),
                notify_on: None,
                shrinks: Vec::new(),
                tokens: Vec::new(),
            },
            problems: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            reader.problem(error.span().unwrap_or_default(), String::new(), error.message().to_owned());
        }
        // After a syntax error the recovered values are guesses; problems in them would mislead.
        if errors.is_empty() {
            reader.root(table.get_ref());
        }
        reader.problems.sort_by_key(|problem| match problem.place.as_deref() {
            Some(Origin::File { line, .. }) => *line,
            _ => 0,
        });
        if !errors.is_empty() {
            // One mistake often causes several errors on its line.
            reader.problems.dedup_by(|second, first| second.place == first.place);
        }
        (reader.layer, reader.problems)
    }

    /// Returns the folder that relative paths start from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Returns the place of a line.
    pub(super) fn origin(&self, line: usize, variables: Vec<String>) -> Origin {
        Origin::File { path: self.path.clone(), line, variables }
    }
}

pub(super) struct Reader {
    /// Offsets of the line ends, computed once because every setting looks them up.
    breaks: Vec<usize>,
    pub(super) layer: FileLayer,
    problems: Vec<Problem>,
}

pub(super) type Entries<'a, 't> = Vec<(&'a Spanned<std::borrow::Cow<'t, str>>, &'a Spanned<DeValue<'t>>)>;

impl Reader {
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        self.breaks.partition_point(|at| *at < span.start) + 1
    }

    pub(super) fn problem(&mut self, span: Range<usize>, key: String, message: String) {
        self.problem_at(self.line(span), key, message);
    }

    pub(super) fn problem_at(&mut self, line: usize, key: String, message: String) {
        let place = self.layer.origin(line, Vec::new());
        self.problems.push(Problem { place: Some(place.into()), key, message, remedy: None });
    }

    /// Returns the entries of a table. Reports a value that is not a table, and returns nothing.
    pub(super) fn entries<'a, 't>(&mut self, value: &'a Spanned<DeValue<'t>>, key: &str) -> Entries<'a, 't> {
        match value.get_ref() {
            DeValue::Table(table) => table.iter().collect(),
            other => {
                self.problem(value.span(), key.to_owned(), format!("must be a table, not {}", kind(other)));
                Vec::new()
            }
        }
    }

    fn root(&mut self, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            let section: &str = name.get_ref();
            if section == "sets" {
                self.sets(value);
            } else if section == "copies" {
                self.copies(value);
            } else if section == "notify" {
                self.notify(value);
            } else if section == "server" {
                self.server(value);
            } else if let Some(key) = Key::ALL.into_iter().find(|key| key.section().is_empty() && key.name() == section)
            {
                self.setting(key, name, value);
            } else if Key::ALL.iter().any(|key| key.section() == section) {
                self.section(section, value);
            } else {
                let top = Key::ALL.iter().filter(|key| key.section().is_empty()).map(|key| key.name());
                let sections = Key::ALL.iter().map(|key| key.section()).filter(|section| !section.is_empty());
                let sections = sections.chain(["sets", "copies", "notify"]).chain(top);
                let message = unknown("is not a section", section, sections, |key| key.name() == section);
                self.problem(name.span(), shown(section), message);
            }
        }
    }

    fn section(&mut self, section: &str, value: &Spanned<DeValue<'_>>) {
        for (name, value) in self.entries(value, section) {
            self.section_entry(section, name, value);
        }
    }

    pub(super) fn section_entry(
        &mut self,
        section: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let text: &str = name.get_ref();
        let is_named = |key: &Key| key.name() == text || key.former_name() == Some(text);
        let Some(key) = Key::ALL.into_iter().find(|key| key.section() == section && is_named(key)) else {
            let siblings = Key::ALL.iter().filter(|key| key.section() == section).map(|key| key.name());
            let message = unknown("is not a setting", text, siblings, |key| key.name() == text);
            return self.problem(name.span(), format!("{section}.{}", shown(text)), message);
        };
        self.setting(key, name, value);
    }

    /// Returns a path of the file: relative ones start from its folder.
    pub(super) fn layer_path(&self, text: &str) -> PathBuf {
        self.layer.folder().join(text)
    }

    pub(super) fn push_token(&mut self, token: ServerToken) {
        self.layer.tokens.push(token);
    }

    fn setting(&mut self, key: Key, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        if let (Key::Cron, DeValue::Array(lines)) = (key, value.get_ref()) {
            let texts = lines.iter().filter_map(|line| line.get_ref().as_str().map(|text| (line.span(), text)));
            let wrong: Vec<_> =
                texts.filter_map(|(span, text)| Line::parse(text).err().map(|message| (span, message))).collect();
            if !wrong.is_empty() {
                wrong.into_iter().for_each(|(span, message)| self.problem(span, key.to_string(), message));
                return;
            }
        }
        let found = match (key, value.get_ref()) {
            (key, value)
                if Key::HOOKS.contains(&key)
                    || matches!(
                        key,
                        Key::FormerHosts | Key::Recipients | Key::PassEnv | Key::HookPassEnv | Key::TrustedProxy
                    )
                    || matches!((key, value), (Key::IdentityFile | Key::Cron, DeValue::Array(_))) =>
            {
                texts(value)
            }
            (_, value) => scalar(value),
        };
        let found = if self.layer.settings.iter().any(|(known, _, _)| *known == key) {
            Err(format!("is set twice, as \"{}\" and by its former name; keep one of them", key.name()))
        } else {
            found
        };
        match found.and_then(|value| possible(key, &value).map(|()| value)) {
            Ok(value) => {
                let line = self.line(name.span());
                self.layer.settings.push((key, value, line));
            }
            Err(message) => self.problem(value.span(), key.to_string(), message),
        }
    }

    fn sets(&mut self, value: &Spanned<DeValue<'_>>) {
        let mut names = HashMap::new();
        for (name, value) in in_order(self.entries(value, "sets")) {
            let Some(set) = self.name(name, "sets", &mut names) else { continue };
            let key = format!("sets.{set}");
            let (mut any, mut each) = (false, false);
            for (inner, value) in self.entries(value, &key) {
                let text: &str = inner.get_ref();
                if text == "databases" {
                    any = true;
                    self.databases(&set, inner.span(), value);
                } else if text == "each" {
                    each = true;
                    self.each(&set, inner.span(), value);
                } else if text == "shrink" {
                    match value.get_ref() {
                        DeValue::String(text) if text == "warn" => {
                            self.layer.shrinks.push((set.clone(), ShrinkWatch::Warn))
                        }
                        DeValue::String(text) if text == "off" => {
                            self.layer.shrinks.push((set.clone(), ShrinkWatch::Off))
                        }
                        other => {
                            let found = scalar(other).unwrap_or_else(|_| Value::Text(kind(other).to_owned()));
                            self.problem(value.span(), format!("{key}.shrink"), not("\"warn\" or \"off\"", &found));
                        }
                    }
                } else {
                    any = true;
                    let message =
                        unknown("is not a setting of a set", text, ["databases", "each", "shrink"].into_iter(), |_| {
                            false
                        });
                    self.problem(inner.span(), format!("{key}.{}", shown(text)), message);
                }
            }
            if any && each {
                let message = "has databases and each: a set is one of both, so give the other a name of its own";
                self.problem(name.span(), key, message.into());
            } else if !any && !each && matches!(value.get_ref(), DeValue::Table(_)) {
                self.problem(name.span(), key, "names no databases".into());
            }
        }
    }

    fn each(&mut self, set: &Name, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let checked = match value.get_ref() {
            DeValue::String(text) => expand(text, |_| Some("x".into()))
                // A variable may hold the wildcard.
                .and_then(|_| if text.contains('$') { Ok(()) } else { Pattern::new(Path::new(&**text)).map(drop) })
                .map(|()| text.to_string()),
            other => Err(format!("must be a path with wildcards, not {}", kind(other))),
        };
        match checked {
            Ok(pattern) => {
                let line = self.line(span);
                self.layer.each.push(FileEach { set: set.clone(), pattern, line });
            }
            Err(message) => self.problem(value.span(), format!("sets.{set}.each"), message),
        }
    }

    fn databases(&mut self, set: &Name, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let key = format!("sets.{set}.databases");
        let entries = in_order(self.entries(value, &key));
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            if let Some(problem) = self.problems.last_mut() {
                problem.remedy = Some("give each database a name: databases = { app = \"/srv/app/app.db\" }".into());
            }
        } else if entries.is_empty() {
            self.problem(span, key.clone(), "names no databases".into());
        }
        let mut names = HashMap::new();
        for (name, value) in entries {
            let Some(database) = self.name(name, &key, &mut names) else { continue };
            let key = format!("{key}.{database}");
            let candidates = match value.get_ref() {
                DeValue::Array(array) => array.iter().collect(),
                _ => vec![value],
            };
            if candidates.is_empty() {
                self.problem(value.span(), key.clone(), "names no path".into());
            }
            let mut paths = Vec::new();
            for candidate in candidates {
                let checked = match candidate.get_ref() {
                    DeValue::String(text) => expand(text, |_| Some("x".into())).map(|_| text.to_string()),
                    other => Err(format!("must be a path or a list of paths, not {}", kind(other))),
                };
                match checked {
                    Ok(path) => paths.push(path),
                    Err(message) => self.problem(candidate.span(), key.clone(), message),
                }
            }
            let line = self.line(name.span());
            if !paths.is_empty() {
                self.layer.databases.push(FileDatabase { set: set.clone(), name: database, candidates: paths, line });
            }
        }
    }

    /// Accepts the name of a set or a database; two that differ only in upper and lower case would be one file on some
    /// systems.
    pub(super) fn name(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        above: &str,
        taken: &mut HashMap<String, Name>,
    ) -> Option<Name> {
        let key = || format!("{above}.{}", shown(name.get_ref()));
        let accepted = match Name::new(name.get_ref().as_ref()) {
            Err(invalid) => Err(invalid.to_string()),
            Ok(name) => match taken.entry(name.as_str().to_ascii_lowercase()) {
                Entry::Occupied(other) => Err(format!("differs from \"{}\" only in upper and lower case", other.get())),
                Entry::Vacant(free) => Ok(free.insert(name).clone()),
            },
        };
        accepted.map_err(|message| self.problem(name.span(), key(), message)).ok()
    }
}

pub(super) fn in_order<'a, 't>(mut entries: Entries<'a, 't>) -> Entries<'a, 't> {
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// Returns whether a key accepts a value, without looking at anything outside the file.
fn possible(key: Key, value: &Value) -> Result<(), String> {
    if let (Key::StoreDir | Key::StoreUrl | Key::StoreMount, Value::Text(text)) = (key, value) {
        expand(text, |_| Some("x".into()))?;
        if key == Key::StoreDir && parsed(text).is_some() {
            return Err("is a URL: write it as url".into());
        }
    }
    match (key, value) {
        (Key::ScratchDir | Key::RecipientsFile | Key::IdentityFile, Value::Text(text)) => {
            expand(text, |_| Some("x".into()))?;
        }
        (Key::IdentityFile, Value::Texts(texts)) => {
            for text in texts {
                expand(text, |_| Some("x".into()))?;
            }
        }
        _ => {}
    }
    key.set(value, &mut Settings::default())
}

fn texts(value: &DeValue<'_>) -> Result<Value, String> {
    let DeValue::Array(array) = value else { return Err(format!("must be a list of strings, not {}", kind(value))) };
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("must be a list of strings, not of {}", kind(other))),
    };
    array.iter().map(text).collect::<Result<_, _>>().map(Value::Texts)
}

pub(super) fn scalar(value: &DeValue<'_>) -> Result<Value, String> {
    match value {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Boolean(switch) => Ok(Value::Switch(*switch)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err(not("a smaller number", &Value::Text(number.to_string()))),
        },
        other => Err(format!("must be a single value, not {}", kind(other))),
    }
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns a key of the file ready to be shown: without control characters, cut to length.
pub(super) fn shown(key: &str) -> String {
    printable(key).chars().take(64).collect()
}

/// Reports an unknown name and suggests a known one: a similar one of the same table, else the same one in another
/// table.
pub(super) fn unknown<'k>(
    what: &str,
    name: &str,
    siblings: impl Iterator<Item = &'k str>,
    elsewhere: impl Fn(&Key) -> bool,
) -> String {
    let close = siblings
        .map(|sibling| {
            (strsim::damerau_levenshtein(sibling, &name.chars().take(64).collect::<String>().to_lowercase()), sibling)
        })
        .filter(|(distance, sibling)| *distance <= (sibling.len() / 3).max(1))
        .min();
    match (close, Key::ALL.into_iter().find(elsewhere)) {
        (Some((_, sibling)), _) => format!("{what}; did you mean \"{sibling}\"?"),
        (None, Some(key)) => format!("{what} here; it belongs in [{}]", key.section()),
        (None, None) => what.to_owned(),
    }
}

#[cfg(test)]
mod tests;
