//! The bundle that a version is uploaded as: a tar in gzip with the archive, its description, and a page.
//!
//! It is written as it is sent, so neither memory nor disk holds it. An archive is compressed already, so the gzip
//! stores its bytes: the length is known before the first byte is read. The tar is POSIX ustar, with the extension of
//! GNU for long names and large files; the gzip is RFC 1952 with the stored blocks of RFC 1951.

use std::io::{self, Read};

use super::description::FILE;

/// The largest stored block of deflate, in bytes.
const BLOCK: usize = 65_535;
/// The unit of a tar, in bytes.
const RECORD: usize = 512;
/// The longest name in a header of ustar, in bytes.
const SHORT_NAME: usize = 100;
/// The largest size in octal digits.
const MAX_OCTAL: u64 = 0o777_7777_7777;
/// No flags, no time, an unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const GZIP_TAIL: usize = 8;

/// Everything in a bundle but the bytes of the archive.
pub(super) struct Frame {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// The size of the archive.
    bytes: u64,
}

impl Frame {
    /// Prepares the bundle of an archive with its description.
    pub(super) fn new(name: &str, bytes: u64, description: &str) -> Self {
        let manifest = serde_json::json!({
            "version": 1,
            "locale": "en_US",
            "platform": "3.5.1",
            "metadata": {
                "appmode": "static",
                "primary_rmd": null,
                "primary_html": "index.html",
                "content_category": "pin",
                "has_parameters": false,
            },
            "packages": null,
            "files": [FILE, "index.html", name],
            "users": null,
        });
        let mut head = Vec::new();
        for (file, content) in
            [("manifest.json", manifest.to_string()), (FILE, description.to_owned()), ("index.html", page(name))]
        {
            add_header(&mut head, file, content.len() as u64, b'0');
            head.extend_from_slice(content.as_bytes());
            pad(&mut head);
        }
        add_header(&mut head, name, bytes, b'0');
        let rest = (bytes % RECORD as u64) as usize;
        let tail = vec![0; (RECORD - rest) % RECORD + 2 * RECORD];
        Self { head, tail, bytes }
    }

    /// Returns the length of the bundle.
    pub(super) fn len(&self) -> u64 {
        let inside = self.head.len() as u64 + self.bytes + self.tail.len() as u64;
        (GZIP_HEAD.len() + GZIP_TAIL) as u64 + inside + 5 * inside.div_ceil(BLOCK as u64)
    }

    /// Writes the bundle in pieces. `give` gets each piece, and how many bytes of the archive are in it.
    ///
    /// Fails with `UnexpectedEof` if the archive is shorter than announced. A longer one is cut, so its digest differs.
    pub(super) fn write(
        &self,
        archive: &mut dyn Read,
        mut give: impl FnMut(Vec<u8>, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let inside = self.head.len() as u64 + self.bytes + self.tail.len() as u64;
        let mut source = self.head.as_slice().chain(archive.take(self.bytes)).chain(self.tail.as_slice());
        let (archive_start, archive_end) = (self.head.len() as u64, self.head.len() as u64 + self.bytes);
        let mut crc = Crc::default();
        let mut done = 0;
        while done < inside {
            let count = (inside - done).min(BLOCK as u64);
            let is_last = done + count == inside;
            let mut piece = if done == 0 { GZIP_HEAD.to_vec() } else { Vec::new() };
            let length = u16::try_from(count).expect("a block has at most 65535 bytes");
            piece.push(u8::from(is_last));
            piece.extend_from_slice(&length.to_le_bytes());
            piece.extend_from_slice(&(!length).to_le_bytes());
            let start = piece.len();
            piece.resize(start + usize::from(length), 0);
            source.read_exact(&mut piece[start..])?;
            crc.add(&piece[start..]);
            if is_last {
                piece.extend_from_slice(&crc.value().to_le_bytes());
                piece.extend_from_slice(&(inside as u32).to_le_bytes());
            }
            let of_archive = (done + count).min(archive_end).saturating_sub(done.max(archive_start));
            give(piece, of_archive)?;
            done += count;
        }
        Ok(())
    }
}

/// The page that a browser shows.
fn page(name: &str) -> String {
    let mut shown = String::new();
    for char in name.chars() {
        match char {
            '&' | '<' | '>' | '"' | '\'' | '%' | '?' | '#' => shown.push_str(&format!("&#{};", char as u32)),
            char => shown.push(char),
        }
    }
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{shown}</title></head>\n<body><p>An archive of \
         <code>heirloom</code>: <code>{shown}</code></p></body></html>\n"
    )
}

