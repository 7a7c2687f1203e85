//! Who can open a new archive: public keys of the form `age1…`.

use std::fmt;
use std::str::FromStr;

use age::x25519;

use crate::label::MAX_RECIPIENTS;
use crate::names::printable;

/// A public key. Archives that are encrypted to it are opened by its [`Identity`](super::Identity).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient(pub(super) x25519::Recipient);

/// Why a text is not a recipient, or a list of them cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRecipient(String);

impl fmt::Display for InvalidRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRecipient {}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        let text = text.trim();
        // A secret must not be repeated in a message.
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            let what = "is a secret key, which must not be here; `age-keygen -y FILE` prints its recipient (age1…)";
            return Err(InvalidRecipient(what.into()));
        }
        let shown: String = printable(text).chars().take(80).collect();
        let of_program = text.starts_with("ssh-") || (text.starts_with("age1") && text[4..].contains('1'));
        if of_program {
            return Err(InvalidRecipient(format!(
                "\"{shown}\" is not supported: only recipients of age's own kind (age1…) are; encrypt archives for SSH \
                 keys and plugins with the `age` program"
            )));
        }
        let recipient = text.parse().map_err(|why| {
            InvalidRecipient(format!("\"{shown}\" is not a recipient (62 characters beginning with age1): {why}"))
        });
        recipient.map(Self)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// At least one recipient, and each only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Takes the recipients of the configuration. Fails if there is none, or too many for a label.
    pub fn new(recipients: impl IntoIterator<Item = Recipient>) -> Result<Self, InvalidRecipient> {
        let mut found: Vec<Recipient> = Vec::new();
        for recipient in recipients {
            if !found.contains(&recipient) {
                found.push(recipient);
            }
        }
        match found.len() {
            0 => Err(InvalidRecipient("there is no recipient".into())),
            1..=MAX_RECIPIENTS => Ok(Self(found)),
            count => {
                Err(InvalidRecipient(format!("there are {count} recipients; at most {MAX_RECIPIENTS} are possible")))
            }
        }
    }

    /// Reads a file with one recipient in each line; empty lines and lines that begin with `#` are skipped. The error
    /// names the line.
    pub fn lines(text: &str) -> Result<Vec<Recipient>, InvalidRecipient> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let recipient = |(number, line): (usize, &str)| {
            line.parse().map_err(|InvalidRecipient(why)| InvalidRecipient(format!("line {}: {why}", number + 1)))
        };
        lines.map(recipient).collect()
    }

    /// Returns the recipients.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter()
    }

    /// Returns their texts, as in a label.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    #[test]
    fn only_recipients_of_ages_own_kind_are_accepted() {
        assert_eq!(VALID.parse::<Recipient>().unwrap().to_string(), VALID);
        for (wrong, why) in [
            ("", "is not a recipient"),
            ("age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pb", "is not a recipient"),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", "the `age` program"),
            ("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "the `age` program"),
            ("AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33", "is a secret key"),
        ] {
            let error = wrong.parse::<Recipient>().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("GQ9778"), "{error}");
        }
    }

    #[test]
    fn a_list_names_its_wrong_line_and_keeps_each_recipient_once() {
        let found = Recipients::lines(&format!("# of the office\n\n{VALID}\n{VALID}\n")).unwrap();
        assert_eq!(Recipients::new(found).unwrap().texts(), [VALID]);
        let error = Recipients::lines(&format!("{VALID}\nnobody\n")).unwrap_err().to_string();
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(Recipients::new([]).is_err());
    }
}
