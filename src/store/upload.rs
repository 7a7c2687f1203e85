//! A finished file to upload, and how a store recognizes it if a reply was lost.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::digest::Sha256;

/// A random number that a store keeps with a file. It distinguishes the file from an equal one that another run
/// committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u128);

impl Token {
    /// Creates a new one.
    pub fn random() -> Self {
        // The keys of the standard library's hash maps come from the system's random number generator.
        let half = || u128::from(RandomState::new().build_hasher().finish());
        Self(half() << 64 | half())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for Token {
    type Err = std::num::ParseIntError;

    fn from_str(digits: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(digits, 16).map(Self)
    }
}

/// A finished and synced file that is to get a name in a store. All attempts share one value, and so the same token.
#[derive(Debug)]
pub struct Upload {
    path: PathBuf,
    bytes: u64,
    token: Token,
    sha256: OnceLock<Sha256>,
}

impl Upload {
    /// Prepares a file for upload. It must not change any more.
    pub fn of(path: &Path) -> io::Result<Self> {
        let bytes = fs::symlink_metadata(path)?.len();
        Ok(Self { path: path.to_owned(), bytes, token: Token::random(), sha256: OnceLock::new() })
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns its token.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Returns the digest of the file. The first call reads the whole file: a store that links it never needs this.
    pub fn sha256(&self) -> io::Result<Sha256> {
        match self.sha256.get() {
            Some(known) => Ok(*known),
            None => File::open(&self.path)
                .and_then(|mut file| Sha256::of_reader(&mut file))
                .map(|found| *self.sha256.get_or_init(|| found)),
        }
    }

    /// Compares the file with the stored attributes of one with the same name.
    pub fn compare(&self, kept: &Kept) -> io::Result<Found> {
        let same = kept.token == Some(self.token) && kept.bytes == self.bytes && kept.sha256 == self.sha256()?;
        Ok(if same { Found::Same } else { Found::Other })
    }
}

/// The attributes that a store keeps with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The token that it was committed with.
    pub token: Option<Token>,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// The state of the name under which a file was to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No file.
    Absent,
    /// The file itself: an attempt succeeded although its reply was lost.
    Same,
    /// Another file.
    Other,
}
