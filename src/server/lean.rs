//! Takes out of a long document what a view or an answer needs. As values, the list of 10,000 archives would take ten
//! times the memory of its text, so the text stays in parts as they came, and is read through.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

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

    /// Reads all of it as a document.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_reader(self.reader()).ok()
    }

    /// Reads it as several documents.
    pub(super) fn documents(&self) -> Option<Vec<Got>> {
        serde_json::from_reader(self.reader()).ok().map(|all: Documents| all.documents)
    }

    /// Reads it as a document with these archives alone.
    pub(super) fn with(&self, archives: &[&Archive]) -> Option<Value> {
        let archives = archives.iter().map(|one| one.archive.as_str()).collect();
        let lean = Lean { archives: &archives, is_list: false };
        lean.deserialize(&mut serde_json::Deserializer::from_reader(self.reader())).ok()
    }

    /// Returns the archives of a list, of all stores.
    pub(super) fn archives(&self) -> Option<Vec<Archive>> {
        let list: List = serde_json::from_reader(self.reader()).ok()?;
        let of_stores = list.stores.into_iter().flat_map(|store| store.archives);
        Some(list.archives.into_iter().chain(of_stores).collect())
    }

    fn reader(&self) -> impl Read {
        Reader { parts: &self.0, at: 0 }
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

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    archives: Vec<Archive>,
    #[serde(default)]
    stores: Vec<List>,
}

/// What is looked at in each archive of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Archive {
    pub(super) archive: String,
    pub(super) set: Option<String>,
    pub(super) kind: Option<String>,
}

/// A document with these archives alone.
#[derive(Clone, Copy)]
struct Lean<'a> {
    archives: &'a BTreeSet<&'a str>,
    is_list: bool,
}

impl<'de> DeserializeSeed<'de> for Lean<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lean<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        if self.is_list {
            while let Some(archive) = source.next_element::<Value>()? {
                if archive["archive"].as_str().is_some_and(|name| self.archives.contains(name)) {
                    all.push(archive);
                }
            }
        } else {
            while let Some(value) = source.next_element_seed(self)? {
                all.push(value);
            }
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = source.next_key::<String>()? {
            let is_list = name == "archives";
            all.insert(name, source.next_value_seed(Self { is_list, ..self })?);
        }
        Ok(all.into())
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
    fn chosen_archives_stay_whole() {
        let long = text(&list(2000));
        assert!(long.0.len() > 3, "the text comes in several parts");
        assert_eq!(long.value(), Some(list(2000)));
        assert_eq!(long.with(&long.archives().unwrap().iter().collect::<Vec<_>>()), Some(list(2000)));
        let whole = text(&json!({"stores": [list(3), {"archives": [archive(7)]}]}));
        let archives = whole.archives().unwrap();
        assert_eq!(archives.iter().map(|one| one.archive.as_str()).collect::<Vec<_>>(), ["a0", "a1", "a2", "a7"]);
        let chosen = whole.with(&[&archives[1], &archives[3]]).unwrap();
        assert_eq!(chosen["stores"][0]["archives"], json!([archive(1)]));
        assert_eq!(chosen["stores"][1]["archives"], json!([archive(7)]));
        assert_eq!(chosen["stores"][0]["foreign"], list(0)["foreign"]);
    }

    #[test]
    fn what_was_cut_off_is_no_document() {
        let whole = list(2000).to_string();
        for cut in [0, 1, PART, whole.len() - 1] {
            let part = Text::read(&whole.as_bytes()[..cut]);
            assert!(part.value().is_none() && part.with(&[]).is_none() && part.archives().is_none());
            assert!(part.documents().is_none());
            assert_eq!(part.bytes(), cut);
        }
        assert!(!Text::read(&whole.as_bytes()[..whole.len() - 1]).is_object());
        assert!(text(&list(2000)).is_object() && text(&json!({})).is_object());
        assert!(!Text::read(&b"# HELP x\n"[..]).is_object() && !Text::default().is_object());
    }
}
