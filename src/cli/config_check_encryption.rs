//! The part of `heirloom config check` that concerns encryption.

use std::fs;

use super::Context;
use super::encryption::identities_of;
use super::tested::Tested;
use crate::archive::cipher::Identity;
use crate::config::{EncryptionScope, Key};
use crate::platform;
use crate::text::{count, quoted};

/// Tests recipients, identity files, and the folder for plain data.
pub(super) fn tests(context: &Context) -> Vec<Tested> {
    let (settings, encryption) = (&context.settings.encryption, &context.encryption);
    let mut tested = Vec::new();
    let mut identities = Vec::new();
    for path in &settings.identity_files {
        let what = Key::IdentityFile.to_string();
        match identities_of(path) {
            // Its error is one of the warnings of the configuration already.
            Err(_) => {}
            Ok(found) => {
                let is_open = fs::metadata(path).is_ok_and(|found| !platform::is_private(&found));
                tested.push(if is_open {
                    let hint = format!("run `chmod 600` on it: {} can be read by other users", quoted(path));
                    Tested::odd(what, hint)
                } else {
                    Tested::good(what, format!("{} holds {}", quoted(path), count(found.len() as u64, "key")))
                });
                identities.extend(found);
            }
        }
    }
    let Some(sealing) = &encryption.copies else { return tested };
    let what = if settings.recipients.is_empty() { Key::RecipientsFile } else { Key::Recipients }.to_string();
    let recipients = count(sealing.recipients.iter().count() as u64, "recipient");
    let own: Vec<_> = identities.iter().map(Identity::recipient).collect();
    let opens = sealing.recipients.iter().any(|recipient| own.contains(recipient));
    tested.push(if !identities.is_empty() && !opens {
        Tested::odd(
            Key::IdentityFile.to_string(),
            "the key here opens nothing that is encrypted for the recipients: archives can be restored elsewhere only"
                .into(),
        )
    } else {
        let what_is = match settings.scope {
            EncryptionScope::All => "archives are",
            EncryptionScope::Copies => "copies are",
        };
        Tested::good(what, format!("{what_is} encrypted for {recipients}"))
    });
    if settings.scope == EncryptionScope::Copies && context.settings.copies.is_empty() {
        let message = "nothing is encrypted: only copies would be, and there is no table [copies.NAME]";
        tested.push(Tested::odd(Key::EncryptionScope.to_string(), message.into()));
    }
    if settings.trust_labels {
        let message = "whoever can write to the store can let old archives be removed, by labels with false dates";
        tested.push(Tested::odd(Key::TrustLabels.to_string(), message.into()));
    }
    if let Some(folder) = context.scratch() {
        // Nothing is written: its first parent that exists has to allow it.
        let there = folder.ancestors().find(|part| fs::symlink_metadata(part).is_ok());
        let allowed = there.map_or(Ok(()), platform::may_make_files_in);
        tested.push(match allowed {
            Ok(()) => Tested::good(Key::ScratchDir.to_string(), format!("plain copies are made in {}", quoted(folder))),
            Err(cause) => {
                let error =
                    anyhow::Error::new(cause).context(format!("plain copies cannot be made in {}", quoted(folder)));
                Tested::bad(Key::ScratchDir.to_string(), error)
            }
        });
    }
    tested
}
