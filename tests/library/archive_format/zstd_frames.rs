//! What is particular to archives of Zstandard frames: the seek table, and damage to each part.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;

use super::compressions::frames;
use super::*;

fn archive(sizes: &[usize]) -> (Vec<(&'static str, Vec<u8>)>, Vec<u8>) {
    let databases = set(sizes);
    let archive = write(&databases, Compression::Zstd(3));
    (databases, archive)
}

/// Few bits of a compressed block are unused; everything around the blocks is compared.
#[test]
fn every_changed_byte_of_a_zstd_archive_is_detected_or_changes_no_data() {
    let (_, good) = archive(&[6000, 1025]);
    let expected = read(good.clone()).unwrap();
    let in_data = data_members(&good);
    let mut silent = 0;
    for at in 0..good.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            match read(bad) {
                Err(error) => assert!(
                    error.is_evidence()
                        || matches!(error, ArchiveError::FormatTooNew { .. } | ArchiveError::WindowTooLarge { .. }),
                    "byte {at}: {error}"
                ),
                Ok(read) => {
                    assert_eq!(read, expected, "byte {at} ^ {change:#x}");
                    let unused = in_data.iter().any(|member| member.contains(&at));
                    assert!(unused, "byte {at} ^ {change:#x} went unnoticed");
                    silent += 1;
                }
            }
        }
    }
    assert!(silent < 100, "{silent} changes went unnoticed");
}

/// Records which ranges are read.
struct Watched {
    bytes: Vec<u8>,
    seen: Mutex<Vec<Range<usize>>>,
}

