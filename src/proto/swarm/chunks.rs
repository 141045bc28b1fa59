//! A set of chunks of one file, a bit each: what somebody holds, or what is in some state. Reads and
//! writes the octets that say so on the wire; does not know whose set it is.

use std::ops::Range;

use crate::proto::limits::CHUNKS_MAX;

/// Which of the chunks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkSet {
    chunks: u64,
    count: u64,
    /// Chunk 0 is the lowest bit of the first word; bits beyond the last chunk are never set.
    words: Box<[u64]>,
}

/// What is wrong with what somebody says about its chunks. Whoever sent it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkSetError {
    /// The number of octets is not that of a set of so many chunks.
    #[error("{0} octets cannot be the set of {1} chunks")]
    Octets(u64, u64),
    /// A bit that stands for no chunk is set.
    #[error("the octets name chunks beyond the last of {0}")]
    StrayBit(u64),
    /// The range is empty, or reaches beyond the last chunk.
    #[error("{0} to {1} is no range of {2} chunks")]
    Range(u64, u64, u64),
}

impl ChunkSet {
    /// None of so many chunks.
    ///
    /// # Panics
    /// If these are more than [`CHUNKS_MAX`].
    pub fn new(chunks: u64) -> ChunkSet {
        assert!(chunks <= CHUNKS_MAX, "a manifest has been checked before");
        ChunkSet { chunks, count: 0, words: vec![0; chunks.div_ceil(64) as usize].into() }
    }

    /// All of so many chunks.
    pub fn full(chunks: u64) -> ChunkSet {
        let mut set = ChunkSet::new(chunks);
        if chunks > 0 {
            set.insert_range(0, chunks - 1).expect("the range of all");
        }
        set
    }

