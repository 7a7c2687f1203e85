//! The unreadable parts of the databases in a damaged archive: shown before the prompt and again afterwards.

use std::ops::RangeInclusive;

use crate::archive::Unreadable;

/// How many ranges of pages are named one by one.
const NAMED: usize = 10;

/// Why a database in an archive is damaged, and which parts are unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What was found first.
    pub why: String,
    /// The parts of the database that become zeros.
    pub unreadable: Unreadable,
    /// The size of the database and of its pages, if known.
    pub(super) sizes: Option<(u64, u64)>,
}

impl Damage {
    /// Returns the numbers of the pages that become zeros, whole or in part; `None` if the page size is unknown.
    pub fn pages(&self) -> Option<Vec<RangeInclusive<u64>>> {
        let (_, page) = self.sizes?;
        // A page can end one range and start the next.
        let mut pages: Vec<RangeInclusive<u64>> = Vec::new();
        for range in &self.unreadable {
            let (first, last) = (range.start / page + 1, range.end.div_ceil(page));
            match pages.last_mut() {
                Some(before) if *before.end() + 1 >= first => *before = *before.start()..=last.max(*before.end()),
                _ => pages.push(first..=last),
            }
        }
        Some(pages)
    }

    /// Says what cannot be read: `pages 257-512 and 1025 of 1306 cannot be read`.
    pub fn lost(&self) -> String {
        if self.unreadable.is_empty() {
            return "every page can be read, but not all may be right".into();
        }
        let (unit, of, ranges) = match (self.pages(), self.sizes) {
            (Some(pages), Some((bytes, page))) => ("pages", Some(bytes.div_ceil(page)), pages),
            _ => ("bytes", None, self.unreadable.iter().map(|range| range.start..=range.end - 1).collect()),
        };
        let named = ranges.iter().take(NAMED).map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        let mut text = format!("{unit} {}", named.collect::<Vec<_>>().join(", "));
        if ranges.len() > NAMED {
            text.push_str(&format!(" and {} more ranges", ranges.len() - NAMED));
        }
        if let Some(all) = of {
            text.push_str(&format!(" of {all}"));
        }
        text + " cannot be read"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_once_and_in_ranges() {
        let damage = |unreadable, sizes| Damage { why: String::new(), unreadable, sizes };
        let sizes = Some((40_960, 4096));
        assert_eq!(
            damage(vec![0..4096, 10_000..10_010, 12_000..12_300], sizes).lost(),
            "pages 1, 3-4 of 10 cannot be read"
        );
        assert_eq!(damage(vec![4096..8192, 8192..40_960], sizes).lost(), "pages 2-10 of 10 cannot be read");
        assert_eq!(damage(vec![5..10, 12..13], None).lost(), "bytes 5-9, 12 cannot be read");
        assert_eq!(damage(Vec::new(), sizes).pages(), Some(Vec::new()));
        let many = (0..12).map(|number| number * 8192..number * 8192 + 1).collect();
        assert!(
            damage(many, Some((100 * 4096, 4096))).lost().ends_with("17, 19 and 2 more ranges of 100 cannot be read")
        );
    }
}
