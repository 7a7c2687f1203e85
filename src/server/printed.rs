//! What a child printed. A document may be long, so its text stays in parts as they came, until it is read.

use std::io::{self, BufReader, Read};

use axum::body::Bytes;
use serde_json::Value;

use crate::serving::{Documents, Got};

/// How long a part is, in bytes. Small enough that the allocator gives its memory back.
const PART: usize = 64 << 10;

/// What a child printed.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(Vec<Bytes>);

impl Text {
    /// Reads to the end, or to an error.
    pub(super) fn read(mut source: impl Read) -> Self {
        let mut parts = Vec::new();
        loop {
            let mut part = Vec::new();
            let read = source.by_ref().take(PART as u64).read_to_end(&mut part);
            let is_last = part.is_empty() || read.is_err();
            parts.push(part.into());
            if is_last {
                return Self(parts);
            }
        }
    }

    /// Returns whether it can be a document: all of an object.
    pub(super) fn is_object(&self) -> bool {
        let whole = |part: &Bytes| !part.trim_ascii().is_empty();
        let (first, last) = (self.0.iter().find(|part| whole(part)), self.0.iter().rfind(|part| whole(part)));
        first.is_some_and(|part| part.trim_ascii().starts_with(b"{"))
            && last.is_some_and(|part| part.trim_ascii().ends_with(b"}"))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub(super) fn parts(self) -> impl Iterator<Item = Bytes> + Send + Unpin + 'static {
        self.0.into_iter()
    }

    /// Returns it between two other texts.
    pub(super) fn within(&self, before: String, after: &'static str) -> Self {
        Self([before.into()].into_iter().chain(self.0.iter().cloned()).chain([after.into()]).collect())
    }

    /// Reads all of it as a document.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_reader(self.reader()).ok()
    }

    /// Reads it as several documents.
    pub(super) fn documents(&self) -> Option<Vec<Got>> {
        serde_json::from_reader(self.reader()).ok().map(|all: Documents| all.documents)
    }

    pub(super) fn reader(&self) -> impl Read {
        // The parser takes single bytes.
        BufReader::new(Reader { parts: &self.0, at: 0 })
    }
}

struct Reader<'a> {
    parts: &'a [Bytes],
    at: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.parts.first() {
            let rest = &part[self.at..];
            if !rest.is_empty() {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.at += count;
                return Ok(count);
            }
            (self.parts, self.at) = (&self.parts[1..], 0);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> Text {
        Text::read(format!("{value:#}\n").as_bytes())
    }

    fn archive(number: usize) -> Value {
        let databases = json!([{"name": "a\n", "rows": -1}]);
        json!({"archive": format!("a{number}"), "set": "s\u{e9}\"", "kind": null, "bytes": 1.5, "databases": databases})
    }

    fn list(count: usize) -> Value {
        let archives: Vec<Value> = (0..count).map(archive).collect();
        json!({"archives": archives, "foreign": [{"file": "x", "bytes": 1}], "store": "/b", "none": null, "yes": true})
    }

    #[test]
    fn a_text_in_several_parts_is_one_document() {
        let long = text(&list(2000));
        assert!(long.0.len() > 3);
        assert_eq!(long.value(), Some(list(2000)));
    }

    #[test]
    fn what_was_cut_off_is_no_document() {
        let whole = list(2000).to_string();
        for cut in [0, 1, PART, whole.len() - 1] {
            let part = Text::read(&whole.as_bytes()[..cut]);
            assert!(part.value().is_none() && part.documents().is_none());
            assert_eq!(part.bytes(), cut);
        }
        assert!(!Text::read(&whole.as_bytes()[..whole.len() - 1]).is_object());
        assert!(text(&list(2000)).is_object() && text(&json!({})).is_object());
        assert!(!Text::read(&b"# HELP x\n"[..]).is_object() && !Text::default().is_object());
    }
}