    /// Reads the octets of a set of `chunks` chunks: a bit each, the first chunk lowest.
    ///
    /// # Errors
    /// If it is not just as many octets as needed, or a bit that stands for no chunk is set.
    pub fn from_octets(chunks: u64, octets: &[u8]) -> Result<ChunkSet, ChunkSetError> {
        if octets.len() as u64 != ChunkSet::octets_of(chunks) {
            return Err(ChunkSetError::Octets(octets.len() as u64, chunks));
        }
        let mut set = ChunkSet::new(chunks);
        for (word, octets) in set.words.iter_mut().zip(octets.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..octets.len()].copy_from_slice(octets);
            *word = u64::from_le_bytes(bytes);
            set.count += u64::from(word.count_ones());
        }
        if set.has_stray_bit() { Err(ChunkSetError::StrayBit(chunks)) } else { Ok(set) }
    }

    /// Octets of a set of so many chunks.
    pub fn octets_of(chunks: u64) -> u64 {
        chunks.div_ceil(8)
    }

    /// Appends the octets of the set.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let end = out.len() + ChunkSet::octets_of(self.chunks) as usize;
        self.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.truncate(end);
    }

    /// Chunks of the file.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Chunks in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// No chunk is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every chunk is in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.chunks
    }

    /// Whether that chunk is in the set; one that the file does not have is not.
    pub fn contains(&self, chunk: u64) -> bool {
        chunk < self.chunks && self.words[(chunk / 64) as usize] >> (chunk % 64) & 1 == 1
    }

    /// Adds a chunk; true if it is new.
    ///
    /// # Panics
    /// If the file has no such chunk.
    pub fn insert(&mut self, chunk: u64) -> bool {
        assert!(chunk < self.chunks, "a chunk of the file");
        let (word, bit) = (&mut self.words[(chunk / 64) as usize], 1 << (chunk % 64));
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    /// Takes a chunk out; true if it was there.
    ///
    /// # Panics
    /// If the file has no such chunk.
    pub fn remove(&mut self, chunk: u64) -> bool {
        assert!(chunk < self.chunks, "a chunk of the file");
        let (word, bit) = (&mut self.words[(chunk / 64) as usize], 1 << (chunk % 64));
        let was_there = *word & bit != 0;
        *word &= !bit;
        self.count -= u64::from(was_there);
        was_there
    }

    /// Adds the chunks from `first` to `last`, both included.
    ///
    /// # Errors
    /// If that is no range of chunks of the file; the set stays as it was.
    pub fn insert_range(&mut self, first: u64, last: u64) -> Result<(), ChunkSetError> {
        if first > last || last >= self.chunks {
            return Err(ChunkSetError::Range(first, last, self.chunks));
        }
        for at in first / 64..=last / 64 {
            let from = if at == first / 64 { first % 64 } else { 0 };
            let to = if at == last / 64 { last % 64 } else { 63 };
            let mask = u64::MAX >> (63 - (to - from)) << from;
            let word = &mut self.words[at as usize];
            self.count += u64::from((mask & !*word).count_ones());
            *word |= mask;
        }
        Ok(())
    }

    /// The chunks of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let next = self.next(from, 0)?;
            from = next + 1;
            Some(next)
        })
    }

    /// The longest ranges of the set, in order, each as its first and its last chunk.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = self.next(from, 0)?;
            from = self.next(first, u64::MAX).unwrap_or(self.chunks);
            Some((first, from - 1))
        })
    }

    /// The first chunk of a range, its end left out, that is in both sets.
    ///
    /// # Panics
    /// If they are sets of files with different numbers of chunks.
    pub fn first_common(&self, other: &ChunkSet, range: Range<u64>) -> Option<u64> {
        self.nth_common(other, range, 0)
    }

    /// That chunk of a range after the first `skipped` ones that is in both sets.
    ///
    /// # Panics
    /// As [`ChunkSet::first_common`].
    pub fn nth_common(&self, other: &ChunkSet, range: Range<u64>, mut skipped: u64) -> Option<u64> {
        for (at, mut word) in self.common(other, range) {
            let here = u64::from(word.count_ones());
            if skipped >= here {
                skipped -= here;
                continue;
            }
            // Take away the lowest bits.
            (0..skipped).for_each(|_| word &= word - 1);
            return Some(at * 64 + u64::from(word.trailing_zeros()));
        }
        None
    }

    /// How many chunks of a range, its end left out, are in both sets.
    ///
    /// # Panics
    /// As [`ChunkSet::first_common`].
    pub fn count_common(&self, other: &ChunkSet, range: Range<u64>) -> u64 {
        self.common(other, range).map(|(_, word)| u64::from(word.count_ones())).sum()
    }

    /// The words that both sets have in a range, each with its place, and cut at its ends.
    fn common(&self, other: &ChunkSet, range: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
        assert_eq!(self.chunks, other.chunks, "sets of one file");
        let end = range.end.min(self.chunks);
        let (first, last) = (range.start / 64, end.div_ceil(64));
        let words =
            (first..last.max(first)).map(|at| (at, self.words[at as usize] & other.words[at as usize]));
        words.map(move |(at, word)| {
            let below = range.start.saturating_sub(at * 64);
            let above = (at * 64 + 64).saturating_sub(end);
            (at, word & u64::MAX << below & u64::MAX >> above)
        })
    }

    /// The first chunk at or after `from` whose bit, with those of `flip` turned over, is set.
    fn next(&self, from: u64, flip: u64) -> Option<u64> {
        if from >= self.chunks {
            return None;
        }
        let first = from / 64;
        let words = self.words[first as usize..].iter().zip(first..);
        let mut masked = words.map(|(word, at)| {
            let below = if at == first { u64::MAX << (from % 64) } else { u64::MAX };
            (at, (word ^ flip) & below)
        });
        let (at, word) = masked.find(|(_, word)| *word != 0)?;
        Some(at * 64 + u64::from(word.trailing_zeros())).filter(|chunk| *chunk < self.chunks)
    }

    fn has_stray_bit(&self) -> bool {
        let used = self.chunks % 64;
        used > 0 && self.words.last().is_some_and(|last| last >> used > 0)
    }

    /// Panics if the count or the bits beyond the last chunk are wrong.
    pub fn check_invariants(&self) {
        assert_eq!(self.words.len() as u64, self.chunks.div_ceil(64));
        assert_eq!(self.count, self.words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>());
        assert!(!self.has_stray_bit());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_chunk_is_the_lowest_bit() {
        let mut set = ChunkSet::new(11);
        assert!(set.insert(0) && set.insert(9) && !set.insert(9));
        let mut octets = b"before".to_vec();
        set.encode(&mut octets);
        assert_eq!(octets, b"before\x01\x02");
        assert_eq!(ChunkSet::from_octets(11, b"\x01\x02"), Ok(set));
    }

    #[test]
    fn octets_that_are_not_just_right_are_refused() {
        let read = ChunkSet::from_octets;
        assert_eq!(read(11, b"\x01"), Err(ChunkSetError::Octets(1, 11)));
        assert_eq!(read(11, b"\x01\x02\x00"), Err(ChunkSetError::Octets(3, 11)));
        assert_eq!(read(11, b"\x01\x08"), Err(ChunkSetError::StrayBit(11)));
        assert_eq!(read(64, &[0xff; 8]), Ok(ChunkSet::full(64)));
        assert_eq!(read(0, b""), Ok(ChunkSet::full(0)));
        assert_eq!(read(0, b"\x00"), Err(ChunkSetError::Octets(1, 0)));
    }

    #[test]
    fn a_range_beyond_the_file_changes_nothing() {
        let mut set = ChunkSet::new(100);
        for (first, last) in [(0, 100), (100, 100), (5, 4), (0, u64::MAX), (u64::MAX, u64::MAX)] {
            assert_eq!(set.insert_range(first, last), Err(ChunkSetError::Range(first, last, 100)));
        }
        assert!(set.is_empty() && !set.contains(100) && !set.contains(u64::MAX));
        assert_eq!(ChunkSet::new(0).insert_range(0, 0), Err(ChunkSetError::Range(0, 0, 0)));
        assert!(ChunkSet::full(100).is_full() && ChunkSet::new(0).is_full());
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            chunks in 1u64..300,
            acts in prop::collection::vec((0u8..4, any::<u64>(), 0u64..150), 0..40),
            others in prop::collection::vec(any::<u64>(), 0..200),
            range in (any::<u64>(), any::<u64>()),
        ) {
            let (mut set, mut model) = (ChunkSet::new(chunks), BTreeSet::new());
            for (act, chunk, more) in acts {
                let (first, last) = (chunk % chunks, (chunk % chunks + more).min(chunks - 1));
                match act {
                    0 => prop_assert_eq!(set.remove(first), model.remove(&first)),
                    1 => prop_assert_eq!(set.insert(first), model.insert(first)),
                    _ => {
                        set.insert_range(first, last).unwrap();
                        model.extend(first..=last);
                    }
                }
                set.check_invariants();
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert!((0..chunks + 9).all(|chunk| set.contains(chunk) == model.contains(&chunk)));
            let mut again = ChunkSet::new(chunks);
            let mut before = None;
            for (first, last) in set.ranges() {
                prop_assert!(before.is_none_or(|before| first > before + 1), "ranges do not touch");
                again.insert_range(first, last).unwrap();
                before = Some(last);
            }
            prop_assert_eq!(&again, &set);
            let mut octets = Vec::new();
            set.encode(&mut octets);
            prop_assert_eq!(octets.len() as u64, ChunkSet::octets_of(chunks));
            prop_assert_eq!(ChunkSet::from_octets(chunks, &octets), Ok(set.clone()));
            let mut other = ChunkSet::new(chunks);
            for chunk in others {
                other.insert(chunk % chunks);
            }
            let common: Vec<u64> = model.iter().copied().filter(|chunk| other.contains(*chunk)).collect();
            let (start, end) = (range.0 % (chunks + 1), range.1 % (chunks + 70));
            let common: Vec<u64> = common.into_iter().filter(|chunk| (start..end).contains(chunk)).collect();
            prop_assert_eq!(set.first_common(&other, start..end), common.first().copied());
            prop_assert_eq!(set.count_common(&other, start..end), common.len() as u64);
            for skipped in 0..common.len() + 2 {
                prop_assert_eq!(set.nth_common(&other, start..end, skipped as u64), common.get(skipped).copied());
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(chunks in 0u64..200, octets in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Ok(set) = ChunkSet::from_octets(chunks, &octets) {
                set.check_invariants();
                let mut back = Vec::new();
                set.encode(&mut back);
                prop_assert_eq!(back, octets);
            }
        }
    }
}
