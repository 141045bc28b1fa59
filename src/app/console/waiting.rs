//! Commands that wait for the answers to those before them. Knows none of them.

use std::collections::VecDeque;

use crate::proto::limits::{LINE_BYTES_MAX, TYPED_WAITING_BYTES_MAX};
use crate::proto::wire::{ErrorCode, TOO_LONG_TEXT};

/// Lines in the order in which they came, and the beginning of the next one.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    begun: Vec<u8>,
    /// The line that has begun is too long; the rest of it is passed over.
    is_overlong: bool,
}

/// A command, or why it is none.
pub(super) type Line = Result<String, (ErrorCode, &'static str)>;

impl Waiting {
    /// More may come.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < TYPED_WAITING_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes bytes of a script, in any pieces.
    pub(super) fn take_bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, is_whole) = match piece.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (piece, false),
            };
            // A carriage return may follow, and a line feed.
            self.is_overlong |= self.begun.len() + line.len() > LINE_BYTES_MAX;
            if !self.is_overlong {
                self.begun.extend_from_slice(line);
            }
            if is_whole {
                self.end_line();
            }
        }
    }

    /// The last line may lack its end.
    pub(super) fn end(&mut self) {
        self.end_line();
    }

    /// Takes text of one or several lines.
    pub(super) fn take_text(&mut self, text: &str) {
        self.take_bytes(text.as_bytes());
        self.end_line();
    }

    /// The next command.
    pub(super) fn next(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.bytes -= cost(&line);
        Some(line)
    }

    fn end_line(&mut self) {
        let mut bytes = std::mem::take(&mut self.begun);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let line = match String::from_utf8(bytes) {
            _ if std::mem::take(&mut self.is_overlong) => Err((ErrorCode::LineTooLong, TOO_LONG_TEXT)),
            Ok(line) if line.len() >= LINE_BYTES_MAX => Err((ErrorCode::LineTooLong, TOO_LONG_TEXT)),
            Ok(line) if line.trim().is_empty() => return,
            Ok(line) => Ok(line),
            Err(_) => Err((ErrorCode::BadText, "the line is no UTF-8 text")),
        };
        self.bytes += cost(&line);
        self.lines.push_back(line);
    }
}

/// What a line counts for; also a line of nothing takes memory.
fn cost(line: &Line) -> usize {
    line.as_ref().map_or(0, String::len) + size_of::<Line>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(waiting: &mut Waiting) -> Vec<Line> {
        std::iter::from_fn(|| waiting.next()).collect()
    }

    #[test]
    fn lines_come_in_any_pieces() {
        let script = "whoelse\r\n\n  \nmessage bob é\n\u{1}\nlast";
        let expected: Vec<Line> =
            ["whoelse", "message bob é", "\u{1}", "last"].iter().map(|line| Ok((*line).to_owned())).collect();
        for at in 0..script.len() {
            let mut waiting = Waiting::default();
            waiting.take_bytes(&script.as_bytes()[..at]);
            waiting.take_bytes(&script.as_bytes()[at..]);
            waiting.end();
            assert_eq!(all(&mut waiting), expected);
            assert_eq!(waiting.bytes, 0);
        }
        let mut waiting = Waiting::default();
        waiting.take_text("one\ntwo");
        assert_eq!(all(&mut waiting).len(), 2);
    }

    #[test]
    fn what_is_no_line_is_an_error_in_its_place() {
        let mut waiting = Waiting::default();
        for piece in [&b"\xff\n"[..], &[b'x'; LINE_BYTES_MAX], b"xx", b"xx\nwhoelse\n"] {
            waiting.take_bytes(piece);
            assert!(waiting.begun.len() <= LINE_BYTES_MAX);
        }
        let lines = all(&mut waiting);
        assert_eq!(lines[0], Err((ErrorCode::BadText, "the line is no UTF-8 text")));
        assert_eq!(lines[1], Err((ErrorCode::LineTooLong, TOO_LONG_TEXT)));
        assert_eq!(lines[2], Ok("whoelse".to_owned()));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut waiting = Waiting::default();
        while waiting.has_room() {
            waiting.take_bytes(b"x\n");
        }
        assert!(waiting.lines.len() < 3000);
        waiting.next();
        assert!(waiting.has_room());
    }
}
