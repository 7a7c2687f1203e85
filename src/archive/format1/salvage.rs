//! Reads what is still readable in a damaged archive, and reports what is not. Never declares anything sound.
//!
//! A member that cannot be decompressed keeps its place, and the next one follows it. If a member's header is lost, the
//! chain of sizes is broken: it resumes at the first header from which the sizes lead to the exact end of the file. The
//! position of those members is counted back from the tar header of a database or from `RESTORE.txt`. Members without a
//! certain position are left out.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;

use super::metadata_reader::padded;
use crate::archive::codec::{Codec, Decoder, Member, Members};
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::format::{MEMBER_BYTES, TAR_BLOCK};
use crate::archive::limits::MAX_SALVAGED_MEMBERS;
use crate::archive::positional_write;
use crate::archive::tar_file::tar_header::{self, Block};
use crate::metadata::DatabaseMetadata;
use crate::names::RESTORE_ENTRY;
use crate::progress::Progress;
use crate::store::ReadAt;

/// How many bytes are searched for a header at once.
const CHUNK: usize = 1024 * 1024;

/// The parts of a database that cannot be read, as byte ranges from its start, in order.
pub type Unreadable = Vec<Range<u64>>;

/// The databases of an archive of format 1, member by member.
pub(crate) struct Salvage<'a> {
    pub(crate) codec: Codec,
    pub(crate) source: &'a dyn ReadAt,
    /// Where the second member starts.
    pub(crate) second: u64,
    pub(crate) databases: &'a [DatabaseMetadata],
    pub(crate) progress: &'a dyn Progress,
}

/// A member of the file, and the position of its contents.
struct Piece {
    member: Member,
    /// Counted from the tar header of the first database; `None` if it is not certain.
    place: Option<u64>,
}

impl Piece {
    /// Returns how many bytes it claims to hold.
    fn unpacked(&self) -> u64 {
        self.member.unpacked.into()
    }
}

/// Decompresses one member after the other.
struct Unpacker {
    decoder: Decoder,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Unpacker {
    fn new(codec: Codec) -> Result<Self, ArchiveError> {
        Ok(Self { decoder: Decoder::new(codec)?, packed: Vec::new(), unpacked: Vec::new() })
    }

    /// Returns the contents of a member, or `None` if it is damaged.
    fn open(&mut self, source: &dyn ReadAt, member: &Member) -> Result<Option<&[u8]>, ArchiveError> {
        // Both sizes were compared with each other and with the file: at most 16 MiB and a little more.
        self.packed.resize(member.packed as usize, 0);
        self.unpacked.resize(member.unpacked as usize, 0);
        source.read_exact_at(&mut self.packed, member.at)?;
        let opened = self.decoder.open(&self.packed, &mut self.unpacked);
        Ok(opened.is_ok().then_some(&self.unpacked[..]))
    }
}

impl Salvage<'_> {
    /// Writes what can be read of one database into an empty file, if one is given.
    pub(crate) fn database(&self, index: usize, file: Option<&File>) -> Result<Unreadable, ArchiveError> {
        let start = self.header_place(index).saturating_add(TAR_BLOCK as u64);
        let end = start.saturating_add(self.databases[index].bytes);
        let mut unpacker = Unpacker::new(self.codec)?;
        let mut read = Vec::new();
        // A member can be found in two ways.
        let mut done = HashSet::new();
        for piece in &self.pieces()? {
            self.progress.checkpoint()?;
            let Some(place) = piece.place.filter(|place| !done.contains(&(piece.member.at, *place))) else { continue };
            let (from, to) = (place.max(start), place.saturating_add(piece.unpacked()).min(end));
            if from >= to {
                continue;
            }
            let Some(contents) = unpacker.open(self.source, &piece.member)? else { continue };
            if let Some(file) = file {
                positional_write::write_at(
                    file,
                    &contents[(from - place) as usize..(to - place) as usize],
                    from - start,
                )?;
            }
            self.progress.advance(to - from);
            done.insert((piece.member.at, place));
            read.push(from - start..to - start);
        }
        Ok(rest(read, end - start))
    }