impl ReadAt for Watched {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.bytes.read_at(buffer, offset)?;
        self.seen.lock().unwrap().push(offset as usize..offset as usize + count);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[test]
fn only_the_frames_that_are_wanted_and_the_seek_table_are_read() {
    let (databases, bytes) = archive(&[3 * MEMBER_BYTES, 20_000, 4 * MEMBER_BYTES, 30_000]);
    let (frames, table) = frames(&bytes);
    let source = Arc::new(Watched { bytes, seen: Mutex::default() });
    let opened = Opener::new(chrono_tz::UTC).open(source.clone(), "a.tar.zst", time()).unwrap();
    let first: Vec<_> = source.seen.lock().unwrap().drain(..).collect();
    assert!(first.iter().all(|seen| seen.end <= frames[0].end.max(16 * 1024)), "{first:?}");
    assert_eq!(unpack(&opened, &[1]).unwrap(), [databases[1].1.clone()]);
    // The headers of the first two databases, and the contents of the second.
    let wanted: BTreeSet<_> = [1, 5, 6].into_iter().map(|number| frames[number].start).collect();
    for seen in source.seen.lock().unwrap().iter() {
        assert!(seen.start >= table.start || wanted.contains(&seen.start), "{seen:?} was read");
        assert!(seen.start >= table.start || frames.iter().any(|frame| frame.end == seen.end), "{seen:?} was read");
    }
}

/// A table with other sizes: each way to lie in it is found, whether the sum of the sizes is right or not.
#[test]
fn a_seek_table_that_disagrees_with_the_frames_is_found() {
    let (_, good) = archive(&[2 * MEMBER_BYTES + 512, 20_000]);
    let (frames, table) = frames(&good);
    let entry = |number: usize| table.start + 8 + 8 * number;
    for number in 0..frames.len() {
        for (field, change) in [(0, 1_i64), (0, -1), (4, 512), (4, -512), (4, 1)] {
            for balanced in [false, true] {
                let mut bad = good.clone();
                let mut add = |at: usize, change: i64| {
                    let old = u32::from_le_bytes(bad[at..at + 4].try_into().unwrap());
                    bad[at..at + 4].copy_from_slice(&((i64::from(old) + change) as u32).to_le_bytes());
                };
                add(entry(number) + field, change);
                if balanced {
                    add(entry((number + 1) % frames.len()) + field, -change);
                }
                let error = read(bad).unwrap_err();
                assert!(error.is_evidence(), "frame {number}, field {field} {change:+}: {error}");
            }
        }
    }
}

/// Frames in another order, twice, or left out, with a table that fits them.
#[test]
fn moved_repeated_and_missing_frames_are_found() {
    let (_, good) = archive(&[3 * MEMBER_BYTES, 3 * MEMBER_BYTES]);
    let (frames, table) = frames(&good);
    let build = |order: &[usize]| {
        let mut bytes: Vec<u8> = order.iter().flat_map(|&number| good[frames[number].clone()].to_vec()).collect();
        bytes.extend([0x5e, 0x2a, 0x4d, 0x18]);
        bytes.extend((8 * order.len() as u32 + 9).to_le_bytes());
        order.iter().for_each(|&number| bytes.extend(&good[table.start + 8 + 8 * number..][..8]));
        bytes.extend((order.len() as u32).to_le_bytes());
        bytes.extend([0, 0xb1, 0xea, 0x92, 0x8f]);
        bytes
    };
    let order: Vec<usize> = (0..frames.len()).collect();
    assert!(build(&order) == good);
    for junk in [&b"x"[..], &good[frames[1].clone()], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
        let bad = [&good[..table.start], junk, &good[table.start..]].concat();
        assert!(read(bad).unwrap_err().is_evidence(), "{} bytes before the seek table", junk.len());
    }
    for number in 1..frames.len() {
        let without: Vec<usize> = order.iter().copied().filter(|&one| one != number).collect();
        assert!(read(build(&without)).unwrap_err().is_evidence(), "without frame {number}");
        let mut twice = order.clone();
        twice.insert(number, number);
        assert!(read(build(&twice)).unwrap_err().is_evidence(), "frame {number} twice");
        let mut swapped = order.clone();
        swapped.swap(number, if number + 1 < frames.len() { number + 1 } else { 1 });
        assert!(read(build(&swapped)).unwrap_err().is_evidence(), "frame {number} moved");
    }
}

/// Salvages the first database; returns how many bytes cannot be read, after the rest was compared.
fn lost(bytes: Vec<u8>, contents: &[u8]) -> u64 {
    let opened = open(bytes).unwrap();
    let file = tempfile::tempfile().unwrap();
    let unreadable = opened.salvage(0, Some(&file), &Silent).unwrap();
    let mut expected = contents.to_vec();
    for range in &unreadable {
        expected[range.start as usize..range.end as usize].fill(0);
    }
    assert!(bytes_of(&file) == expected, "data was read that was not in the archive");
    unreadable.iter().map(|range| range.end - range.start).sum()
}

/// The seek table gives the place of every frame, so that only a damaged frame is lost; without it the frames lead.
#[test]
fn damage_to_a_frame_or_to_the_seek_table_costs_no_more_than_that_frame() {
    const ONE: u64 = MEMBER_BYTES as u64;
    let (databases, good) = archive(&[5 * MEMBER_BYTES + 4096, 4096]);
    let contents = &databases[0].1;
    let (frames, table) = frames(&good);
    let changed = |places: &[usize]| {
        let mut bad = good.clone();
        places.iter().for_each(|&at| bad[at] ^= 0x41);
        bad
    };
    assert_eq!(lost(good.clone(), contents), 0);
    let third = frames[4].clone();
    let block = third.start + 9;
    for (what, places, bytes) in [
        ("the frame header", vec![third.start + 1], ONE),
        ("a block header", vec![block + 2], ONE),
        ("the body", vec![third.start + 1000], ONE),
        ("the checksum", vec![third.end - 1], ONE),
        ("two frames", vec![third.start + 1000, frames[2].start + 2], 2 * ONE),
        ("an entry of the seek table", vec![table.start + 8 + 8 * 4], 0),
        ("the size of the contents in the seek table", vec![table.start + 8 + 8 * 4 + 4], ONE),
        ("the end of the seek table", vec![good.len() - 1], 0),
        ("the start of the seek table", vec![table.start], 0),
        ("the seek table and a body", vec![good.len() - 1, third.start + 1000], ONE),
        ("the seek table and a frame header", vec![good.len() - 1, third.start + 1], ONE),
    ] {
        assert_eq!(lost(changed(&places), contents), bytes, "{what} was lost");
    }
    assert_eq!(lost(good[..table.start].to_vec(), contents), 0, "the seek table is missing");
    assert_eq!(lost(good[..table.start + 20].to_vec(), contents), 0, "the seek table is cut short");
    assert_eq!(lost(good[..third.start + 1000].to_vec(), contents), 3 * ONE + 4096, "the file is cut short");
    // Neither a table nor a way to the next frame: the frames after the gap are found by their headers.
    let mut gap = good.clone();
    gap.truncate(table.start);
    gap.drain(third.start..third.start + 100);
    assert_eq!(lost(gap, contents), ONE, "a piece and the seek table are missing");
}
