//! The samples of a run: the four times of each exchange, one CSV line each, written and read.
//! Computes nothing from them, never touches a file, never allocates for a line.
//!
//! The first line names the columns with their units; all values are whole decimal numbers:
//!
//! | column | meaning |
//! |---|---|
//! | `seq` | number of the tick on its peer's grid, from 0; a number that is absent had no answer |
//! | `lateness_ns` | how late the tick was sent against the grid, nanoseconds |
//! | `t1_sent_unix_ns` | the peer's clock when the tick was sent |
//! | `t2_received_there_unix_ns` | the server's clock when the tick came in |
//! | `t3_sent_there_unix_ns` | the server's clock when the answer was sent |
//! | `t4_received_back_unix_ns` | the peer's clock when the answer came in |
//!
//! `unix_ns` is nanoseconds since 1970-01-01 UTC. Lines are whole as soon as they end with LF, so
//! the file can be read while it is written; it has no last line.

use crate::proto::record::decimal;
use crate::proto::time::Wall;

/// The first line: names of the columns, with their units.
pub const HEADER: &str = "seq,lateness_ns,t1_sent_unix_ns,t2_received_there_unix_ns,\
t3_sent_there_unix_ns,t4_received_back_unix_ns\n";

/// One answered tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Number of the tick.
    pub seq: u64,
    /// How late it was sent, nanoseconds.
    pub lateness_ns: u64,
    /// Sent, by the peer's clock.
    pub t1: Wall,
    /// Received there, by the server's clock.
    pub t2: Wall,
    /// Sent there, by the server's clock.
    pub t3: Wall,
    /// Received back, by the peer's clock.
    pub t4: Wall,
}

/// What is wrong with a samples file, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The first line names other columns.
    #[error("line 1: not the names of the columns")]
    Header,
    /// A line is not six numbers.
    #[error("line {line}: not six whole numbers with a comma between them")]
    Line {
        /// Number of the line, from 1.
        line: u64,
    },
}

/// Appends the line that names the columns.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(HEADER.as_bytes());
}

