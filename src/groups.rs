//! Groups archives as users see them: the headings of `list` and `rotate`. Pure.
//!
//! A group is a set with a host label, and the paths of its databases. Archives that share a stream are in the same
//! group, so partial archives and sets that gained a database do not create new groups, but two sites with the same set
//! name do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::names::{HostLabel, Name};
use crate::streams::{Place, Stream};

/// Archives of one set, host label and location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The set.
    pub set: Name,
    /// The machine or application.
    pub host: HostLabel,
    /// The locations of its databases.
    pub places: BTreeSet<Place>,
    /// Whether these archives are from a second application with the same set, host and path.
    pub by_file: bool,
    /// The indices of its archives, in order.
    pub members: Vec<usize>,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.set, self.host)?;
        for place in &self.places {
            write!(f, ", {place}")?;
        }
        if self.by_file { f.write_str(" (another file)") } else { Ok(()) }
    }
}

/// Groups archives, each given by the streams of its databases, in the order of their first archives.
pub fn groups<'a>(archives: impl IntoIterator<Item = Vec<&'a Stream>>) -> Vec<Group> {
    let archives: Vec<Vec<&Stream>> = archives.into_iter().collect();
    // The group number of each archive, until connected groups are merged.
    let mut number: Vec<usize> = (0..archives.len()).collect();
    let mut first_of: HashMap<&Stream, usize> = HashMap::new();
    for (index, streams) in archives.iter().enumerate() {
        for stream in streams {
            let other = *first_of.entry(stream).or_insert(index);
            let (mine, theirs) = (root(&number, index), root(&number, other));
            let (low, high) = (mine.min(theirs), mine.max(theirs));
            number[high] = low;
        }
    }
    let mut found: BTreeMap<usize, Group> = BTreeMap::new();
    for (index, streams) in archives.iter().enumerate() {
        let Some(stream) = streams.first() else { continue };
        let group = found.entry(root(&number, index)).or_insert_with(|| Group {
            set: stream.set.clone(),
            host: stream.host.clone(),
            places: BTreeSet::new(),
            by_file: false,
            members: Vec::new(),
        });
        group.by_file |= streams.iter().any(|stream| stream.file.is_some());
        group.places.extend(streams.iter().map(|stream| stream.place.clone()));
        group.members.push(index);
    }
    found.into_values().collect()
}

/// Returns whether a set has more than one group, so that its name alone is ambiguous.
pub fn are_ambiguous(groups: &[Group]) -> bool {
    let sets: BTreeSet<&Name> = groups.iter().map(|group| &group.set).collect();
    sets.len() < groups.len()
}

fn root(number: &[usize], mut index: usize) -> usize {
    while number[index] != index {
        index = number[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(host: &str, path: &str) -> Stream {
        let set = Name::new("shop").unwrap();
        Stream { set, host: HostLabel::new(host).unwrap(), place: Place::Path(path.into()), file: None }
    }

    #[test]
    fn archives_that_share_a_database_are_in_one_group() {
        let (users, orders, other) =
            (stream("web", "/a/users.db"), stream("web", "/a/orders.db"), stream("web", "/b/users.db"));
        let far = stream("web-2", "/a/users.db");
        // Partial archives, and a set that gained a database.
        let found = groups([vec![&users], vec![&other], vec![&orders], vec![&users, &orders], vec![&far]]);
        let shown: Vec<(String, &[usize])> =
            found.iter().map(|group| (group.to_string(), group.members.as_slice())).collect();
        assert_eq!(
            shown,
            [
                ("shop on web, /a/orders.db, /a/users.db".to_owned(), &[0, 2, 3][..]),
                ("shop on web, /b/users.db".to_owned(), &[1]),
                ("shop on web-2, /a/users.db".to_owned(), &[4])
            ]
        );
        assert!(are_ambiguous(&found) && !are_ambiguous(&found[..1]));
    }
}
