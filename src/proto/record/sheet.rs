//! A record file as the machine that writes it keeps it: rows that wait, rows that are on their way to
//! the disk, and the chunk hashes of what arrived there. Never writes a file itself and never
//! decides when to flush; it does not know what a row is.
//!
//! The bytes of a file pass through in order: [`Sheet::buffer`] takes rows, [`Sheet::take_flush`]
//! hands out what waits as one append, all of it or the first part of much, and [`Sheet::confirm`] or
//! [`Sheet::refuse`] is called with its answer. Only one append is on its way at a time, so that a refused one can be tried
//! again in its place. Chunks are hashed when they are confirmed: the manifest is ready at the end
//! of a run without reading the file again, and describes what is on disk and nothing else.

use std::collections::VecDeque;

use crate::proto::limits::{APPEND_BYTES, ROW_BYTES_MAX, SAMPLE_BYTES_MAX, UNWRITTEN_BYTES_MAX};

const _: () = {
    // `is_full` serves both kinds of file.
    assert!(SAMPLE_BYTES_MAX <= ROW_BYTES_MAX && ROW_BYTES_MAX <= UNWRITTEN_BYTES_MAX);
};

/// One record file on its way to the disk. Two buffers change places with each flush, so that
/// nothing is allocated once both have grown to what one flush period brings.
#[derive(Clone, Debug)]
pub struct Sheet {
    pending: Vec<u8>,
    /// What waits before that, if the disk has refused so much that one append would take too long: each about [`APPEND_BYTES`].
    held: VecDeque<Vec<u8>>,
    held_bytes: usize,
    /// Rows are refused beyond it.
    unwritten_bytes_max: usize,
    /// Handed out and not yet answered; empty when no append is on its way.
    in_flight: Vec<u8>,
    written: ChunkHasher,
}

impl Sheet {
    /// A sheet for a new, empty file, to be hashed in chunks of so many bytes.
    ///
    /// # Panics
    /// If a chunk has no bytes.
    pub fn new(chunk_bytes: u64) -> Sheet {
        assert!(chunk_bytes > 0, "a chunk has bytes");
        let written = ChunkHasher { chunk_bytes, len: 0, done: Vec::new(), current: Box::default() };
        Sheet {
            pending: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            unwritten_bytes_max: UNWRITTEN_BYTES_MAX,
            in_flight: Vec::new(),
            written,
        }
    }

    /// The same with another bound than [`UNWRITTEN_BYTES_MAX`].
    #[must_use]
    pub fn with_bound(self, unwritten_bytes_max: usize) -> Sheet {
        Sheet { unwritten_bytes_max, ..self }
    }

    /// Where rows are written to. Ask [`Sheet::is_full`] before each one.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.pending.len() >= APPEND_BYTES {
            self.held_bytes += self.pending.len();
            self.held.push_back(std::mem::take(&mut self.pending));
        }
        &mut self.pending
    }

    /// Whether one more row or sample might exceed the bound. Then a row is to be
    /// dropped, and counted, before it gets a number; only the last line may still be added.
    pub fn is_full(&self) -> bool {
        self.unwritten_bytes() + ROW_BYTES_MAX > self.unwritten_bytes_max
    }

    /// Bytes that wait or are on their way. Many rows may come within one flush period: a machine
    /// with many peers flushes by this size as well.
    pub fn unwritten_bytes(&self) -> usize {
        self.pending.len() + self.held_bytes + self.in_flight.len()
    }

    /// So much waits that it goes out in parts.
    pub fn is_in_parts(&self) -> bool {
        !self.held.is_empty()
    }

    /// All that waits, or if that is much the first part of it, to be handed to the disk as one append; `None` if nothing
    /// waits, or if an append is on its way already.
    pub fn take_flush(&mut self) -> Option<&[u8]> {
        if !self.in_flight.is_empty() {
            return None;
        }
        if let Some(held) = self.held.pop_front() {
            self.held_bytes -= held.len();
            self.in_flight = held;
        } else if self.pending.is_empty() {
            return None;
        } else {
            std::mem::swap(&mut self.pending, &mut self.in_flight);
        }
        Some(&self.in_flight)
    }

    /// The append that was on its way is written, whole.
    ///
    /// # Panics
    /// If none was on its way.
    pub fn confirm(&mut self) {
        assert!(!self.in_flight.is_empty(), "an answer without an append");
        self.written.update(&self.in_flight);
        self.in_flight.clear();
    }

    /// The append that was on its way failed, and left the file as it was: its bytes wait again,
    /// before those that came since.
    ///
    /// # Panics
    /// If none was on its way.
    pub fn refuse(&mut self) {
        assert!(!self.in_flight.is_empty(), "an answer without an append");
        if self.held.is_empty() && self.in_flight.len() < APPEND_BYTES {
            self.in_flight.append(&mut self.pending);
            std::mem::swap(&mut self.pending, &mut self.in_flight);
        } else {
            self.held_bytes += self.in_flight.len();
            self.held.push_front(std::mem::take(&mut self.in_flight));
        }
    }

    /// Whether everything that was written into the buffer is confirmed.
    pub fn is_settled(&self) -> bool {
        self.unwritten_bytes() == 0
    }

    /// The confirmed length and the BLAKE3 hash of each chunk, the last one as long as it is; an
    /// empty file has none. What is not confirmed is lost: see [`Sheet::is_settled`].
    #[must_use]
    pub fn finish(self) -> (u64, Vec<blake3::Hash>) {
        (self.written.len, self.written.finish())
    }
}