/// Appends the line of one sample, [`SAMPLE_BYTES_MAX`](crate::proto::limits::SAMPLE_BYTES_MAX) bytes at most.
pub fn write_sample(out: &mut Vec<u8>, sample: &Sample) {
    let Sample { seq, lateness_ns, t1, t2, t3, t4 } = *sample;
    let mut number = itoa::Buffer::new();
    for value in [seq, lateness_ns, t1.0, t2.0, t3.0] {
        out.extend_from_slice(number.format(value).as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(number.format(t4.0).as_bytes());
    out.push(b'\n');
}

/// Reads the line of one sample, its LF left out; `None` if it is anything else.
fn parse_sample(line: &[u8]) -> Option<Sample> {
    let mut fields = line.split(|byte| *byte == b',').map(decimal);
    let mut next = || fields.next().flatten();
    let (seq, lateness_ns) = (next()?, next()?);
    let [t1, t2, t3, t4] = [Wall(next()?), Wall(next()?), Wall(next()?), Wall(next()?)];
    fields.next().is_none().then_some(Sample { seq, lateness_ns, t1, t2, t3, t4 })
}

/// The samples of a file, in order; ends after the first error. A torn last line, as in a file
/// that is being written or whose writer died, is left out.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    rest: &'a [u8],
    lines: u64,
    torn_tail: bool,
}

impl<'a> Samples<'a> {
    /// The samples of the file with that content.
    ///
    /// # Errors
    /// If the first line does not name our columns. A first line that is not yet whole is no error.
    pub fn new(content: &'a [u8]) -> Result<Samples<'a>, SampleError> {
        match content.strip_prefix(HEADER.as_bytes()) {
            Some(rest) => Ok(Samples { rest, lines: 1, torn_tail: false }),
            None if HEADER.as_bytes().starts_with(content) => {
                Ok(Samples { rest: &[], lines: 0, torn_tail: !content.is_empty() })
            }
            None => Err(SampleError::Header),
        }
    }

    /// Whether the content ended in the middle of a line; known once the iterator has ended.
    pub fn torn_tail(&self) -> bool {
        self.torn_tail
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, SampleError>;

    fn next(&mut self) -> Option<Result<Sample, SampleError>> {
        let Some(len) = memchr::memchr(b'\n', self.rest) else {
            self.torn_tail |= !self.rest.is_empty();
            self.rest = &[];
            return None;
        };
        let line = &self.rest[..len];
        self.rest = &self.rest[len + 1..];
        self.lines += 1;
        let sample = parse_sample(line);
        if sample.is_none() {
            self.rest = &[];
        }
        Some(sample.ok_or(SampleError::Line { line: self.lines }))
    }
}

/// Reads a whole file: its samples, and whether it ended in the middle of a line.
///
/// # Errors
/// If the first line does not name our columns, or a whole line is no sample.
pub fn read_samples(content: &[u8]) -> Result<(Vec<Sample>, bool), SampleError> {
    let mut reader = Samples::new(content)?;
    let samples = reader.by_ref().collect::<Result<Vec<Sample>, SampleError>>()?;
    Ok((samples, reader.torn_tail()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::limits::SAMPLE_BYTES_MAX;

    fn sample(seed: u64) -> Sample {
        let at = |add: u64| Wall(seed.wrapping_mul(1_000_003).wrapping_add(add));
        Sample { seq: seed, lateness_ns: seed % 977, t1: at(0), t2: at(1), t3: at(2), t4: at(3) }
    }

    fn file(seeds: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        write_header(&mut out);
        seeds.iter().for_each(|seed| write_sample(&mut out, &sample(*seed)));
        out
    }

    #[test]
    fn lines_are_as_documented() {
        let mut out = Vec::new();
        write_header(&mut out);
        let (t1, t2) = (Wall(1_795_229_580_123_456_789), Wall(1_795_229_580_123_487_211));
        write_sample(&mut out, &Sample { seq: 7, lateness_ns: 5210, t1, t2, t3: Wall(9), t4: Wall(0) });
        let expected = "seq,lateness_ns,t1_sent_unix_ns,t2_received_there_unix_ns,t3_sent_there_unix_ns,t4_received_back_unix_ns\n\
            7,5210,1795229580123456789,1795229580123487211,9,0\n";
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    #[test]
    fn the_longest_line_fits_its_bound() {
        let most = Wall(u64::MAX);
        let mut out = Vec::new();
        let longest = Sample { seq: u64::MAX, lateness_ns: u64::MAX, t1: most, t2: most, t3: most, t4: most };
        write_sample(&mut out, &longest);
        assert!(out.len() <= SAMPLE_BYTES_MAX);
        assert_eq!(parse_sample(&out[..out.len() - 1]), Some(longest));
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for line in
            ["", "1,2,3,4,5", "1,2,3,4,5,6,", "1,2,3,4,5,6,7", "1,2,3,4,5,-6", "1,2,3,4,5, 6", "01,2,3,4,5,6"]
        {
            assert_eq!(parse_sample(line.as_bytes()), None, "{line:?}");
        }
        let mut bad = file(&[1, 2]);
        bad.extend_from_slice(b"oops\n");
        assert_eq!(read_samples(&bad), Err(SampleError::Line { line: 4 }));
        assert_eq!(Samples::new(&bad).unwrap().count(), 3, "ends after the error");
        assert_eq!(read_samples(b"seq,lateness\n"), Err(SampleError::Header));
    }

    proptest! {
        #[test]
        fn what_was_written_so_far_can_be_read(seeds in prop::collection::vec(any::<u64>(), 0..8), cut in any::<prop::sample::Index>()) {
            let whole = file(&seeds);
            let part = &whole[..cut.index(whole.len() + 1)];
            let (samples, torn_tail) = read_samples(part).unwrap();
            let lines = part.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(samples.len(), lines.saturating_sub(1));
            prop_assert!(samples.iter().zip(&seeds).all(|(read, seed)| *read == sample(*seed)));
            prop_assert_eq!(torn_tail, part.last().is_some_and(|byte| *byte != b'\n'));
        }

        #[test]
        fn any_bytes_are_survived(mut content in prop::collection::vec(any::<u8>(), 0..200), headed in any::<bool>()) {
            if headed {
                content.splice(0..0, HEADER.bytes());
            }
            let _ = read_samples(&content);
        }
    }
}
