//! The command line as typed. Printed commands repeat its configuration, store and set.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::GlobalArgs;
use crate::text::shell_word;

// Hidden flags of the jobs of `run`.
/// It ends when a restore begins.
pub(super) const GIVE_WAY: &str = "--give-way";
/// A backup before the start of an application: it prints a line on stderr when the databases are captured, and warns
/// of those that are old.
pub(super) const REPORT_CAPTURED: &str = "--report-captured";
/// A backup that makes no archive, and reports which archives hold what the databases hold.
pub(super) const COMPARE: &str = "--compare";

/// The command line of this run, for commands that are printed.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    config: Option<PathBuf>,
    dir: Option<PathBuf>,
    store: Option<String>,
    identity: Vec<PathBuf>,
    set: Option<String>,
    /// The name of the command.
    name: String,
    /// All arguments after the program name.
    words: Vec<String>,
}

impl Invocation {
    /// Records the command line.
    pub fn new(args: &[OsString], matches: &ArgMatches, flags: &GlobalArgs) -> Self {
        let command = matches.subcommand();
        let set = command.and_then(|(_, matches)| matches.try_get_raw("set").ok().flatten());
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        Self {
            config: flags.config.clone(),
            dir: flags.dir.clone(),
            store: flags.store.clone(),
            identity: flags.identity.clone(),
            set: set.and_then(|mut values| values.next()).map(|set| set.to_string_lossy().into_owned()),
            name: command.map(|(name, _)| name.to_owned()).unwrap_or_default(),
            words: args.iter().skip(1).map(text).collect(),
        }
    }

    /// Returns a command that can be pasted, with the `--config`, `--dir` and `--store` of this run.
    pub fn command<S: AsRef<str>>(&self, words: &[S]) -> String {
        let shown = |path: &Path| shell_word(&path.to_string_lossy());
        let mut line: Vec<String> = vec!["heirloom".into()];
        line.extend(words.iter().map(|word| shell_word(word.as_ref())));
        line.extend(self.config.iter().flat_map(|file| ["--config".into(), shown(file)]));
        line.extend(self.dir.iter().flat_map(|dir| ["--dir".into(), shown(dir)]));
        line.extend(self.store.iter().flat_map(|name| ["--store".into(), shell_word(name)]));
        line.join(" ")
    }

    /// Returns the options of this run that name the configuration, the store and the keys, for another process.
    pub fn options(&self) -> Vec<OsString> {
        let option = |name: &str, value: &Path| [OsString::from(name), value.as_os_str().to_owned()];
        let config = self.config.iter().flat_map(|file| option("--config", file));
        let dir = self.dir.iter().flat_map(|dir| option("--dir", dir));
        let store = self.store.iter().flat_map(|name| option("--store", Path::new(name)));
        config.chain(dir).chain(store).chain(self.identity.iter().flat_map(|file| option("--identity", file))).collect()
    }

    /// Returns the same in backquotes for use in a sentence, with the set if one was named.
    pub fn quoted<S: AsRef<str>>(&self, words: &[S]) -> String {
        let words = words.iter().map(|word| word.as_ref().to_owned());
        let set = self.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]);
        format!("`{}`", self.command(&words.chain(set).collect::<Vec<_>>()))
    }

    /// Returns this very command with one more flag.
    pub fn again(&self, flag: &str) -> String {
        self.repeated(&[], &[flag])
    }

    /// Returns this very command for another store, with more flags.
    pub fn elsewhere(&self, store: &str, flags: &[&str]) -> String {
        self.repeated(&["--dir", "--store", "--from"], &[&["--dir", store], flags].concat())
    }

    /// Returns this very command without the options `dropped` and their values, and with `added`.
    fn repeated(&self, dropped: &[&str], added: &[&str]) -> String {
        let command = self.words.iter().position(|word| word == "--").unwrap_or(self.words.len());
        let (ours, theirs) = self.words.split_at(command);
        let mut kept = Vec::new();
        let mut ours = ours.iter().map(String::as_str);
        while let Some(word) = ours.next() {
            let option = word.split_once('=').map_or(word, |(option, _)| option);
            // A person will run it, so flags for scripts are dropped.
            match dropped.contains(&option) || ["--color", "--progress"].contains(&option) {
                true if option == word => drop(ours.next()),
                true => {}
                false if matches!(word, "--json" | "-q" | "--quiet") => {}
                false => kept.push(word),
            }
        }
        let theirs = theirs.iter().map(String::as_str);
        let words = ["heirloom"].into_iter().chain(kept).chain(added.iter().copied()).chain(theirs);
        words.map(shell_word).collect::<Vec<_>>().join(" ")
    }

    /// Returns the set that was named.
    pub fn set(&self) -> Option<&str> {
        self.set.as_deref()
    }

    /// Returns whether a flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.words.iter().take_while(|word| *word != "--").any(|word| word == flag)
    }

    /// Returns whether it is one of these commands.
    pub fn is_one_of(&self, commands: &[&str]) -> bool {
        commands.contains(&self.name.as_str())
    }
}