/// Hashes a stream of bytes in chunks.
#[derive(Clone, Debug)]
struct ChunkHasher {
    chunk_bytes: u64,
    len: u64,
    done: Vec<blake3::Hash>,
    /// Of the chunk that `len` lies in; new at the start of each. In a box, as it has 2 KB.
    current: Box<blake3::Hasher>,
}

impl ChunkHasher {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.chunk_bytes - self.len % self.chunk_bytes;
            let (now, later) = bytes.split_at(room.min(bytes.len() as u64) as usize);
            self.current.update(now);
            self.len += now.len() as u64;
            if self.len.is_multiple_of(self.chunk_bytes) {
                self.done.push(self.current.finalize());
                self.current.reset();
            }
            bytes = later;
        }
    }

    fn finish(mut self) -> Vec<blake3::Hash> {
        if !self.len.is_multiple_of(self.chunk_bytes) {
            self.done.push(self.current.finalize());
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::limits::CHUNK_BYTES;

    fn hashes(content: &[u8]) -> Vec<blake3::Hash> {
        content.chunks(CHUNK_BYTES as usize).map(blake3::hash).collect()
    }

    /// Flushes, and answers at once.
    fn flush(sheet: &mut Sheet, file: &mut Vec<u8>) {
        if let Some(bytes) = sheet.take_flush() {
            file.extend_from_slice(bytes);
            sheet.confirm();
        }
    }

    #[test]
    fn rows_that_come_during_a_flush_wait_for_the_next() {
        let mut sheet = Sheet::new(CHUNK_BYTES);
        assert!(sheet.take_flush().is_none() && sheet.is_settled() && sheet.written.len == 0);
        sheet.buffer().extend_from_slice(b"one");
        assert!(!sheet.is_settled());
        assert_eq!(sheet.take_flush(), Some(&b"one"[..]));
        sheet.buffer().extend_from_slice(b"two");
        assert_eq!(sheet.take_flush(), None, "one append at a time");
        assert!(!sheet.in_flight.is_empty());
        assert_eq!((sheet.written.len, sheet.unwritten_bytes()), (0, 6));
        sheet.confirm();
        assert_eq!((sheet.written.len, sheet.unwritten_bytes()), (3, 3));
        assert_eq!(sheet.take_flush(), Some(&b"two"[..]));
        sheet.confirm();
        assert!(sheet.is_settled());
        assert_eq!(sheet.finish(), (6, hashes(b"onetwo")));
    }

    #[test]
    fn refused_rows_keep_their_place() {
        let mut sheet = Sheet::new(CHUNK_BYTES);
        sheet.buffer().extend_from_slice(b"one");
        sheet.take_flush().unwrap();
        sheet.buffer().extend_from_slice(b"two");
        sheet.refuse();
        assert_eq!((sheet.written.len, sheet.in_flight.is_empty()), (0, true));
        assert_eq!(sheet.take_flush(), Some(&b"onetwo"[..]));
        sheet.refuse();
        assert_eq!(sheet.take_flush(), Some(&b"onetwo"[..]));
        sheet.confirm();
        assert_eq!(sheet.finish(), (6, hashes(b"onetwo")));
    }

    #[test]
    fn much_that_was_refused_goes_out_in_parts_and_in_order() {
        let bound = 10 * APPEND_BYTES;
        let mut sheet = Sheet::new(CHUNK_BYTES).with_bound(bound);
        let (mut all, mut number) = (Vec::new(), 0_u32);
        while !sheet.is_full() {
            let row = format!("{number:099}\n");
            sheet.buffer().extend_from_slice(row.as_bytes());
            all.extend_from_slice(row.as_bytes());
            number += 1;
            if number.is_multiple_of(1000) {
                sheet.take_flush().unwrap();
                sheet.refuse();
            }
        }
        assert!(
            all.len() <= bound && all.len() + ROW_BYTES_MAX > bound && sheet.unwritten_bytes() == all.len()
        );
        let (mut file, mut parts) = (Vec::new(), 0);
        while !sheet.is_settled() {
            parts += 1;
            assert!(sheet.take_flush().unwrap().len() < 2 * APPEND_BYTES);
            file.extend_from_slice(&sheet.in_flight);
            sheet.confirm();
        }
        assert!(file == all && parts > 5, "{parts}");
        assert_eq!(sheet.finish(), (all.len() as u64, hashes(&all)));
    }

    #[test]
    fn the_bound_holds_if_it_is_asked() {
        let mut sheet = Sheet::new(CHUNK_BYTES);
        while !sheet.is_full() {
            sheet.buffer().extend_from_slice(&[b'x'; ROW_BYTES_MAX]);
            if sheet.unwritten_bytes() == 10 * ROW_BYTES_MAX {
                sheet.take_flush().unwrap();
            }
        }
        let unwritten = sheet.unwritten_bytes();
        assert!(unwritten <= UNWRITTEN_BYTES_MAX && unwritten + ROW_BYTES_MAX > UNWRITTEN_BYTES_MAX);
        sheet.confirm();
        assert!(!sheet.is_full());
    }

    #[test]
    fn a_file_of_whole_chunks_has_no_empty_one() {
        for (len, chunks) in [(0, 0), (1, 1), (CHUNK_BYTES - 1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2)] {
            let content = vec![b'y'; len as usize];
            let mut sheet = Sheet::new(CHUNK_BYTES);
            sheet.buffer().extend_from_slice(&content);
            flush(&mut sheet, &mut Vec::new());
            let (written, found) = sheet.finish();
            assert_eq!((written, found.len()), (len, chunks));
            assert_eq!(found, hashes(&content));
        }
    }

    #[test]
    fn chunks_are_as_long_as_was_wished() {
        let content: Vec<u8> = (0..=200).collect();
        let mut sheet = Sheet::new(32);
        for rows in content.chunks(7) {
            sheet.buffer().extend_from_slice(rows);
            flush(&mut sheet, &mut Vec::new());
        }
        assert_eq!(sheet.finish(), (201, content.chunks(32).map(blake3::hash).collect()));
    }

    #[test]
    fn nothing_is_allocated_once_both_buffers_have_grown() {
        let (mut sheet, mut file) = (Sheet::new(CHUNK_BYTES), Vec::new());
        let mut places = std::collections::BTreeSet::new();
        for turn in 0..40 {
            sheet.buffer().extend_from_slice(&[b'z'; 3000]);
            if turn >= 2 {
                places.insert(sheet.buffer().as_ptr());
            }
            flush(&mut sheet, &mut file);
        }
        assert_eq!(places.len(), 2);
    }

    proptest! {
        #[test]
        fn the_hashes_are_those_of_the_file(steps in prop::collection::vec((0..90_000_usize, 0..4_u8), 0..24)) {
            let (mut sheet, mut file, mut all) = (Sheet::new(CHUNK_BYTES), Vec::new(), Vec::new());
            for (index, (len, act)) in steps.into_iter().enumerate() {
                let rows = vec![index as u8; len];
                all.extend_from_slice(&rows);
                sheet.buffer().extend_from_slice(&rows);
                match act {
                    0 => flush(&mut sheet, &mut file),
                    1 if sheet.take_flush().is_some() => sheet.refuse(),
                    2 if !sheet.in_flight.is_empty() => {
                        file.extend_from_slice(&sheet.in_flight);
                        sheet.confirm();
                    }
                    _ => drop(sheet.take_flush().map(<[u8]>::len)),
                }
                prop_assert_eq!(sheet.written.len, file.len() as u64);
                prop_assert_eq!(sheet.unwritten_bytes() + file.len(), all.len());
            }
            if !sheet.in_flight.is_empty() {
                sheet.refuse();
            }
            while !sheet.is_settled() {
                flush(&mut sheet, &mut file);
            }
            prop_assert_eq!(&file, &all);
            prop_assert_eq!(sheet.finish(), (all.len() as u64, hashes(&all)));
        }
    }
}
