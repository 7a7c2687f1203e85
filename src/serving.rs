//! What the admin server gets from the face that starts it. The server runs every operation as a child process of this
//! program; what only the starting process can do is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Role, ServerSettings};
use crate::digest::Sha256;
use crate::names::Name;
use crate::shelf::{Part, Shelf};

/// A server that is to be started.
#[derive(Debug)]
pub struct Serving<R> {
    /// This program.
    pub own: PathBuf,
    /// The options that name the configuration and the store, for each child.
    pub options: Vec<OsString>,
    /// Where to listen: `ADDRESS:PORT` or `unix:PATH`.
    pub listen: String,
    /// Its settings.
    pub settings: ServerSettings,
    /// Who may use it.
    pub tokens: Vec<Token>,
    /// What signs an administrator in while there is no token.
    pub code: Option<Code>,
    /// How the tokens are read again; `None` without a configuration file.
    pub reread: Option<Reread>,
    /// Where to ask.
    pub asks: Sender<Ask<R>>,
    /// Set when it is to end.
    pub stop: Arc<AtomicBool>,
}

/// A token, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, for the log.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The digest of its text.
    pub digest: Sha256,
}

/// How tokens are read again.
#[derive(Debug, Clone)]
pub struct Reread {
    /// The configuration.
    pub file: PathBuf,
    /// Returns its tokens and the files that some of them are in, or why it cannot be used.
    pub read: fn(&Path) -> Result<Tokens, String>,
}

/// Tokens, and the files that some of them are in.
pub type Tokens = (Vec<Token>, Vec<PathBuf>);

/// A code that gives one session of the page, known by its digest.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The digest of its text.
    pub digest: Sha256,
    /// When it is worth nothing any more, by a clock that nobody sets.
    pub until: Instant,
}

/// What the server asks the starting process for. `R` is an open archive.
#[derive(Debug)]
pub enum Ask<R> {
    /// It listens, at this address.
    Listens(String),
    /// Open an archive.
    Open {
        /// Its name.
        name: String,
        /// Takes the archive, or the exit code and the error object.
        reply: Sender<Result<R, (u8, Option<Value>)>>,
    },
    /// Write a line into the activity log.
    Log {
        /// What was done.
        command: &'static str,
        /// Whether it was allowed.
        is_allowed: bool,
        /// Who did it: the name of the token and the address.
        who: String,
        /// The archive.
        archive: Option<String>,
        /// Hears when it is written, or printed as a warning if it cannot be.
        written: Option<Sender<()>>,
    },
    /// Print a warning.
    Warning(String),
    /// The one-time code was redeemed.
    Redeemed {
        /// The address.
        who: String,
    },
    /// It ended.
    Ended,
}

/// The shortest token, in characters: 128 bits in base 32.
pub const SHORTEST_TOKEN: usize = 26;
/// What every token begins with, so that a scanner of sources finds one that was committed.
pub const TOKEN_START: &str = "heirloom_";

/// The first word of a command line that asks for several documents at once. [`Wanted`] follows, as a JSON array, and
/// then the options of all.
pub const DOCUMENTS: &str = "__documents";

/// A document that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The command that prints it.
    pub words: Vec<String>,
    /// The fields of each archive in its lists that are wanted; `None` stands for all.
    pub fields: Option<Vec<String>>,
    /// Which archives of its list are wanted; `None` stands for all.
    pub part: Option<Part>,
}

impl Wanted {
    /// Wants the document that a command prints.
    pub fn whole(words: &[&str]) -> Self {
        Self { words: words.iter().map(|&word| word.to_owned()).collect(), fields: None, part: None }
    }

    /// Wants it with these fields alone of each archive in its lists.
    pub fn lean(words: &[&str], fields: &[&str]) -> Self {
        Self { fields: Some(fields.iter().map(|&field| field.to_owned()).collect()), ..Self::whole(words) }
    }

    /// Wants a part of the list that a command prints.
    pub fn part(words: &[&str], part: Part) -> Self {
        Self { part: Some(part), ..Self::whole(words) }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// The exit code of the command.
    pub code: u8,
    /// The document, if it printed one.
    pub document: Option<Value>,
    /// Its error object.
    pub error: Option<Value>,
    /// The list that it is a part of, if a part was wanted.
    pub shelf: Option<Shelf>,
}

/// What comes of all of them, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Documents {
    /// One for each that is wanted.
    pub documents: Vec<Got>,
}
