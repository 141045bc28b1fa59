//! What waits to be sent on one link: bytes in memory and ranges of files, in order. Never touches
//! a socket.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use crate::io::open_file::Handle;
use crate::proto::limits::{
    LINK_QUEUE_BYTES_MAX, LINK_RANGES_MAX, SENT_BYTES_MAX, SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX,
};

/// Bytes and ranges, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// All waiting bytes, without a gap, behind `sent` bytes that are gone.
    bytes: Vec<u8>,
    sent: usize,
    ranges: VecDeque<Range>,
    /// Waiting bytes behind the last range.
    tail: usize,
}

/// Empty buffers, for the queues of one reactor: what a tick needs is not allocated each time.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Vec<u8>>);

/// A part of a file, and how many bytes come between the range before it and this one.
#[derive(Debug)]
struct Range {
    gap: usize,
    file: Arc<Handle>,
    offset: u64,
    len: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// Bytes, and whether a range follows.
    Bytes(&'a [u8], bool),
    /// A part of a file.
    Range { file: &'a File, offset: u64, len: u64 },
}

/// The queue has reached its bound; nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn has_ranges(&self) -> bool {
        !self.ranges.is_empty()
    }

    pub(super) fn push(&mut self, bytes: &[u8], spares: &mut Spares) -> Result<(), Full> {
        if self.waiting_bytes() + bytes.len() > LINK_QUEUE_BYTES_MAX {
            return Err(Full);
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spares.0.pop().unwrap_or_default();
        }
        self.bytes.extend_from_slice(bytes);
        self.tail += bytes.len();
        Ok(())
    }

    /// The file stays open as long as the range waits.
    pub(super) fn push_range(&mut self, file: Arc<Handle>, offset: u64, len: u64) -> Result<(), Full> {
        if self.ranges.len() >= LINK_RANGES_MAX {
            return Err(Full);
        }
        if len > 0 {
            let gap = std::mem::take(&mut self.tail);
            self.ranges.push_back(Range { gap, file, offset, len });
        }
        Ok(())
    }

