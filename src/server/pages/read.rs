//! Reads documents that may lack any field, or hold another type in it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::names::printable;

/// What is shown for a missing field.
pub(super) const NOT_KNOWN: &str = "not known";
/// How much of a text is shown, in characters: a note may have megabytes.
const LONGEST: usize = 2000;

/// Returns a text as it is in the document, for links and comparisons.
pub(super) fn raw<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// Returns a text for people: without control characters and direction marks, and not too long.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<Cow<'a, str>> {
    raw(value, key).map(brief)
}

fn brief(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", printable(&text[..end]))),
        None => printable(text),
    }
}

/// Returns a text for people, or "not known".
pub(super) fn shown<'a>(value: &'a Value, key: &str) -> Cow<'a, str> {
    text(value, key).unwrap_or(Cow::Borrowed(NOT_KNOWN))
}

/// Returns a count or a size. Measures are floating-point numbers without a fraction.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    let number = value.get(key)?;
    // `as` saturates, and JSON has no NaN.
    number.as_u64().or_else(|| number.as_f64().map(|number| number as u64))
}

/// Returns whether a field is true.
pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

/// Returns the elements of a list.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the texts of a list, for people.
pub(super) fn texts<'a>(value: &'a Value, key: &str) -> Vec<Cow<'a, str>> {
    items(value, key).iter().filter_map(Value::as_str).map(brief).collect()
}

/// Returns a part of a document, null if there is none.
pub(super) fn part<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// Returns a time.
pub(super) fn instant(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    parse(raw(value, key)?)
}

/// Parses a time of a document.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// Returns the archives of a list, of one store or of several.
pub(super) fn archives(list: &Value) -> Vec<&Value> {
    let of_stores = items(list, "stores").iter().flat_map(|store| items(store, "archives"));
    items(list, "archives").iter().chain(of_stores).collect()
}

/// Returns whether a document holds a list of archives, even an empty one.
pub(super) fn is_listed(list: &Value) -> bool {
    list.get("archives").is_some() || list.get("stores").is_some()
}
