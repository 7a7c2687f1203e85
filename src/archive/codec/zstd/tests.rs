use std::io::BufReader;
use std::sync::Arc;

use super::seek_table::{ENTRIES_AT_ONCE, TABLE_ENTRY, TABLE_FOOTER, TABLE_HEADER};
use super::*;
use crate::archive::codec::forward::Forward;

fn contents(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 & 0x3f).collect()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn frame(level: u8, input: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Encoder::new(level).unwrap().append(input, &mut frame).unwrap();
    frame
}

#[test]
fn every_zstd_reader_sees_ordinary_frames() {
    for bytes in [1, 511, BLOCK_MAX, BLOCK_MAX + 1, 300_000] {
        let input = contents(bytes);
        let mut output = Vec::new();
        append_stored(&input, &mut output);
        assert_eq!(output.len(), stored_bytes(bytes));
        Encoder::new(3).unwrap().append(&input, &mut output).unwrap();
        let mut table = TableWriter::default();
        table.add(stored_bytes(bytes), bytes);
        output.extend(table.finish());
        assert_eq!(zstd::stream::decode_all(&output[..]).unwrap(), [&input[..], &input[..]].concat());
    }
}

#[test]
fn a_frame_returns_exactly_what_was_put_in() {
    let input = contents(100_000);
    let member = frame(1, &input);
    let mut output = vec![0; input.len()];
    Decoder::new().unwrap().open(&member, &mut output).unwrap();
    assert_eq!(output, input);
    Decoder::new().unwrap().open(&member, &mut output[..99_999]).unwrap_err();
    Decoder::new().unwrap().open(&member, &mut vec![0; 100_001]).unwrap_err();
    Decoder::new().unwrap().open(&[&member[..], b"x"].concat(), &mut output).unwrap_err();
    Decoder::new().unwrap().open(&member[..member.len() - 1], &mut output).unwrap_err();
    Decoder::new().unwrap().open(&[], &mut output).unwrap_err();
}

/// Readers compare the header instead of interpreting it, so libzstd must write the same.
#[test]
fn headers_are_those_that_libzstd_writes() {
    for bytes in [1, 255, 256, 511, 512, 65_791, 65_792, MEMBER_BYTES] {
        for level in [1, 3, 19] {
            for input in [contents(bytes), vec![0; bytes]] {
                let member = frame(level, &input);
                let expected = header(bytes as u32);
                assert!(member.starts_with(&expected), "{bytes} bytes at level {level}: {:x?}", &member[..9]);
                assert_eq!(parse_header(&member), Some((bytes as u32, expected.len())));
                assert!(is_header(&member), "{bytes} bytes at level {level}");
                let parsed = Frame::parse(&member).unwrap();
                assert_eq!((parsed.header, parsed.window), (expected.len(), bytes as u64));
                let walked = frame_at(&member, 0).unwrap().unwrap();
                assert_eq!((walked.packed as usize, walked.unpacked as usize), (member.len(), bytes));
            }
        }
    }
}

#[test]
fn every_changed_byte_of_a_stored_frame_is_detected() {
    let input = contents(BLOCK_MAX + 10);
    let mut member = Vec::new();
    append_stored(&input, &mut member);
    assert_eq!(stored_contents(&member, input.len()), Some(Ok(input.clone())));
    let start = stored_start(&member).unwrap();
    assert_eq!((start.0 as usize, start.1), (member.len(), &input[..BLOCK_MAX]));
    for at in (0..40).chain(BLOCK_MAX - 10..member.len()) {
        let mut bad = member.clone();
        bad[at] ^= 0x10;
        let found = stored_contents(&bad, input.len()).is_none_or(|contents| contents.is_err());
        assert!(found, "byte {at}");
    }
}

