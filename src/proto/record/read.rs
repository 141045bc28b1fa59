//! Reads a table of stamps back, strictly: what [`table`](super::table) would not have written is
//! an error with its line. Bytes in, facts out; never opens a file, never panics on any bytes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chrono::NaiveDate;

use crate::proto::record::decimal;
use crate::proto::record::ip_text::IpText;
use crate::proto::record::table::{CAUSE_SEPARATOR, DAY_S, END_PREFIX, END_SUFFIX, HEADER, is_cause};
use crate::proto::time::{SECOND_NS, Wall, Words};

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// `#`, from 1.
    pub number: u64,
    /// Whose stamp it is.
    pub sender: IpAddr,
    /// Whom it was sent to.
    pub receiver: IpAddr,
    /// The sender's date and time.
    pub stamp: Wall,
}

/// The last line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How long the run took, as it is written.
    pub elapsed: String,
    /// Why the run was cut short, if it was.
    pub cause: Option<String>,
}

/// What a table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// Number of whole rows.
    pub rows: u64,
    /// The last line; without one, the writer died or is still at work.
    pub complete: Option<End>,
    /// Whether the content ends within the header, a row or the last line.
    pub torn_tail: bool,
    /// Rows of each (sender, receiver).
    pub pairs: BTreeMap<(IpAddr, IpAddr), u64>,
    /// The stamp of the first row.
    pub first: Option<Wall>,
    /// The stamp of the last row.
    pub last: Option<Wall>,
}

/// What is wrong with a table, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct TableError {
    /// Number of the line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: TableFault,
}

/// What can be wrong with a line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// One of the lines before the first row.
    #[error("the header of a table has another line here")]
    Header,
    /// Not five cells with their bars and spaces.
    #[error("not a row `| # | IP | IP | date | time |`")]
    Row,
    /// A gap, a row twice, or no number.
    #[error("the row's number is not {expected}")]
    Number {
        /// The number that this row should have.
        expected: u64,
    },
    /// The sender's cell.
    #[error("the sender is no IP address, or not written in the shortest way")]
    Sender,
    /// The receiver's cell.
    #[error("the receiver is no IP address, or not written in the shortest way")]
    Receiver,
    /// The date's cell.
    #[error("no date `YYYY-MM-DD` from 1970 to 2554")]
    Date,
    /// The time's cell.
    #[error("no time `HH:MM:SS.nnnnnnnnn`")]
    Time,
    /// After a blank line.
    #[error("not the last line of a table")]
    End,
    /// Something follows the last line.
    #[error("the table has ended before")]
    AfterEnd,
}

/// The rows of a table, in order; ends after the first error. How the table ended is known once
/// the iterator has ended.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    rest: &'a [u8],
    /// Whole lines that were read.
    lines: u64,
    rows: u64,
    end: Option<End>,
    /// The content ended within the header, a row or the last line.
    torn_tail: bool,
}

impl<'a> Rows<'a> {
    /// The rows of the table with that content.
    ///
    /// # Errors
    /// If it does not begin with the header. A header that is not yet whole is no error.
    pub fn new(content: &'a [u8]) -> Result<Rows<'a>, TableError> {
        let header = HEADER.as_bytes();
        let same = header.iter().zip(content).take_while(|(ours, theirs)| ours == theirs).count();
        let lines = memchr::memchr_iter(b'\n', &header[..same]).count() as u64;
        if same < header.len().min(content.len()) {
            return Err(TableError { line: lines + 1, fault: TableFault::Header });
        }
        let torn_tail = same < header.len() && same > 0;
        Ok(Rows { rest: &content[same..], lines, rows: 0, end: None, torn_tail })
    }

    /// The next whole line, its LF left out.
    fn line(&mut self) -> Option<&'a [u8]> {
        let len = memchr::memchr(b'\n', self.rest)?;
        let line = &self.rest[..len];
        self.rest = &self.rest[len + 1..];
        self.lines += 1;
        Some(line)
    }

    fn step(&mut self) -> Result<Option<Row>, TableFault> {
        let Some(line) = self.line() else {
            self.torn_tail |= !self.rest.is_empty();
            return Ok(None);
        };
        if line.is_empty() {
            return self.read_end().map(|()| None);
        }
        let row = parse_row(line, self.rows + 1)?;
        self.rows = row.number;
        Ok(Some(row))
    }

