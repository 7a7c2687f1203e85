//! What is known of an encrypted archive without its key.

use std::fmt;

use crate::digest::Sha256;
use crate::label::Label;

/// What the header of an encrypted file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its label, if there is one that can be read.
    pub label: Option<Label>,
    /// The digest of the header. It is different for every file, unless somebody copied it.
    pub header: Sha256,
}

/// What is known of an encrypted file that no key here opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Locked {
    /// What its header says.
    pub envelope: Envelope,
    /// How many identities were tried.
    pub tried: usize,
    /// Whether it needs a passphrase.
    pub has_passphrase: bool,
}

impl Locked {
    /// Returns whose keys open it, according to its label.
    pub fn recipients(&self) -> &[String] {
        self.envelope.label.as_ref().map(|label| label.recipients.as_slice()).unwrap_or_default()
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.recipients() {
            _ if self.has_passphrase => f.write_str("the archive is encrypted with a passphrase")?,
            [] => f.write_str("the archive is encrypted")?,
            recipients => write!(f, "the archive is encrypted to {}", recipients.join(", "))?,
        }
        match self.tried {
            0 => f.write_str(", and no key is configured"),
            1 => f.write_str(", and the key of this host does not open it"),
            count => write!(f, ", and none of the {count} keys of this host opens it"),
        }
    }
}
