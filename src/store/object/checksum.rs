//! MD5 in base64, as Google and Azure state it for what they received.

use md5::{Digest as _, Md5};

/// Computes it over several pieces.
#[derive(Default)]
pub(super) struct Checksum(Md5);

impl Checksum {
    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the text.
    pub(super) fn finish(self) -> String {
        base64(&self.0.finalize())
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0_u32, |value, index| value << 8 | u32::from(*group.get(index).unwrap_or(&0)));
        for digit in 0..=group.len() {
            text.push(char::from(DIGITS[(value >> (18 - 6 * digit) & 63) as usize]));
        }
        text.push_str(&"=="[..3 - group.len()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_services_do() {
        let of = |text: &[u8]| {
            let mut checksum = Checksum::default();
            text.chunks(2).for_each(|piece| checksum.update(piece));
            checksum.finish()
        };
        // `openssl md5 -binary | base64`
        assert_eq!(of(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(of(b"abc"), "kAFQmDzST7DWlj99KOF/cg==");
    }
}
