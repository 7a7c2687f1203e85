//! Salvaging damaged archives: only ever returns data that was in them.

use super::*;

/// Zeros, changes or removes some bytes of an archive after its first member.
fn damage(archive: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let first = data_members(archive)[0].start;
    let mut bytes = archive.to_vec();
    for _ in 0..=next(3) {
        let at = first + next(bytes.len() - first);
        let largest = 1 << next(20);
        let length = next(largest).min(bytes.len() - at);
        match next(4) {
            0 => bytes[at] ^= 1 << next(8),
            1 => bytes[at..at + length].fill(0),
            2 => drop(bytes.drain(at..at + length)),
            // Part of it overwrites another part.
            _ => {
                let from = first + next(bytes.len() - length - first);
                bytes.copy_within(from..from + length, at);
            }
        }
    }
    bytes
}

#[test]
fn what_is_read_of_a_damaged_archive_is_what_was_in_it() {
    let databases = set(&[2 * MEMBER_BYTES + 4096, 4096, 3 * MEMBER_BYTES + 8192]);
    for compression in [Compression::Gzip(1), Compression::Zstd(3)] {
        salvage_damaged(&databases, compression);
    }
}

fn salvage_damaged(databases: &[(&str, Vec<u8>)], compression: Compression) {
    let archive = write(databases, compression);
    let (mut whole, mut parts) = (0, 0);
    for seed in 0..150 {
        let Ok(opened) = open(damage(&archive, seed)) else { continue };
        for (index, (_, contents)) in databases.iter().enumerate() {
            let file = tempfile::tempfile().unwrap();
            let unreadable = opened.salvage(index, Some(&file), &Silent).unwrap();
            let read = bytes_of(&file);
            assert_eq!(read.len(), contents.len(), "{seed}");
            let mut expected = contents.clone();
            for range in &unreadable {
                expected[range.start as usize..range.end as usize].fill(0);
            }
            assert!(read == expected, "{seed}: the data read of {index} was not in the archive");
            // Without a file it returns the same: the plan of a restore shows this.
            assert_eq!(opened.salvage(index, None, &Silent).unwrap(), unreadable);
            assert!(unreadable.is_empty() || opened.check(index, THREADS, &Silent).is_err(), "{seed}");
            whole += usize::from(unreadable.is_empty());
            parts += usize::from(!unreadable.is_empty() && unreadable[0] != (0..contents.len() as u64));
        }
    }
    assert!(whole > 50 && parts > 50, "{whole} whole, {parts} in part");
}
