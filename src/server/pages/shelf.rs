//! Which part of a long list a view shows.

use std::collections::BTreeSet;

use crate::server::lean::Archive;

/// How many backups a view of the list has.
const PAGE: usize = 100;

/// The list of which a view shows a part.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The sets of all backups.
    pub sets: BTreeSet<String>,
    /// The kinds of all backups.
    pub kinds: BTreeSet<String>,
    /// The chosen set; `None` is all of them.
    pub set: Option<String>,
    /// The chosen kind; `None` is all of them.
    pub kind: Option<String>,
    /// How many backups match.
    pub count: usize,
    /// How many of them are newer than the ones shown.
    pub first: usize,
    /// Whether the page was asked for after a backup that is not in the list.
    pub is_lost: bool,
    /// After which backup the page with newer ones starts, if there is such a page; the first one starts after none.
    pub newer: Option<Option<String>>,
    /// After which backup the page with older ones starts, if there is such a page.
    pub older: Option<String>,
}

impl Shelf {
    /// Chooses those of a list, newest first, that match a filter and come after `before`. An empty filter is the first
    /// choice of the form: all.
    pub fn choose<'a>(
        all: &'a [Archive],
        set: Option<&str>,
        kind: Option<&str>,
        before: Option<&str>,
    ) -> (Self, Vec<&'a Archive>) {
        let (set, kind) = (set.filter(|set| !set.is_empty()), kind.filter(|kind| !kind.is_empty()));
        let is = |wanted: Option<&str>, found: &Option<String>| wanted.is_none() || wanted == found.as_deref();
        let mut matching: Vec<&Archive> = all.iter().filter(|one| is(set, &one.set) && is(kind, &one.kind)).collect();
        let after = before.and_then(|before| matching.iter().position(|one| one.archive == before));
        let first = after.map_or(0, |at| at + 1);
        let end = matching.len().min(first + PAGE);
        let name = |at: usize| matching.get(at).map(|one| one.archive.clone());
        let values = |value: fn(&Archive) -> Option<&str>| {
            all.iter().filter_map(value).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let shelf = Self {
            sets: values(|one| one.set.as_deref()),
            kinds: values(|one| one.kind.as_deref()),
            set: set.map(Into::into),
            kind: kind.map(Into::into),
            count: matching.len(),
            first,
            is_lost: before.is_some() && after.is_none(),
            newer: (first > 0).then(|| first.checked_sub(PAGE + 1).and_then(name)),
            older: if end < matching.len() { name(end - 1) } else { None },
        };
        matching.truncate(end);
        (shelf, matching.split_off(first))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::lean::Text;

    #[test]
    fn pages_hold_every_backup_once_in_both_directions() {
        let archive =
            |n: usize| json!({"archive": format!("a{n}"), "set": if n.is_multiple_of(2) { "even" } else { "odd" }});
        let text = json!({"archives": (0..450).map(archive).collect::<Vec<_>>()}).to_string();
        let all = Text::read(text.as_bytes()).archives().unwrap();
        let names = |shown: &[&Archive]| shown.iter().map(|one| one.archive.clone()).collect::<Vec<_>>();
        for (set, count) in [(None, 450), (Some("even"), 225), (Some("none"), 0)] {
            let (mut pages, mut before) = (Vec::new(), None);
            loop {
                let (shelf, shown) = Shelf::choose(&all, set, None, before.as_deref());
                assert_eq!((shelf.count, shelf.first), (count, pages.iter().map(Vec::len).sum()));
                pages.push(names(&shown));
                // The link back leads to the page that was there before.
                assert_eq!(shelf.newer.is_some(), pages.len() > 1);
                if let Some(newer) = shelf.newer {
                    let (_, shown) = Shelf::choose(&all, set, None, newer.as_deref());
                    assert_eq!(names(&shown), pages[pages.len() - 2]);
                }
                before = shelf.older;
                if before.is_none() {
                    break;
                }
            }
            let every: BTreeSet<String> = pages.concat().into_iter().collect();
            assert_eq!((every.len(), pages.concat().len()), (count, count));
        }
        let (shelf, shown) = Shelf::choose(&all, Some(""), None, Some("gone"));
        assert!(shelf.is_lost && shelf.first == 0 && shown.len() == PAGE && shelf.newer.is_none());
    }
}
