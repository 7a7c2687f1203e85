//! Takes out of a long document what a view or an answer needs. As values, the list of 10,000 archives would take ten
//! times the memory of its text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_json::value::RawValue;

/// The lists of archives in documents.
const LISTS: [&str; 3] = ["archives", "keep", "remove"];

/// Reads a document, and of the archives in its lists only these fields.
pub(super) fn lean(text: &[u8], fields: &[&str]) -> Option<Value> {
    value(serde_json::from_slice(text).ok()?, "", fields).ok()
}

fn value(raw: &RawValue, name: &str, fields: &[&str]) -> serde_json::Result<Value> {
    let text = raw.get();
    if text.starts_with('{') {
        let all: BTreeMap<Cow<str>, &RawValue> = serde_json::from_str(text)?;
        let all = all.into_iter().map(|(name, part)| Ok((name.clone().into_owned(), value(part, &name, fields)?)));
        all.collect::<serde_json::Result<_>>().map(Value::Object)
    } else if text.starts_with('[') && LISTS.contains(&name) {
        let archives: Vec<&RawValue> = serde_json::from_str(text)?;
        archives.into_iter().map(|archive| few(archive, fields)).collect::<serde_json::Result<_>>().map(Value::Array)
    } else if text.starts_with('[') {
        let all: Vec<&RawValue> = serde_json::from_str(text)?;
        all.into_iter().map(|part| value(part, "", fields)).collect::<serde_json::Result<_>>().map(Value::Array)
    } else {
        serde_json::from_str(text)
    }
}

fn few(archive: &RawValue, fields: &[&str]) -> serde_json::Result<Value> {
    let mut few: BTreeMap<Cow<str>, &RawValue> = serde_json::from_str(archive.get())?;
    few.retain(|name, _| fields.contains(&name.as_ref()));
    let few = few.into_iter().map(|(name, part)| Ok((name.into_owned(), serde_json::from_str(part.get())?)));
    few.collect::<serde_json::Result<_>>().map(Value::Object)
}

/// The document of `list`. Its archives stay text.
pub(super) struct List<'a> {
    /// The archives of all stores, in their order.
    pub(super) archives: Vec<Archive<'a>>,
    /// Everything else.
    rest: Value,
    /// Whether it holds archives, or could.
    is_listed: bool,
}

/// What is looked at in each archive.
#[derive(Deserialize)]
pub(super) struct Archive<'a> {
    #[serde(borrow)]
    pub(super) archive: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) set: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(skip)]
    text: &'a str,
}

impl Archive<'_> {
    /// Returns all that the list has about it.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(self.text).unwrap_or(Value::Null)
    }
}

impl<'a> List<'a> {
    /// Reads a list.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let mut top: BTreeMap<&str, &'a RawValue> = serde_json::from_slice(text).ok()?;
        let is_listed = top.contains_key("archives") || top.contains_key("stores");
        let mut found: Vec<&'a RawValue> = top.remove("archives").map_or_else(Vec::new, of);
        let stores: Vec<BTreeMap<&str, &'a RawValue>> = top.get("stores").map_or_else(Vec::new, |raw| of(raw));
        found.extend(stores.into_iter().filter_map(|mut store| store.remove("archives")).flat_map(of::<&'a RawValue>));
        let archives = found.into_iter().map(|raw| {
            let archive = serde_json::from_str::<Archive>(raw.get());
            archive.map(|archive| Archive { text: raw.get(), ..archive })
        });
        let archives = archives.collect::<serde_json::Result<_>>().ok()?;
        let rest = top.into_iter().map(|(name, part)| Ok((name.to_owned(), value(part, name, &[])?)));
        let mut rest: Map<String, Value> = rest.collect::<serde_json::Result<_>>().ok()?;
        for store in rest.get_mut("stores").and_then(Value::as_array_mut).into_iter().flatten() {
            // They stand above.
            store.as_object_mut()?.remove("archives");
        }
        Some(Self { archives, rest: Value::Object(rest), is_listed })
    }

    /// Returns the document with these archives alone.
    pub(super) fn with(mut self, archives: Vec<Value>) -> Value {
        if self.is_listed {
            self.rest["archives"] = Value::Array(archives);
        }
        self.rest
    }
}

fn of<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Vec<T> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_keeps_everything_but_the_other_fields_of_archives() {
        let archive = |name: &str| json!({"archive": name, "set": "s\u{e9}\"", "bytes": 5, "databases": [{"name": "a"}]});
        let of = |archives: Value| json!({"archives": archives, "foreign": [{"file": "x", "bytes": 1}], "store": "/b"});
        let whole = json!({"stores": [of(json!([archive("a\n"), archive("b")])), of(json!([]))], "remove": null});
        let few = |name: &str| json!({"archive": name, "set": "s\u{e9}\""});
        let expected = json!({"stores": [of(json!([few("a\n"), few("b")])), of(json!([]))], "remove": null});
        assert_eq!(lean(whole.to_string().as_bytes(), &["archive", "set"]), Some(expected));
        assert_eq!(lean(b"none", &[]), None);
    }

    #[test]
    fn the_archives_of_a_list_stay_whole() {
        let archive = |name: &str| json!({"archive": name, "set": null, "kind": "manual", "databases": [{"name": "a\n"}]});
        let text = json!({"archives": [archive("a"), archive("b\\")], "foreign": [], "store": "/b"}).to_string();
        let list = List::read(text.as_bytes()).unwrap();
        let names: Vec<String> = list.archives.iter().map(|archive| archive.archive.to_string()).collect();
        assert_eq!(names, ["a", "b\\"]);
        let last = list.archives.last().unwrap().value();
        assert_eq!(last, archive("b\\"));
        let of_stores = json!({"stores": [{"archives": [archive("c")], "foreign": [1]}, {"foreign": []}]}).to_string();
        let list = List::read(of_stores.as_bytes()).unwrap();
        assert_eq!((list.archives.len(), list.rest["stores"][0]["foreign"][0].as_u64()), (1, Some(1)));
        assert!(List::read(b"[]").is_none());
    }
}
