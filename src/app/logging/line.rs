//! One record as one line: `2026-11-21T02:53:00.123456789Z [INFO] event key=value ...`. Knows no file.

use std::fmt;
use std::io::Write as _;

use chrono::DateTime;
use log::Level;

use crate::proto::limits::LOG_LINE_BYTES_MAX;
use crate::proto::time::{SECOND_NS, Wall};

/// A line, and the buffer that the next one goes into as well.
pub(super) struct Line {
    bytes: Vec<u8>,
    /// The second that is written in `date`.
    second: Option<u64>,
    date: String,
}

/// Where a line was cut.
const CUT: &[u8] = b" ...\n";

impl Line {
    pub(super) const fn new() -> Line {
        Line { bytes: Vec::new(), second: None, date: String::new() }
    }

    /// Makes a line with its end, behind `weight`. Controls become blanks, so that it stays one, and what is longer than
    /// [`LOG_LINE_BYTES_MAX`] is cut.
    pub(super) fn compose(
        &mut self,
        weight: &str,
        level: Level,
        text: fmt::Arguments<'_>,
        at: Wall,
    ) -> &[u8] {
        let (second, nanos) = (at.0 / SECOND_NS, at.0 % SECOND_NS);
        if self.second != Some(second) {
            self.second = Some(second);
            let date = DateTime::from_timestamp(second as i64, 0).expect("a Wall ends in the year 2554");
            self.date = date.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        self.bytes.clear();
        // A text that cannot be shown is shown as far as it can.
        let _ = write!(self.bytes, "{weight}{}.{nanos:09}Z [{level}] {text}", self.date);
        self.bytes.iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b' ');
        if self.bytes.len() < LOG_LINE_BYTES_MAX {
            self.bytes.push(b'\n');
            return &self.bytes;
        }
        let mut end = LOG_LINE_BYTES_MAX - CUT.len();
        while self.bytes[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        self.bytes.truncate(end);
        self.bytes.extend_from_slice(CUT);
        // A text may be of any length; the next ones are short.
        self.bytes.shrink_to(LOG_LINE_BYTES_MAX);
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(line: &mut Line, text: &str, at: u64) -> String {
        String::from_utf8(line.compose("", Level::Info, format_args!("{text}"), Wall(at)).to_vec()).unwrap()
    }

    #[test]
    fn a_record_is_a_line() {
        let mut line = Line::new();
        let at = 1_795_229_580_123_456_789;
        assert_eq!(compose(&mut line, "peer up", at), "2026-11-21T02:53:00.123456789Z [INFO] peer up\n");
        assert_eq!(compose(&mut line, "a\nb\tc\r\x1b", 5), "1970-01-01T00:00:00.000000005Z [INFO] a b c  \n");
        assert_eq!(compose(&mut line, "", at - 1), "2026-11-21T02:53:00.123456788Z [INFO] \n");
        assert_eq!(compose(&mut line, "x", u64::MAX), "2554-07-21T23:34:33.709551615Z [INFO] x\n");
    }

    #[test]
    fn a_long_one_is_cut_between_two_letters() {
        let mut line = Line::new();
        for lead in 0..4 {
            let text = format!("{}{}", "x".repeat(lead), "ä€𝄞".repeat(100_000));
            let cut = compose(&mut line, &text, 0);
            assert!(cut.len() <= LOG_LINE_BYTES_MAX && cut.len() > LOG_LINE_BYTES_MAX - 4, "{}", cut.len());
            assert!(cut.ends_with(" ...\n"));
        }
        let head = compose(&mut line, "", 0).len();
        let just = "x".repeat(LOG_LINE_BYTES_MAX - head);
        assert_eq!(compose(&mut line, &just, 0).trim_end().len(), LOG_LINE_BYTES_MAX - 1);
        let over = format!("{just}x");
        assert!(compose(&mut line, &over, 0).ends_with("x ...\n"));
    }
}