    /// Returns the position of a database's tar header, or of the tail after the last database.
    fn header_place(&self, index: usize) -> u64 {
        self.databases[..index].iter().map(|database| padded(database) + TAR_BLOCK as u64).fold(0, u64::saturating_add)
    }

    /// Returns all members that can be found after the first.
    fn pieces(&self) -> Result<Vec<Piece>, ArchiveError> {
        let mut pieces = Vec::new();
        match Members::after_first(self.codec, self.source, self.second) {
            Ok(members) if members.has_index() => {
                let (mut by_index, lost) = self.chain(members)?;
                self.find_places(&mut by_index, Some(0))?;
                if lost.is_none() {
                    return Ok(by_index);
                }
                // One wrong size moves all members after it; those before it are right.
                pieces = by_index;
            }
            Ok(_) => {}
            Err(error) if error.is_evidence() => {}
            Err(error) => return Err(error),
        }
        // The members themselves lead the way.
        let (mut chain, lost) = self.chain(Members::from(self.codec, self.source, self.second))?;
        self.find_places(&mut chain, Some(0))?;
        pieces.append(&mut chain);
        if let Some(lost) = lost
            && let Some(again) = self.chain_to_the_end(lost)?
        {
            let (mut more, _) = self.chain(Members::from(self.codec, self.source, again))?;
            self.find_places(&mut more, None)?;
            pieces.append(&mut more);
        }
        Ok(pieces)
    }

    /// Follows the sizes. Also returns the offset where they stop, unless that is the end of the members.
    fn chain(&self, mut members: Members) -> Result<(Vec<Piece>, Option<u64>), ArchiveError> {
        let mut pieces = Vec::new();
        loop {
            self.progress.checkpoint()?;
            let at = members.at();
            match members.next() {
                Ok(Some(member)) => pieces.push(Piece { member, place: None }),
                Ok(None) => return Ok((pieces, None)),
                Err(error) if error.is_evidence() => return Ok((pieces, Some(at))),
                Err(error) => return Err(error),
            }
            within_bounds(pieces.len())?;
        }
    }

    /// Searches for the first header after an offset from which the sizes lead to the exact end of the file.
    fn chain_to_the_end(&self, lost: u64) -> Result<Option<u64>, ArchiveError> {
        let mut found = Vec::new();
        let mut at = lost + 1;
        let mut chunk = vec![0; CHUNK];
        let header_bytes = self.codec.header_bytes();
        while at + (header_bytes as u64) < self.source.bytes() {
            self.progress.checkpoint()?;
            chunk.resize(CHUNK.min((self.source.bytes() - at) as usize), 0);
            self.source.read_exact_at(&mut chunk, at)?;
            for (offset, window) in chunk.windows(header_bytes).enumerate() {
                if !self.codec.is_header(window) {
                    continue;
                }
                self.progress.checkpoint()?;
                match Members::from(self.codec, self.source, at + offset as u64).peek() {
                    Ok(member) => found.extend(member.map(|member| (member.at, member.end()))),
                    Err(error) if error.is_evidence() => {}
                    Err(error) => return Err(error),
                }
                within_bounds(found.len())?;
            }
            // A header across the end of the chunk is found in the next chunk.
            at += (chunk.len() - (header_bytes - 1)) as u64;
        }
        let mut leads_to_end = HashSet::new();
        let mut first = None;
        for (at, next) in found.into_iter().rev() {
            if leads_to_end.contains(&next) || self.is_end(next)? {
                leads_to_end.insert(at);
                first = Some(at);
            }
        }
        Ok(first)
    }

