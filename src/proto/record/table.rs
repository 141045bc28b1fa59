//! The form of a table of stamps, and writing it. Appends to a buffer of the caller; never reads
//! a clock, never touches a file, never allocates for a row.
//!
//! ```text
//! _Timestamp Data_
//!
//! | # | Sender's IP | Receiver's IP | Date  | Time  |
//! |---|-------------|---------------|-------|-------|
//! | 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 |
//! | 2 | 10.0.0.1 | 10.0.0.7 | 2026-11-21 | 02:53:00.123487211 |
//!
//! _End of Timestamp Data (after 5 minutes)_
//! ```
//!
//! One row a stamp; `#` counts from 1 without a gap; the date and time are the sender's, in UTC, with
//! nanoseconds. Every line ends with LF. A run that was cut short says why after the time that it
//! took: `(after 3 minutes 12 seconds: interrupted)`. A table without a last line is one whose
//! writer died.

use std::io::Write;
use std::time::Duration;

use chrono::{Datelike, NaiveDate};

use crate::proto::limits::ROW_BYTES_MAX;
use crate::proto::record::ip_text::IpText;
use crate::proto::time::{SECOND_NS, Wall, Words};

/// All lines before the first row.
pub const HEADER: &str = "\
_Timestamp Data_

| # | Sender's IP | Receiver's IP | Date  | Time  |
|---|-------------|---------------|-------|-------|
";
/// How the last line begins.
pub const END_PREFIX: &str = "_End of Timestamp Data (after ";
/// How the last line ends, its LF left out.
pub const END_SUFFIX: &str = ")_";
/// Between the time that a run took and why it was cut short.
pub const CAUSE_SEPARATOR: &str = ": ";

pub(super) const DAY_S: u64 = 86_400;

/// Writes one table, from its header to its last line.
#[derive(Clone, Debug)]
pub struct TableWriter {
    rows: u64,
    stamp: StampText,
}

impl Default for TableWriter {
    fn default() -> TableWriter {
        TableWriter::new()
    }
}

impl TableWriter {
    /// The writer of a table without rows.
    pub fn new() -> TableWriter {
        TableWriter { rows: 0, stamp: StampText::new() }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends the lines before the first row.
    pub fn header(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.rows, 0, "the header comes first");
        out.extend_from_slice(HEADER.as_bytes());
    }

    /// Appends the next row, [`ROW_BYTES_MAX`] bytes at most. `stamp` is the sender's.
    pub fn row(&mut self, out: &mut Vec<u8>, sender: &IpText, receiver: &IpText, stamp: Wall) {
        self.rows += 1;
        let mut number = itoa::Buffer::new();
        out.reserve(ROW_BYTES_MAX);
        for part in [
            b"| ",
            number.format(self.rows).as_bytes(),
            b" | ",
            sender.as_bytes(),
            b" | ",
            receiver.as_bytes(),
            self.stamp.set(stamp),
        ] {
            out.extend_from_slice(part);
        }
    }

    /// Appends the last line: the time that the run took, and why it was cut short, if it was
    /// (`interrupted`, `disk full`; plain text without parentheses).
    pub fn footer(&self, out: &mut Vec<u8>, elapsed: Duration, cause: Option<&str>) {
        debug_assert!(cause.is_none_or(is_cause), "a cause is plain text");
        let (separator, cause) = cause.map_or(("", ""), |cause| (CAUSE_SEPARATOR, cause));
        let elapsed = Words(elapsed);
        writeln!(out, "\n{END_PREFIX}{elapsed}{separator}{cause}{END_SUFFIX}").expect("memory takes all");
    }
}

/// A moment for people, to the second: `2026-11-21 02:53:00 UTC`.
pub fn utc_text(wall: Wall) -> String {
    let mut stamp = StampText::new();
    stamp.set(wall);
    let part = |from, to| String::from_utf8_lossy(&stamp.text[from..to]);
    format!("{} {} UTC", part(YEAR_AT, DAY_AT + 2), part(HOUR_AT, SECOND_AT + 2))
}

/// Whether a text can be the cause in a last line.
pub(super) fn is_cause(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'(' && byte != b')')
}

/// The end of a row, from the date on. Stamps come in order, nearly, so only the digits below a
/// second change with each row, the others once a second, and the date once a day.
#[derive(Clone, Debug)]
struct StampText {
    text: [u8; STAMP_FORM.len()],
    /// The second and the day that `text` shows; no stamp has the ones that it begins with.
    second: u64,
    day: u64,
}

const STAMP_FORM: [u8; 37] = *b" | 0000-00-00 | 00:00:00.000000000 |\n";
const YEAR_AT: usize = 3;
const MONTH_AT: usize = 8;
const DAY_AT: usize = 11;
const HOUR_AT: usize = 16;
const MINUTE_AT: usize = 19;
const SECOND_AT: usize = 22;
const NANOS_AT: usize = 25;

impl StampText {
    fn new() -> StampText {
        StampText { text: STAMP_FORM, second: u64::MAX, day: u64::MAX }
    }

    fn set(&mut self, stamp: Wall) -> &[u8] {
        let second = stamp.0 / SECOND_NS;
        if second != self.second {
            self.set_second(second);
        }
        let nanos = (stamp.0 % SECOND_NS) as u32;
        put_digits(&mut self.text[NANOS_AT..NANOS_AT + 9], nanos);
        &self.text
    }