/// A block that repeats one byte, a raw one and a compressed one.
#[test]
fn every_changed_byte_of_a_frame_is_detected_or_changes_nothing() {
    let input = [vec![7; 300], noise(300), contents(300)].concat();
    for input in [&input[..], &input[..300], &input[300..600]] {
        let member = frame(3, input);
        let mut output = vec![0; input.len()];
        for at in 0..member.len() {
            for bit in 0..8 {
                let mut bad = member.clone();
                bad[at] ^= 1 << bit;
                let opened = Decoder::new().unwrap().open(&bad, &mut output);
                assert!(opened.is_err() || output == input, "byte {at}, bit {bit}");
                let protected = at < header(input.len() as u32).len() || at + CHECKSUM >= bad.len();
                assert!(opened.is_err() || !protected, "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn incompressible_input_hardly_grows() {
    let noise = noise(128 * 1024);
    for level in [1, 3, 19] {
        let member = frame(level, &noise);
        assert!(member.len() <= noise.len() + 100, "{}", member.len());
    }
}

/// A table with the sizes of these frames, and zeros where the frames would be.
fn file_with_table(frames: &[(usize, usize)]) -> Vec<u8> {
    let mut table = TableWriter::default();
    frames.iter().for_each(|&(packed, unpacked)| table.add(packed, unpacked));
    let mut file = vec![0; frames.iter().map(|(packed, _)| packed).sum()];
    file.extend(table.finish());
    file
}

fn walk(file: &[u8], second: usize) -> Result<Vec<(usize, usize)>, ArchiveError> {
    let file = file.to_vec();
    let mut table = Table::open(&file, second as u64)?;
    let mut at = second as u64;
    let mut seen = Vec::new();
    while let Some(member) = table.next(&file, at)? {
        seen.push((member.packed as usize, member.unpacked as usize));
        at = member.end();
    }
    Ok(seen)
}

#[test]
fn a_seek_table_of_any_length_returns_its_frames() {
    for count in [0, 1, ENTRIES_AT_ONCE - 1, ENTRIES_AT_ONCE, 2 * ENTRIES_AT_ONCE + 3] {
        let mut frames = vec![(stored_bytes(1024), 1024)];
        frames.extend((0..count as usize).map(|number| (14 + number % 3, 1 + number % 7)));
        let file = file_with_table(&frames);
        assert!(walk(&file, frames[0].0).unwrap() == frames[1..], "{count} frames");
    }
}

#[test]
fn every_changed_or_missing_byte_of_a_seek_table_is_detected() {
    let frames = [(stored_bytes(1024), 1024), (100, 512), (70_000, 1_000_000), (200, 512)];
    let good = file_with_table(&frames);
    let table = good.len() - (TABLE_HEADER + TABLE_FOOTER + 4 * TABLE_ENTRY) as usize;
    for at in table..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // The size of the contents of another frame is compared when that is decompressed.
            let of_contents = (table + 8 + 12..good.len() - 9).contains(&at) && (at - table) % 8 >= 4;
            let walked = walk(&bad, frames[0].0);
            assert!(of_contents || walked.is_err_and(|error| error.is_evidence()), "byte {at}, bit {bit}");
        }
    }
    for length in table..good.len() {
        walk(&good[..length], frames[0].0).unwrap_err();
    }
    for more in [&b"x"[..], &[0; 9], &good[table..]] {
        walk(&[&good[..], more].concat(), frames[0].0).unwrap_err();
    }
    walk(&good, frames[0].0 + 1).unwrap_err();
}

/// A table that names any number of frames in one place would make a reader collect them.
#[test]
fn a_seek_table_with_frames_of_no_or_too_many_bytes_is_refused() {
    for (packed, unpacked) in [(0, 1), (13, 1), (100, 0), (1200, 100), (19 << 20, 16 << 20), (5000, (16 << 20) + 1)] {
        let frames = [(stored_bytes(1024), 1024), (packed, unpacked)];
        walk(&file_with_table(&frames), frames[0].0).unwrap_err();
    }
}

fn stream(file: Vec<u8>) -> (io::Result<Vec<u8>>, u64) {
    let mut stream = Stream::new(BufReader::new(Forward { source: Arc::new(file), at: 0 })).unwrap();
    let mut read = Vec::new();
    let mut buffer = vec![0; 10_000];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (Ok(read), stream.trailing()),
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) => return (Err(error), 0),
        }
    }
}

#[test]
fn a_stream_reads_all_frames_skips_what_is_to_be_skipped_and_counts_what_follows() {
    let input = contents(30_000);
    let one = frame(3, &input);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let empty = zstd::bulk::compress(b"", 3).unwrap();
    for (file, times, trailing) in [
        (one.clone(), 1, 0),
        ([&one[..], &one].concat(), 2, 0),
        ([&skipped[..], &one, &skipped, &empty, &one].concat(), 2, 0),
        ([&one[..], b"garbage"].concat(), 1, 7),
        ([&one[..], b"\0"].concat(), 1, 1),
    ] {
        let (read, after) = stream(file);
        assert!(read.unwrap() == input.repeat(times) && after == trailing);
    }
    for length in MAGIC.len()..one.len() {
        stream(one[..length].to_vec()).0.unwrap_err();
    }
}

/// A new context for each of them took 39 s for 8 MB.
#[test]
fn a_million_frames_to_skip_are_skipped_with_one_context() {
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(1_000_000);
    let file = [&skipped[..], &frame(3, b"text")].concat();
    assert_eq!(stream(file).0.unwrap(), b"text");
}

#[test]
fn a_window_of_more_than_128_mib_is_refused_in_any_frame() {
    let with_window = |log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        io::Write::write_all(&mut encoder, b"some text").unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(Frame::parse(&with_window(27)).unwrap().window, 128 << 20);
    assert_eq!(stream(with_window(27)).0.unwrap(), b"some text");
    for bad in [with_window(28), [with_window(20), with_window(31)].concat()] {
        let error = stream(bad).0.unwrap_err().downcast::<ArchiveError>().unwrap();
        assert!(matches!(error, ArchiveError::WindowTooLarge { bytes: 0x1000_0000 | 0x8000_0000 }), "{error}");
    }
}
