//! What is known about an archive apart from its contents: its file name, which may contain a set and a time, and its
//! modification time.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::names::{Name, time_in_name};

/// What is known about a file apart from its contents.
pub(crate) struct FileLabel<'a> {
    /// Its name in the store.
    pub(crate) name: &'a str,
    /// When it was last written: used if nothing else gives a time.
    pub(crate) modified: DateTime<Utc>,
    /// The zone of times that have none.
    pub(crate) zone: Tz,
}

/// Interprets a time in a zone. An ambiguous time (clocks go back) is the first of the two; a skipped one (clocks go
/// forward) counts on from the hour before.
pub(crate) fn in_zone(time: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let exact = |time: NaiveDateTime| zone.from_local_datetime(&time).earliest().map(|time| time.to_utc());
    let hour = TimeDelta::hours(1);
    exact(time).or_else(|| exact(time - hour).map(|before| before + hour)).unwrap_or_else(|| time.and_utc())
}

/// Returns a file name without its extension.
pub(crate) fn stem(file_name: &str) -> &str {
    let ending = crate::names::ARCHIVE_ENDINGS
        .iter()
        .find(|ending| file_name.len() > ending.len() && file_name.ends_with(**ending));
    ending.map_or(file_name, |ending| &file_name[..file_name.len() - ending.len()])
}

/// Returns where the time starts in a name: the last position from which a time can be parsed.
fn time_starts(stem: &str) -> Option<usize> {
    stem.char_indices().map(|(at, _)| at).rfind(|&at| time_in_name(&stem[at..]).is_some())
}

/// Returns the time in a name. Our own form is in UTC, those of other tools are in `zone`.
pub(crate) fn time_of(stem: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let text = &stem[time_starts(stem)?..];
    let time = time_in_name(text)?;
    Some(if text.as_bytes().get(8) == Some(&b'T') { time.and_utc() } else { in_zone(time, zone) })
}

/// Returns the set in a name: what precedes the time, without `_backup`; the whole name if it has no time.
pub(crate) fn set_of(stem: &str) -> Name {
    let front = time_starts(stem).map(|at| stem[..at].trim_end_matches(['_', '-', '.']));
    let front = front.map(|front| front.strip_suffix("_backup").or(front.strip_suffix("-backup")).unwrap_or(front));
    let front = front.filter(|front| !front.is_empty()).unwrap_or(stem);
    // The extension keeps `from_path` from taking part of the name for one.
    Name::from_path(Path::new(&format!("{front}.db")))
}

/// Returns the set in the file name of an archive, for archives whose description cannot be read.
pub fn set_in_name(file_name: &str) -> Name {
    set_of(stem(file_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_what_precedes_the_time() {
        for (stem, set) in [
            ("archerytools_backup_20250804_163829", "archerytools"),
            ("backup-2025-08-04-163829", "backup"),
            ("notes_20250804T163829Z", "notes"),
            ("notes_20250804T163829Z-2", "notes"),
            ("before.the.move", "before.the.move"),
            ("20250804_163829", "20250804_163829"),
            ("_backup_20250804_163829", "_backup_20250804_163829"),
            ("a/b_20250804_163829", "b"),
        ] {
            assert_eq!(set_of(stem).as_str(), set, "{stem}");
        }
    }

    #[test]
    fn times_in_names_are_in_the_given_zone_and_ours_are_in_utc() {
        let time = |text: &str| time_of(text, chrono_tz::Europe::Stockholm).unwrap().to_string();
        assert_eq!(time("a_20250804_163829"), "2025-08-04 14:38:29 UTC");
        assert_eq!(time("a_20250804T163829Z"), "2025-08-04 16:38:29 UTC");
    }
}