    /// Returns whether the members end at this offset.
    fn is_end(&self, at: u64) -> Result<bool, ArchiveError> {
        match Members::from(self.codec, self.source, at).peek() {
            Ok(member) => Ok(member.is_none()),
            Err(error) if error.is_evidence() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Determines where the contents of each member belong. `first` is the position of the first one, if known.
    fn find_places(&self, pieces: &mut [Piece], first: Option<u64>) -> Result<(), ArchiveError> {
        let mut unpacker = Unpacker::new(self.codec)?;
        let mut next = first;
        for number in 0..pieces.len() {
            self.progress.checkpoint()?;
            if next.is_none() {
                next = self.place_by_contents(&mut unpacker, &pieces[number])?;
                let mut end = next;
                for piece in pieces[..number].iter_mut().rev().take_while(|piece| piece.place.is_none()) {
                    let Some(place) = end.and_then(|end| end.checked_sub(piece.unpacked())) else { break };
                    if !self.size_is_certain(&mut unpacker, piece, place)? {
                        break;
                    }
                    (piece.place, end) = (Some(place), Some(place));
                }
            }
            let piece = &mut pieces[number];
            piece.place = next;
            if let Some(place) = next {
                next =
                    self.size_is_certain(&mut unpacker, piece, place)?.then(|| place.saturating_add(piece.unpacked()));
            }
        }
        Ok(())
    }

    /// Returns whether a member really holds as many bytes as its trailer says; the trailer of a damaged one may be
    /// wrong.
    fn size_is_certain(&self, unpacker: &mut Unpacker, piece: &Piece, place: u64) -> Result<bool, ArchiveError> {
        Ok(self.expected_bytes(place) == Some(piece.unpacked()) || unpacker.open(self.source, &piece.member)?.is_some())
    }

    /// Returns how many bytes a member at a position holds in the archives that we write; `None` after the last
    /// database.
    fn expected_bytes(&self, place: u64) -> Option<u64> {
        let mut header = 0;
        for database in self.databases {
            let start = u64::saturating_add(header, TAR_BLOCK as u64);
            let end = start.saturating_add(padded(database));
            if place < start {
                return Some(start - place);
            }
            if place < end {
                return Some((end - place).min(MEMBER_BYTES as u64));
            }
            header = end;
        }
        None
    }

    /// Returns the position of a member that starts with the tar header of a database or of the tail.
    fn place_by_contents(&self, unpacker: &mut Unpacker, piece: &Piece) -> Result<Option<u64>, ArchiveError> {
        if piece.unpacked() != TAR_BLOCK as u64 && !self.is_end(piece.member.end())? {
            return Ok(None);
        }
        let Some(block) = unpacker.open(self.source, &piece.member)?.and_then(<[u8]>::first_chunk::<TAR_BLOCK>) else {
            return Ok(None);
        };
        Ok(self.place_of_header(block))
    }

    fn place_of_header(&self, block: &Block) -> Option<u64> {
        let entry = tar_header::parse(block).ok()?;
        let index = self
            .databases
            .iter()
            .position(|database| database.file.as_bytes() == entry.name && database.bytes == entry.bytes);
        let tail = (entry.name == RESTORE_ENTRY.as_bytes()).then_some(self.databases.len());
        index.or(tail).map(|index| self.header_place(index))
    }
}

fn within_bounds(members: usize) -> Result<(), ArchiveError> {
    if members > MAX_SALVAGED_MEMBERS { Err(damaged("it is too fragmented to salvage")) } else { Ok(()) }
}

/// Returns the gaps between 0 and `bytes`.
pub(crate) fn rest(mut read: Vec<Range<u64>>, bytes: u64) -> Unreadable {
    read.sort_unstable_by_key(|range| range.start);
    let mut reached = 0;
    let mut missing = Vec::new();
    for range in read {
        if range.start > reached {
            missing.push(reached..range.start);
        }
        reached = reached.max(range.end);
    }
    if reached < bytes {
        missing.push(reached..bytes);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_ranges_are_those_that_were_not_read() {
        assert_eq!(rest(vec![5..7, 0..2, 2..3, 6..8], 10), [3..5, 8..10]);
        assert_eq!(rest(Vec::new(), 4), [Range { start: 0, end: 4 }]);
        assert!(rest(vec![0..2, 2..4], 4).is_empty());
    }
}
