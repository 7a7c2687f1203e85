//! Which part of a long list of archives is shown. The process that makes the list cuts it, so that the server holds
//! and parses no more than it shows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which part is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Part {
    /// Only those of this set; an empty one is no choice.
    pub set: Option<String>,
    /// Only those of this kind; an empty one is no choice.
    pub kind: Option<String>,
    /// Only those after this one, in the order of the list.
    pub before: Option<String>,
    /// At most this many.
    pub limit: usize,
}

/// The list of which a part is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shelf {
    /// The sets of all archives.
    pub sets: BTreeSet<String>,
    /// The kinds of all archives.
    pub kinds: BTreeSet<String>,
    /// The chosen set; `None` is all of them.
    pub set: Option<String>,
    /// The chosen kind; `None` is all of them.
    pub kind: Option<String>,
    /// How many archives match.
    pub count: usize,
    /// How many of them come before the ones shown.
    pub first: usize,
    /// Whether the part was to come after an archive that is not in the list: then it is the first one.
    pub is_lost: bool,
    /// After which archive the part before this one comes, if there is one; `None` if that is the first.
    pub newer: Option<String>,
    /// After which archive the next part comes, if there is one.
    pub older: Option<String>,
}

impl Shelf {
    /// Leaves only a part of the archives in a list.
    pub fn cut(list: &mut Value, part: &Part) -> Self {
        let mut none = Vec::new();
        let all = list.get_mut("archives").and_then(Value::as_array_mut).unwrap_or(&mut none);
        let chosen = |choice: &Option<String>| choice.clone().filter(|choice| !choice.is_empty());
        let mut shelf = Self {
            sets: values(all, "set"),
            kinds: values(all, "kind"),
            set: chosen(&part.set),
            kind: chosen(&part.kind),
            ..Self::default()
        };
        let is = |wanted: &Option<String>, archive: &Value, name: &str| {
            wanted.is_none() || wanted.as_deref() == archive[name].as_str()
        };
        all.retain(|archive| is(&shelf.set, archive, "set") && is(&shelf.kind, archive, "kind"));
        let name = |at: usize| all.get(at).and_then(|archive| archive["archive"].as_str()).map(str::to_owned);
        let after = part.before.as_ref().map(|before| all.iter().position(|one| one["archive"] == **before));
        shelf.is_lost = after == Some(None);
        shelf.count = all.len();
        shelf.first = after.flatten().map_or(0, |at| at + 1);
        let end = all.len().min(shelf.first.saturating_add(part.limit));
        shelf.newer = shelf.first.checked_sub(part.limit + 1).and_then(name);
        shelf.older = if shelf.first < end && end < all.len() { name(end - 1) } else { None };
        all.truncate(end);
        all.drain(..shelf.first);
        shelf
    }
}

/// Returns what the archives have in a field.
fn values(all: &[Value], field: &str) -> BTreeSet<String> {
    all.iter().filter_map(|archive| archive[field].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAGE: usize = 100;

    fn part(set: Option<&str>, before: Option<String>) -> Part {
        Part { set: set.map(Into::into), kind: None, before, limit: PAGE }
    }

    #[test]
    fn parts_hold_every_archive_once_in_both_directions() {
        let archive =
            |n: usize| json!({"archive": format!("a{n}"), "set": if n.is_multiple_of(2) { "even" } else { "odd" }});
        let all = json!({"archives": (0..450).map(archive).collect::<Vec<_>>(), "store": "/b"});
        let cut = |part: &Part| {
            let mut list = all.clone();
            let shelf = Shelf::cut(&mut list, part);
            assert_eq!(list["store"], "/b");
            let archives = list["archives"].as_array().unwrap();
            (shelf, archives.iter().map(|one| one["archive"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        for (set, count) in [(None, 450), (Some("even"), 225), (Some("none"), 0)] {
            let (mut parts, mut before) = (Vec::new(), None);
            loop {
                let (shelf, shown) = cut(&part(set, before));
                assert_eq!((shelf.count, shelf.first), (count, parts.iter().map(Vec::len).sum()));
                assert!(shown.len() <= PAGE && shelf.sets.len() == 2);
                parts.push(shown);
                // The link back leads to the part that was there before.
                if shelf.first > 0 {
                    assert_eq!(cut(&part(set, shelf.newer)).1, parts[parts.len() - 2]);
                }
                before = shelf.older;
                if before.is_none() {
                    break;
                }
            }
            let every: BTreeSet<String> = parts.concat().into_iter().collect();
            assert_eq!((every.len(), parts.concat().len()), (count, count));
        }
        let (shelf, shown) = cut(&part(Some(""), Some("gone".into())));
        assert!(shelf.is_lost && shelf.first == 0 && shown.len() == PAGE && shelf.newer.is_none());
    }

    #[test]
    fn what_is_no_list_stays() {
        for mut list in [json!({}), json!({"archives": 1}), json!({"archives": [1, {"archive": 2}]})] {
            let before = list.clone();
            assert_eq!(Shelf::cut(&mut list, &part(None, None)).older, None);
            assert_eq!(list, before);
        }
    }
}