    pub(super) fn front(&self) -> Option<Piece<'_>> {
        let front = match self.ranges.front() {
            Some(range) if range.gap == 0 => {
                let Range { file, offset, len, .. } = range;
                return Some(Piece::Range { file, offset: *offset, len: *len });
            }
            Some(range) => range.gap,
            None => self.tail,
        };
        let bytes = &self.bytes[self.sent..self.sent + front];
        (front > 0).then_some(Piece::Bytes(bytes, self.has_ranges()))
    }

    /// The first `count` bytes are gone. They are the front piece or a part of it.
    pub(super) fn sent_bytes(&mut self, count: usize) {
        let front = self.ranges.front_mut().map_or(&mut self.tail, |range| &mut range.gap);
        *front -= count;
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
        } else if self.sent >= SENT_BYTES_MAX.max(self.bytes.len() / 2) {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// The first `count` bytes of the range in front are gone.
    pub(super) fn sent_range(&mut self, count: u64) {
        let Some(range) = self.ranges.front_mut() else { return };
        range.offset += count;
        range.len -= count;
        if range.len == 0 {
            self.ranges.pop_front();
            if self.ranges.is_empty() {
                self.ranges = VecDeque::new();
            }
        }
    }

    /// Everything is sent: an idle link keeps no memory.
    pub(super) fn rest(&mut self, spares: &mut Spares) {
        let buffer = std::mem::take(&mut self.bytes);
        debug_assert!(buffer.is_empty(), "something waits");
        if (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity()) && spares.0.len() < SPARE_BUFFERS_MAX {
            spares.0.push(buffer);
        }
    }

    /// Bytes in memory that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Gives everything up.
    pub(super) fn clear(&mut self) {
        *self = Queue::default();
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ranges.is_empty()
    }

    #[cfg(test)]
    fn kept_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, bytes: &[u8]) -> Result<(), Full> {
        queue.push(bytes, &mut Spares::default())
    }

    fn handle() -> Arc<Handle> {
        Arc::new(Handle::from(tempfile::tempfile().unwrap()))
    }

    /// Takes everything out, at most `step` at a time, and writes down what came in which order.
    fn drain(queue: &mut Queue, step: usize) -> String {
        let mut out = String::new();
        while let Some(piece) = queue.front() {
            match piece {
                Piece::Bytes(bytes, _) => {
                    let part = &bytes[..bytes.len().min(step)];
                    out += std::str::from_utf8(part).unwrap();
                    let count = part.len();
                    queue.sent_bytes(count);
                }
                Piece::Range { offset, len, .. } => {
                    let count = len.min(step as u64);
                    for byte in offset..offset + count {
                        out += &format!("<{byte}>");
                    }
                    queue.sent_range(count);
                }
            }
        }
        assert!(queue.is_empty());
        out
    }

    #[test]
    fn order_is_kept_at_any_step() {
        for step in 1..8 {
            let mut queue = Queue::default();
            push(&mut queue, b"ab").unwrap();
            push(&mut queue, b"c").unwrap();
            queue.push_range(handle(), 7, 3).unwrap();
            queue.push_range(handle(), 0, 2).unwrap();
            push(&mut queue, b"def").unwrap();
            queue.push_range(handle(), 1, 1).unwrap();
            queue.push_range(handle(), 5, 0).unwrap();
            push(&mut queue, b"gh").unwrap();
            assert_eq!(drain(&mut queue, step), "abc<7><8><9><0><1>def<1>gh");
        }
    }

    #[test]
    fn sending_may_go_on_between_steps() {
        let mut queue = Queue::default();
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        for round in 0..5000_u32 {
            let bytes = round.to_string();
            sent.extend_from_slice(bytes.as_bytes());
            push(&mut queue, bytes.as_bytes()).unwrap();
            let Some(Piece::Bytes(bytes, false)) = queue.front() else { panic!() };
            let count = bytes.len().min(round as usize % 4);
            got.extend_from_slice(&bytes[..count]);
            queue.sent_bytes(count);
        }
        got.extend_from_slice(drain(&mut queue, 1000).as_bytes());
        assert_eq!(got, sent);
    }

    #[test]
    fn bounds_are_kept() {
        let mut queue = Queue::default();
        push(&mut queue, &vec![0; LINK_QUEUE_BYTES_MAX]).unwrap();
        assert_eq!(push(&mut queue, b"x"), Err(Full));
        queue.sent_bytes(1);
        push(&mut queue, b"x").unwrap();
        for _ in 0..LINK_RANGES_MAX {
            queue.push_range(handle(), 0, 1).unwrap();
        }
        assert_eq!(queue.push_range(handle(), 0, 1), Err(Full));
    }

    #[test]
    fn an_idle_queue_keeps_nothing_and_buffers_are_used_again() {
        let (mut queue, mut spares) = (Queue::default(), Spares::default());
        queue.push(b"a line", &mut spares).unwrap();
        drain(&mut queue, 100);
        queue.rest(&mut spares);
        assert_eq!((queue.kept_bytes(), spares.0.len()), (0, 1));
        let kept = spares.0[0].as_ptr();
        let mut other = Queue::default();
        other.push(b"line", &mut spares).unwrap();
        assert_eq!((other.bytes.as_ptr(), spares.0.len()), (kept, 0));
    }

    #[test]
    fn what_is_spare_is_bounded() {
        let mut spares = Spares::default();
        let mut rest = |bytes: usize| {
            let mut queue = Queue::default();
            queue.push(&vec![b'x'; bytes], &mut Spares::default()).unwrap();
            drain(&mut queue, 30_000);
            queue.rest(&mut spares);
            spares.0.len()
        };
        assert_eq!(rest(SPARE_BUFFER_BYTES_MAX + 1), 0);
        let kept: Vec<usize> = (0..SPARE_BUFFERS_MAX + 2).map(|_| rest(10)).collect();
        assert_eq!(kept.last(), Some(&SPARE_BUFFERS_MAX));
    }
}
