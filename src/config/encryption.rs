//! The section `[encryption]`: for whom archives are encrypted, and with which keys they are read.
//!
//! What a recipient and an identity file look like is known to `archive/cipher/`; here they are texts and paths.

use std::path::PathBuf;

use chrono::NaiveDate;

use super::value::not;
use super::{Key, Value};

/// How archives are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionSettings {
    /// The public keys, as written.
    pub recipients: Vec<String>,
    /// A file with more of them.
    pub recipients_file: Option<PathBuf>,
    /// The files with secret keys.
    pub identity_files: Vec<PathBuf>,
    /// What is encrypted, if there are recipients.
    pub scope: EncryptionScope,
    /// Whether labels count that nothing here vouches for.
    pub trust_labels: bool,
    /// When somebody last opened an archive with the key, on a host that has none.
    pub key_checked: Option<NaiveDate>,
}

/// What is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncryptionScope {
    /// Every archive.
    #[default]
    All,
    /// Only copies, which leave this host.
    Copies,
}

impl EncryptionSettings {
    /// Returns whether archives are encrypted at all.
    pub fn has_recipients(&self) -> bool {
        !self.recipients.is_empty() || self.recipients_file.is_some()
    }

    pub(super) fn set(&mut self, key: Key, value: &Value) -> Result<(), String> {
        match key {
            Key::Recipients => {
                self.recipients = match value {
                    Value::Texts(texts) => texts.clone(),
                    _ => return Err(not("a list of recipients", value)),
                }
            }
            Key::RecipientsFile => self.recipients_file = Some(super::value::path(value)?),
            Key::IdentityFile => {
                self.identity_files = match value {
                    Value::Texts(texts) if texts.iter().all(|text| !text.is_empty()) => {
                        texts.iter().map(PathBuf::from).collect()
                    }
                    Value::Texts(_) => return Err("must be a path or a list of paths, not an empty string".into()),
                    one => vec![super::value::path(one)?],
                }
            }
            Key::EncryptionScope => {
                self.scope = match value {
                    Value::Text(text) if text == "all" => EncryptionScope::All,
                    Value::Text(text) if text == "copies" => EncryptionScope::Copies,
                    _ => return Err(not("\"all\" or \"copies\"", value)),
                }
            }
            Key::TrustLabels => self.trust_labels = super::value::switch(value)?,
            Key::KeyChecked => {
                let date = match value {
                    Value::Text(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
                    _ => None,
                };
                self.key_checked = Some(date.ok_or_else(|| not("a date like \"2026-03-01\"", value))?);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn get(&self, key: Key) -> Option<Value> {
        let paths = |paths: &[PathBuf]| {
            let texts: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
            Some(texts).filter(|texts| !texts.is_empty()).map(Value::Texts)
        };
        match key {
            Key::Recipients => Some(self.recipients.clone()).filter(|texts| !texts.is_empty()).map(Value::Texts),
            Key::RecipientsFile => self.recipients_file.clone().map(Value::Path),
            Key::IdentityFile => paths(&self.identity_files),
            Key::EncryptionScope => Some(Value::Text(
                match self.scope {
                    EncryptionScope::All => "all",
                    EncryptionScope::Copies => "copies",
                }
                .into(),
            )),
            Key::TrustLabels => Some(Value::Switch(self.trust_labels)),
            Key::KeyChecked => self.key_checked.map(|date| Value::Text(date.format("%Y-%m-%d").to_string())),
            _ => None,
        }
    }
}
