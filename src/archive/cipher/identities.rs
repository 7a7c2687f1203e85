//! The secret keys that open archives, and the files that hold them.

use std::fmt;

use age::secrecy::ExposeSecret as _;
use age::x25519;

use super::header::{is_armored, is_encrypted};
use super::recipients::Recipient;

/// What a secret key begins with.
const SECRET_KEY: &str = "AGE-SECRET-KEY-1";

/// A secret key. It prints as its recipient, never as itself.
#[derive(Clone)]
pub struct Identity(pub(super) x25519::Identity);

impl Identity {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Returns its public key.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Returns the text of a file that holds it, as `age-keygen` writes it. A secret.
    pub fn file_text(&self, created: &str) -> String {
        let secret = self.0.to_string();
        format!("# created: {created}\n# public key: {}\n{}\n", self.recipient(), secret.expose_secret())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient())
    }
}

/// Why a file does not hold identities. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidIdentity {
    /// It is encrypted with a passphrase.
    Encrypted,
    /// A line is a key of another kind: SSH, or a plugin's.
    OtherKind {
        /// Counted from 1.
        line: usize,
    },
    /// A line is neither a key nor a comment.
    Broken {
        /// Counted from 1.
        line: usize,
    },
    /// It has no key.
    Empty,
}

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted => f.write_str(
                "is protected by a passphrase; decrypt it first with `age -d`, into a file on a memory disk",
            ),
            Self::OtherKind { line } => write!(
                f,
                "has a key in line {line} that is not of age's own kind (AGE-SECRET-KEY-1…); decrypt archives for SSH \
                 keys and plugins with the `age` program"
            ),
            Self::Broken { line } => write!(f, "has neither a key nor a comment in line {line}"),
            Self::Empty => f.write_str("holds no key (a line that begins with AGE-SECRET-KEY-1)"),
        }
    }
}

impl std::error::Error for InvalidIdentity {}

/// Reads the text of an identity file: one key in each line, empty lines and comments between them.
pub fn identities_in(text: &str) -> Result<Vec<Identity>, InvalidIdentity> {
    if is_encrypted(text.as_bytes()) || is_armored(text.as_bytes()) {
        return Err(InvalidIdentity::Encrypted);
    }
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (text, line) = (line.trim(), number + 1);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let other_kind = text.starts_with("-----BEGIN ") || text.starts_with("AGE-PLUGIN-");
        match text.parse() {
            Ok(identity) if text.starts_with(SECRET_KEY) => found.push(Identity(identity)),
            _ if other_kind => return Err(InvalidIdentity::OtherKind { line }),
            _ => return Err(InvalidIdentity::Broken { line }),
        }
    }
    if found.is_empty() { Err(InvalidIdentity::Empty) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_age_keygen_writes_it_is_read_and_no_error_quotes_a_key() {
        let (first, second) = (Identity::generate(), Identity::generate());
        let text = format!("{}\n{}", first.file_text("2026-03-01T00:00:00Z"), second.file_text("later"));
        let found = identities_in(&text).unwrap();
        let recipients: Vec<Recipient> = found.iter().map(Identity::recipient).collect();
        assert_eq!(recipients, [first.recipient(), second.recipient()]);
        assert!(!format!("{found:?}").contains("AGE-SECRET-KEY"));

        let cut = &text[..text.find(SECRET_KEY).unwrap() + 40];
        for (text, expected) in [
            ("", InvalidIdentity::Empty),
            ("# nothing\n", InvalidIdentity::Empty),
            (cut, InvalidIdentity::Broken { line: 3 }),
            ("\n-----BEGIN OPENSSH PRIVATE KEY-----\n", InvalidIdentity::OtherKind { line: 2 }),
            ("AGE-PLUGIN-YUBIKEY-1QQQ", InvalidIdentity::OtherKind { line: 1 }),
            ("age-encryption.org/v1\n-> scrypt x 18\n", InvalidIdentity::Encrypted),
            ("-----BEGIN AGE ENCRYPTED FILE-----\n", InvalidIdentity::Encrypted),
        ] {
            let error = identities_in(text).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains(&cut[cut.len() - 10..]));
        }
    }
}