fn pad(tar: &mut Vec<u8>) {
    tar.resize(tar.len().next_multiple_of(RECORD), 0);
}

/// Adds the header of an entry, and before it an entry of GNU if the name is long.
fn add_header(tar: &mut Vec<u8>, name: &str, bytes: u64, kind: u8) {
    if name.len() > SHORT_NAME {
        add_header(tar, "././@LongLink", name.len() as u64 + 1, b'L');
        tar.extend_from_slice(name.as_bytes());
        tar.push(0);
        pad(tar);
    }
    let mut header = [0; RECORD];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(SHORT_NAME)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if bytes <= MAX_OCTAL {
        put(124, format!("{bytes:011o}\0").as_bytes());
    } else {
        // Base 256, as GNU and everybody reads it.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &bytes.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
}

/// The checksum of gzip: CRC-32 of ISO 3309.
struct Crc(u32);

impl Default for Crc {
    fn default() -> Self {
        Self(!0)
    }
}

/// Eight tables: the checksum of a byte that is followed by as many zero bytes.
static TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
};

impl Crc {
    fn add(&mut self, bytes: &[u8]) {
        let mut eights = bytes.chunks_exact(8);
        for eight in &mut eights {
            let first = self.0 ^ u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]);
            let index = |value: u32, shift: u32| (value >> shift & 0xff) as usize;
            self.0 = TABLES[7][index(first, 0)]
                ^ TABLES[6][index(first, 8)]
                ^ TABLES[5][index(first, 16)]
                ^ TABLES[4][index(first, 24)]
                ^ TABLES[3][usize::from(eight[4])]
                ^ TABLES[2][usize::from(eight[5])]
                ^ TABLES[1][usize::from(eight[6])]
                ^ TABLES[0][usize::from(eight[7])];
        }
        for byte in eights.remainder() {
            self.0 = self.0 >> 8 ^ TABLES[0][((self.0 ^ u32::from(*byte)) & 0xff) as usize];
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_checksum_is_that_of_gzip() {
        for (text, expected) in [("", 0), ("a", 0xe8b7_be43), ("123456789", 0xcbf4_3926)] {
            let mut crc = Crc::default();
            crc.add(text.as_bytes());
            assert_eq!(crc.value(), expected, "{text}");
        }
    }

    fn bundle(name: &str, archive: &[u8]) -> Vec<u8> {
        let frame = Frame::new(name, archive.len() as u64, "file: x\n");
        let (mut bytes, mut counted) = (Vec::new(), 0);
        frame
            .write(&mut &*archive, |piece, of_archive| {
                bytes.extend(piece);
                counted += of_archive;
                Ok(())
            })
            .unwrap();
        assert_eq!((bytes.len() as u64, counted), (frame.len(), archive.len() as u64));
        bytes
    }

    #[test]
    fn tar_and_gzip_read_a_bundle_of_any_size_and_name() {
        for name in ["a.tar.gz", &format!("{}.tar.gz", "n".repeat(200))] {
            for bytes in [0, 1, 511, 512, 513, 60_000, 65_535, 65_536, 200_000] {
                let archive: Vec<u8> = (0..bytes).map(|index| (index * 7 / 3) as u8).collect();
                let mut tar = Command::new("tar")
                    .args(["-xzO", "-f", "-", name])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let bundle = bundle(name, &archive);
                let mut input = tar.stdin.take().unwrap();
                let writer = std::thread::spawn(move || input.write_all(&bundle).unwrap());
                let output = tar.wait_with_output().unwrap();
                writer.join().unwrap();
                assert!(output.status.success() && output.stdout == archive, "{name} {bytes}");
            }
        }
    }

    #[test]
    fn sizes_above_8_gib_are_written_in_base_256() {
        let frame = Frame::new("a.tar.gz", 9 << 30, "");
        let header = &frame.head[frame.head.len() - RECORD..];
        assert_eq!(header[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0x40, 0, 0, 0]);
    }

    #[test]
    fn an_archive_that_became_shorter_is_an_error() {
        let frame = Frame::new("a.tar.gz", 100, "");
        let failed = frame.write(&mut &b"short"[..], |_, _| Ok(())).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
    }
}
