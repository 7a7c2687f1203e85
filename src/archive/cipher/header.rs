//! Reads the header of an age file: text up to the line that begins with `---`. Needs no key.
//!
//! The format is <https://c2sp.org/age>. Files that break it are refused here, before the `age` crate sees them: its
//! parser takes a time that grows with the square of a long header.

use age_core::format::read::age_stanza;

use crate::archive::error::{ArchiveError, damaged};
use crate::archive::locked::Envelope;
use crate::digest::Sha256;
use crate::label::Label;
use crate::store::ReadAt;

/// The first line of a file.
const VERSION: &[u8] = b"age-encryption.org/v1\n";
/// What every version of age begins with.
const ANY_VERSION: &[u8] = b"age-encryption.org/";
/// The first line of a file in text form.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// The most bytes of a header.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// The type and the argument of the stanza that holds a label.
pub(super) const LABEL_STANZA: (&str, &str) = ("heirloom/1", "json");
/// The random bytes between the header and the encrypted data.
pub(super) const NONCE_BYTES: u64 = 16;
/// The last line of the header: `--- `, 43 characters of base64, and the end of the line.
const MAC_LINE_BYTES: usize = 4 + 43 + 1;

/// The header of an age file.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// Its length; the nonce follows.
    pub(super) bytes: usize,
    /// What it says.
    pub(crate) envelope: Envelope,
    /// Whether it can only be opened with a passphrase.
    pub(super) has_passphrase: bool,
}

/// Returns whether a file is encrypted with age.
pub(crate) fn is_encrypted(head: &[u8]) -> bool {
    head.starts_with(ANY_VERSION)
}

/// Returns whether a file is encrypted with age and was then converted to text.
pub(crate) fn is_armored(head: &[u8]) -> bool {
    head.starts_with(ARMOR)
}

impl Header {
    /// Reads the header of a file that [`is_encrypted`]. `head` is the start of the file.
    pub(crate) fn read(source: &dyn ReadAt, head: &[u8]) -> Result<Self, ArchiveError> {
        if !head.starts_with(VERSION) {
            // Or with a version of age that does not exist yet; a later release will tell them apart.
            return Err(damaged("its first line was changed after it was written"));
        }
        if let Some(header) = Self::parse(head)? {
            return Ok(header);
        }
        let most = usize::try_from(source.bytes()).unwrap_or(usize::MAX).min(MAX_HEADER_BYTES);
        if most > head.len() {
            let mut longer = head.to_vec();
            longer.resize(most, 0);
            source.read_exact_at(&mut longer[head.len()..], head.len() as u64)?;
            if let Some(header) = Self::parse(&longer)? {
                return Ok(header);
            }
        }
        Err(match most {
            MAX_HEADER_BYTES => ArchiveError::Hostile { why: "its age header is longer than 64 KiB".into() },
            _ => damaged("it is truncated inside its age header"),
        })
    }

    /// Parses the start of a file; `None` if the header does not end in it.
    fn parse(text: &[u8]) -> Result<Option<Self>, ArchiveError> {
        let broken = || damaged("its age header is corrupt");
        let Some(mac_at) = text.windows(4).position(|window| window == b"\n---").map(|before| before + 1) else {
            return Ok(None);
        };
        let (head, mac) = text.split_at(mac_at);
        let Some(mac) = mac.get(..MAC_LINE_BYTES) else { return Ok(None) };
        let is_mac =
            mac.starts_with(b"--- ") && mac.ends_with(b"\n") && mac[4..MAC_LINE_BYTES - 1].iter().all(is_base64);
        if !is_mac {
            return Err(broken());
        }
        let mut stanzas = &head[VERSION.len()..];
        if stanzas.is_empty() {
            return Err(broken());
        }
        let (mut labels, mut has_passphrase) = (Vec::new(), false);
        while !stanzas.is_empty() {
            let (rest, stanza) = age_stanza(stanzas).map_err(|_| broken())?;
            if stanza.tag == LABEL_STANZA.0 && stanza.args == [LABEL_STANZA.1] {
                labels.push(stanza.body());
            }
            has_passphrase |= stanza.tag == "scrypt";
            stanzas = rest;
        }
        // Nobody writes two labels: neither of them counts.
        let label = if let [only] = labels.as_slice() { Label::read(only) } else { None };
        let bytes = mac_at + MAC_LINE_BYTES;
        let envelope = Envelope { label, header: Sha256::of(&text[..bytes]) };
        Ok(Some(Self { bytes, envelope, has_passphrase }))
    }
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "age-encryption.org/v1
-> X25519 CJM36AHmTbdHSuOQL+NESqyVQE75f2e610iRdLPEN20
C3ZAeY64NXS4QFrksLm3EGz+uPRyI0eQsWw7LWbbYig
--- fgMiVLJHMlg9fW7CVG/hPS5EAU4Zeg19LyCP7SoH5nA
";

    /// A source in memory.
    struct Bytes(Vec<u8>);

    impl ReadAt for Bytes {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }
    }

    fn read(text: &str, head: usize) -> Result<Header, ArchiveError> {
        let bytes = text.as_bytes().to_vec();
        Header::read(&Bytes(bytes.clone()), &bytes[..head.min(bytes.len())])
    }

    #[test]
    fn a_header_ends_after_its_code_wherever_the_first_read_ended() {
        let text = format!("{PLAIN}0123456789abcdef and so on");
        for head in [22, 23, 100, PLAIN.len() - 1, PLAIN.len(), text.len()] {
            assert_eq!(read(&text, head).unwrap().bytes, PLAIN.len(), "{head}");
        }
        for cut in 22..PLAIN.len() {
            assert!(read(&PLAIN[..cut], 4096).is_err_and(|error| error.is_evidence()), "{cut}");
        }
    }

    #[test]
    fn a_header_that_age_does_not_write_is_refused() {
        let lines: Vec<&str> = PLAIN.lines().collect();
        let without_stanzas = format!("{}\n{}\n", lines[0], lines[3]);
        let long_line = PLAIN.replace("C3ZA", &"A".repeat(80));
        let padded = PLAIN.replace("bbYig", "bbYig=");
        let no_body = format!("{}\n{}\n{}\n", lines[0], lines[1], lines[3]);
        let double_space = PLAIN.replace("-> X25519 ", "-> X25519  ");
        let mac = PLAIN.replace("5nA", "5n");
        for wrong in [without_stanzas, long_line, padded, no_body, double_space, mac] {
            assert!(matches!(read(&wrong, 4096), Err(ArchiveError::Damaged { .. })), "{wrong}");
        }
        assert!(matches!(read(&PLAIN.replace("org/v1", "org/v2"), 4096), Err(ArchiveError::Damaged { .. })));
        let endless = format!("age-encryption.org/v1\n{}", "-> x\n\n".repeat(20_000));
        assert!(matches!(read(&endless, 4096), Err(ArchiveError::Hostile { .. })));
    }
}
