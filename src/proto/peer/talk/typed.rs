//! What was typed and not carried out yet: bytes, cut into lines as they are asked for. Knows no command.

use memchr::{memchr, memchr_iter};

use crate::proto::limits::{LINE_BYTES_MAX, TYPED_BYTES_MAX};
use crate::proto::wire::{ErrorCode, TOO_LONG_TEXT};

/// Stands for a line that was too long; no text has this byte.
const TOO_LONG: &[u8] = b"\xff\n";

/// Lines that wait.
#[derive(Debug, Default)]
pub(super) struct Typed {
    bytes: Vec<u8>,
    /// So many of them have been taken.
    taken: usize,
    /// Lines that have been taken, those included for which there was no room.
    lines: u64,
    /// Lines behind these for which there was no room.
    refused: u64,
    /// What comes belongs to a line that is not taken.
    cut: Option<Cut>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    TooLong,
    NoRoom,
}

impl Typed {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.taken > TYPED_BYTES_MAX / 2 || self.taken == self.bytes.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line_begins = self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let line_begins = line_begins.max(self.taken);
            if self.cut.is_none() {
                self.cut = if self.refused > 0 || part.len() > self.room() {
                    Some(Cut::NoRoom)
                } else if self.bytes.len() - line_begins + part.len() > LINE_BYTES_MAX {
                    Some(Cut::TooLong)
                } else {
                    self.bytes.extend_from_slice(part);
                    continue;
                };
                self.bytes.truncate(line_begins);
            }
            if part.ends_with(b"\n") {
                self.end_cut();
            }
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.end_cut();
    }

    fn end_cut(&mut self) {
        match self.cut.take() {
            Some(Cut::TooLong) => self.bytes.extend_from_slice(TOO_LONG),
            Some(Cut::NoRoom) => self.refused += 1,
            None => {}
        }
    }

    pub(super) fn room(&self) -> usize {
        TYPED_BYTES_MAX - (self.bytes.len() - self.taken).min(TYPED_BYTES_MAX)
    }

    /// Takes the next line; an error if it was one that is not taken.
    pub(super) fn next(&mut self) -> Option<Result<String, (ErrorCode, String)>> {
        let waiting = &self.bytes[self.taken..];
        let end = match memchr(b'\n', waiting) {
            Some(end) => end + 1,
            None if self.refused > 0 => {
                self.refused -= 1;
                self.lines += 1;
                let text = "too much was typed while earlier commands waited";
                return Some(Err((ErrorCode::LimitReached, text.to_owned())));
            }
            None if self.ended && !waiting.is_empty() => waiting.len(),
            None => return None,
        };
        let line = &waiting[..end];
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let result = match (line, std::str::from_utf8(bare)) {
            (TOO_LONG, _) => Err((ErrorCode::LineTooLong, TOO_LONG_TEXT.to_owned())),
            (_, Err(_)) => Err((ErrorCode::BadText, "a line is UTF-8".to_owned())),
            (_, Ok(text)) => Ok(text.to_owned()),
        };
        self.taken += end;
        self.lines += 1;
        Some(result)
    }

    /// The number of the line that was taken last, from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines
    }

    /// The number of the first line that waits and says something.
    pub(super) fn waiting_line(&self) -> Option<u64> {
        let mut waiting = self.bytes[self.taken..].split(|byte| *byte == b'\n');
        let blank = waiting.position(|line| !line.trim_ascii().is_empty());
        let number = |blank: usize| self.lines + blank as u64 + 1;
        let whole = memchr_iter(b'\n', &self.bytes[self.taken..]).count();
        blank.map(number).or_else(|| (self.refused > 0).then(|| number(whole)))
    }

    /// Nothing waits, and nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.taken == self.bytes.len() && self.refused == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(typed: &mut Typed) -> Vec<Result<String, ErrorCode>> {
        std::iter::from_fn(|| typed.next()).map(|line| line.map_err(|(code, _)| code)).collect()
    }

    #[test]
    fn lines_come_in_any_pieces() {
        let mut typed = Typed::default();
        for part in [&b"who"[..], b"else\r\n\nmess", b"age bob \xc3", b"\xa4\n\xfe\nlast"] {
            typed.push(part);
        }
        let found = lines(&mut typed);
        let expected = ["whoelse", "", "message bob ä"].map(|line| Ok(line.to_owned()));
        assert_eq!(found[..3], expected);
        assert_eq!(found[3..], [Err(ErrorCode::BadText)]);
        assert!(!typed.is_over());
        typed.end();
        assert_eq!(lines(&mut typed), [Ok("last".to_owned())]);
        assert!(typed.is_over());
    }

    #[test]
    fn what_waits_has_the_number_of_its_line() {
        let mut typed = Typed::default();
        assert_eq!((typed.line(), typed.waiting_line()), (0, None));
        typed.push(b"one\n\n \r\nfour\nfive");
        assert_eq!(typed.waiting_line(), Some(1));
        typed.next().unwrap().unwrap();
        assert_eq!((typed.line(), typed.waiting_line()), (1, Some(4)));
        (0..3).for_each(|_| drop(typed.next()));
        assert_eq!((typed.line(), typed.waiting_line()), (4, Some(5)));
        typed.end();
        typed.next().unwrap().unwrap();
        assert_eq!((typed.line(), typed.waiting_line()), (5, None));
        let mut full = Typed::default();
        full.push(&b" \n".repeat(TYPED_BYTES_MAX / 2));
        full.push(b"no room\n");
        assert_eq!(full.waiting_line(), Some(TYPED_BYTES_MAX as u64 / 2 + 1));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_in_its_place() {
        let mut typed = Typed::default();
        typed.push(b"one\n");
        for _ in 0..10 {
            typed.push(&[b'x'; 1000]);
        }
        typed.push(b"\ntwo\n");
        let expected = [Ok("one".to_owned()), Err(ErrorCode::LineTooLong), Ok("two".to_owned())];
        assert_eq!(lines(&mut typed), expected);
    }

    #[test]
    fn what_waits_is_bounded_and_each_line_is_answered() {
        let mut typed = Typed::default();
        let page = [b"0123456".as_slice(), b"\n"].concat().repeat(1000);
        (0..100).for_each(|_| typed.push(&page));
        assert_eq!(typed.room(), TYPED_BYTES_MAX % 8);
        let found = lines(&mut typed);
        assert_eq!(found.len(), 100_000);
        assert_eq!(found.iter().filter(|line| line.is_ok()).count(), TYPED_BYTES_MAX / 8);
        assert!(found[..TYPED_BYTES_MAX / 8].iter().all(Result::is_ok), "the first ones are taken");
        typed.push(b"again\n");
        assert_eq!(lines(&mut typed), [Ok("again".to_owned())]);
    }
}
