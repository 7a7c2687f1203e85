//! Encryption with age (age-encryption.org/v1). The only module that names the `age` crate.
//!
//! An encrypted archive is a finished plain one in an age file, so `age -d -i key.txt FILE | tar xz` restores it
//! without us. Two stanzas of the header are ours: the [`Label`](crate::label::Label), for hosts without a key, and
//! that of the key of the run ([`RunKey`]), which lets the run read back what it wrote.
//!
//! | what | where |
//! |---|---|
//! | what is in the header? | `header.rs`, without a key and before `age` sees it |
//! | who can open a new archive? | `recipients.rs` |
//! | which keys are here? | `identities.rs`, `keys.rs` |
//! | write one | `encrypt.rs` |
//! | read one at any offset | `decrypted_file.rs` |

pub(crate) mod decrypted_file;
mod encrypt;
mod header;
mod identities;
mod keys;
mod recipients;

pub use encrypt::{Encrypted, encrypt};
pub(crate) use header::{Header, is_armored, is_encrypted};
pub use identities::{Identity, InvalidIdentity, identities_in};
pub use keys::{Keys, RunKey};
pub use recipients::{InvalidRecipient, Recipient, Recipients};