    /// What follows the blank line after the rows.
    fn read_end(&mut self) -> Result<(), TableFault> {
        let Some(line) = self.line() else {
            self.torn_tail = true;
            return Ok(());
        };
        self.end = Some(parse_end(line).ok_or(TableFault::End)?);
        if !self.rest.is_empty() {
            self.lines += 1;
            return Err(TableFault::AfterEnd);
        }
        Ok(())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Result<Row, TableError>> {
        let step = self.step();
        if !matches!(step, Ok(Some(_))) {
            self.rest = &[];
        }
        step.map_err(|fault| TableError { line: self.lines, fault }).transpose()
    }
}

/// Reads a whole table.
///
/// # Errors
/// If a line is not what the writer of a table would have written there. A table that ends early
/// is none: see [`TableFacts::complete`] and [`TableFacts::torn_tail`].
pub fn read_table(content: &[u8]) -> Result<TableFacts, TableError> {
    let mut facts = TableFacts::default();
    let mut rows = Rows::new(content)?;
    for row in rows.by_ref() {
        let row = row?;
        facts.rows = row.number;
        facts.first = facts.first.or(Some(row.stamp));
        facts.last = Some(row.stamp);
        *facts.pairs.entry((row.sender, row.receiver)).or_default() += 1;
    }
    facts.torn_tail = rows.torn_tail;
    facts.complete = rows.end;
    Ok(facts)
}

fn parse_row(line: &[u8], expected: u64) -> Result<Row, TableFault> {
    let text = std::str::from_utf8(line).map_err(|_| TableFault::Row)?;
    let inner = text.strip_prefix("| ").and_then(|text| text.strip_suffix(" |")).ok_or(TableFault::Row)?;
    let mut cells = inner.split(" | ");
    let mut cell = || cells.next().ok_or(TableFault::Row);
    let (number, sender, receiver, date, time) = (cell()?, cell()?, cell()?, cell()?, cell()?);
    if cells.next().is_some() {
        return Err(TableFault::Row);
    }
    let number = decimal(number.as_bytes()).filter(|number| *number == expected);
    let number = number.ok_or(TableFault::Number { expected })?;
    let sender = parse_ip(sender).ok_or(TableFault::Sender)?;
    let receiver = parse_ip(receiver).ok_or(TableFault::Receiver)?;
    let day = parse_date(date.as_bytes()).ok_or(TableFault::Date)?;
    let of_day_ns = parse_time(time.as_bytes()).ok_or(TableFault::Time)?;
    let day_ns = day.checked_mul(DAY_S * SECOND_NS).ok_or(TableFault::Date)?;
    let stamp = day_ns.checked_add(of_day_ns).ok_or(TableFault::Date)?;
    Ok(Row { number, sender, receiver, stamp: Wall(stamp) })
}

/// An address in the one way that [`IpText`] writes it. IPv4 has only that one.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    (ip.is_ipv4() || IpText::new(ip).as_str() == text).then_some(ip)
}

/// Days since 1970-01-01.
fn parse_date(text: &[u8]) -> Option<u64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (year, month, day) = (digits(&[y1, y2, y3, y4])?, digits(&[m1, m2])?, digits(&[d1, d2])?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    u64::try_from(date.to_epoch_days()).ok()
}

/// Nanoseconds since midnight. UTC days have 86,400 seconds here: no leap second is ever written.
fn parse_time(text: &[u8]) -> Option<u64> {
    let (&[h1, h2, b':', m1, m2, b':', s1, s2, b'.'], nanos) = text.split_first_chunk()? else { return None };
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?);
    let nanos = if nanos.len() == 9 { digits(nanos)? } else { return None };
    let in_range = hour < 24 && minute < 60 && second < 60;
    in_range.then(|| u64::from(hour * 3600 + minute * 60 + second) * SECOND_NS + u64::from(nanos))
}

/// A number of at most nine digits, zeros in front allowed.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

fn parse_end(line: &[u8]) -> Option<End> {
    let text = std::str::from_utf8(line).ok()?;
    let inner = text.strip_prefix(END_PREFIX)?.strip_suffix(END_SUFFIX)?;
    let (elapsed, cause) = match inner.split_once(CAUSE_SEPARATOR) {
        Some((elapsed, cause)) => (elapsed, Some(cause)),
        None => (inner, None),
    };
    let whole = cause.is_none_or(is_cause) && parse_words(elapsed).is_some();
    whole.then(|| End { elapsed: elapsed.to_owned(), cause: cause.map(str::to_owned) })
}

/// A duration in the one way that [`Words`] writes it.
fn parse_words(text: &str) -> Option<Duration> {
    let mut words = text.split(' ');
    let mut total = Duration::ZERO;
    while let Some(count) = words.next() {
        let unit = match words.next()?.trim_end_matches('s') {
            "hour" => Duration::from_secs(3600),
            "minute" => Duration::from_secs(60),
            "second" => Duration::from_secs(1),
            "millisecond" => Duration::from_millis(1),
            _ => return None,
        };
        let count = u32::try_from(decimal(count.as_bytes())?).ok()?;
        total = total.checked_add(unit.checked_mul(count)?)?;
    }
    (Words(total).to_string() == text).then_some(total)
}

#[cfg(test)]
mod tests;