    fn set_second(&mut self, second: u64) {
        let day = second / DAY_S;
        if day != self.day {
            self.set_day(day);
        }
        self.second = second;
        let of_day = (second % DAY_S) as u32;
        put_digits(&mut self.text[HOUR_AT..HOUR_AT + 2], of_day / 3600);
        put_digits(&mut self.text[MINUTE_AT..MINUTE_AT + 2], of_day / 60 % 60);
        put_digits(&mut self.text[SECOND_AT..SECOND_AT + 2], of_day % 60);
    }

    fn set_day(&mut self, day: u64) {
        self.day = day;
        let date = NaiveDate::from_epoch_days(day as i32).expect("a Wall ends in the year 2554");
        put_digits(&mut self.text[YEAR_AT..YEAR_AT + 4], date.year().unsigned_abs());
        put_digits(&mut self.text[MONTH_AT..MONTH_AT + 2], date.month());
        put_digits(&mut self.text[DAY_AT..DAY_AT + 2], date.day());
    }
}

/// Fills all of `place` with decimal digits, zeros in front.
fn put_digits(place: &mut [u8], mut number: u32) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
    debug_assert_eq!(number, 0, "the place is wide enough");
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpText {
        IpText::new(text.parse::<IpAddr>().unwrap())
    }

    fn wall(text: &str) -> Wall {
        Wall(DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt().unwrap() as u64)
    }

    /// What chrono makes of a stamp.
    fn expected(stamp: Wall) -> String {
        let time = DateTime::from_timestamp((stamp.0 / SECOND_NS) as i64, (stamp.0 % SECOND_NS) as u32);
        format!(" | {} |\n", time.unwrap().naive_utc().format("%Y-%m-%d | %H:%M:%S%.9f"))
    }

    #[test]
    fn a_table_is_byte_for_byte_as_promised() {
        let (peer, server) = (ip("10.0.0.7"), ip("10.0.0.1"));
        let mut table = TableWriter::new();
        let mut out = Vec::new();
        table.header(&mut out);
        table.row(&mut out, &peer, &server, wall("2026-11-21T02:53:00.123456789Z"));
        table.row(&mut out, &server, &peer, wall("2026-11-21T02:53:00.123487211Z"));
        table.footer(&mut out, Duration::from_secs(300), None);
        let expected = "_Timestamp Data_\n\
            \n\
            | # | Sender's IP | Receiver's IP | Date  | Time  |\n\
            |---|-------------|---------------|-------|-------|\n\
            | 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 |\n\
            | 2 | 10.0.0.1 | 10.0.0.7 | 2026-11-21 | 02:53:00.123487211 |\n\
            \n\
            _End of Timestamp Data (after 5 minutes)_\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(table.rows(), 2);
    }

    #[test]
    fn a_run_cut_short_says_so() {
        let mut out = Vec::new();
        let table = TableWriter::new();
        table.footer(&mut out, Duration::from_secs(192), Some("interrupted"));
        assert_eq!(out, b"\n_End of Timestamp Data (after 3 minutes 12 seconds: interrupted)_\n");
        out.clear();
        table.footer(&mut out, Duration::from_millis(250), Some("disk full"));
        assert_eq!(out, b"\n_End of Timestamp Data (after 250 milliseconds: disk full)_\n");
    }

    #[test]
    fn the_longest_row_fits_its_bound() {
        let longest = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        let mut table = TableWriter { rows: u64::MAX - 1, ..TableWriter::new() };
        let mut out = Vec::new();
        table.row(&mut out, &longest, &longest, Wall(u64::MAX));
        assert!(out.len() <= ROW_BYTES_MAX, "{}", out.len());
    }

    #[test]
    fn remarkable_stamps_are_as_chrono_has_them() {
        let mut text = StampText::new();
        for stamp in [
            Wall(0),
            Wall(1),
            wall("1970-01-01T23:59:59.999999999Z"),
            wall("1970-01-02T00:00:00.000000000Z"),
            wall("2000-02-29T12:00:00.000000001Z"),
            wall("2024-02-28T23:59:59.999999999Z"),
            wall("2024-02-29T00:00:00Z"),
            wall("2024-02-29T23:59:59.100000000Z"),
            wall("2024-03-01T00:00:00Z"),
            wall("2023-02-28T23:59:59Z"),
            wall("2023-03-01T00:00:00Z"),
            wall("2100-02-28T23:59:59Z"),
            wall("2100-03-01T00:00:00Z"),
            wall("2038-01-19T03:14:08Z"),
            wall("2262-04-11T23:47:16.854775807Z"),
            Wall(i64::MAX as u64 + 1),
            Wall(u64::MAX),
            Wall(0),
        ] {
            assert_eq!(std::str::from_utf8(text.set(stamp)).unwrap(), expected(stamp));
        }
    }

    #[test]
    fn a_moment_for_people() {
        assert_eq!(utc_text(wall("2026-11-21T02:53:00.999999999Z")), "2026-11-21 02:53:00 UTC");
        assert_eq!(utc_text(Wall(0)), "1970-01-01 00:00:00 UTC");
    }

    proptest! {
        #[test]
        fn any_stamps_are_as_chrono_has_them(stamps in prop::collection::vec(any::<u64>(), 1..20), near in 0..200_000_u64) {
            let mut text = StampText::new();
            for stamp in stamps {
                for stamp in [Wall(stamp), Wall(stamp.saturating_add(near * SECOND_NS / 7)), Wall(stamp)] {
                    prop_assert_eq!(std::str::from_utf8(text.set(stamp)).unwrap(), expected(stamp));
                }
            }
        }
    }
}
