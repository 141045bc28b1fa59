//! Cuts what comes in over a link into lines and announced octets. Copies only what a read left
//! unfinished; never decides what a line means.

use memchr::memchr;

use crate::proto::limits::LINE_BYTES_MAX;

/// The receiving half of a link: lines, and between them exactly as many octets as a line announced.
#[derive(Debug, Default)]
pub struct LineReader {
    /// The beginning of a line whose end has not come yet; empty most of the time.
    partial: Vec<u8>,
    /// The line in `partial` was handed out; the next call clears it.
    handed_out: bool,
    octets_left: u64,
}

/// What [`LineReader::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// Some of the octets that were announced; `last` if these are the last of them.
    Octets {
        /// At least one byte.
        bytes: &'a [u8],
        /// Lines follow.
        last: bool,
    },
    /// A line longer than [`LINE_BYTES_MAX`]. Nothing that follows can be understood: close the link.
    TooLong,
}

impl LineReader {
    /// The next `count` bytes are octets. A line is only announced octets once the line has been
    /// handed out, so this is called between two calls of [`LineReader::next`].
    pub fn expect_octets(&mut self, count: u64) {
        debug_assert_eq!(self.octets_left, 0, "octets are announced one line at a time");
        self.octets_left = count;
    }

    /// Takes the next piece off the front of `input`; `None` when it is used up.
    pub fn next<'a, 'input: 'a>(&'a mut self, input: &mut &'input [u8]) -> Option<Piece<'a>> {
        if self.handed_out {
            self.partial.clear();
            self.handed_out = false;
        }
        if input.is_empty() {
            return None;
        }
        if self.octets_left > 0 {
            let count = self.octets_left.min(input.len() as u64) as usize;
            let (bytes, rest) = input.split_at(count);
            *input = rest;
            self.octets_left -= count as u64;
            return Some(Piece::Octets { bytes, last: self.octets_left == 0 });
        }
        let end = memchr(b'\n', input);
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.partial.len() + taken > LINE_BYTES_MAX {
            *input = &[];
            return Some(Piece::TooLong);
        }
        let (bytes, rest) = input.split_at(taken);
        *input = rest;
        if end.is_none() {
            self.partial.extend_from_slice(bytes);
            return None;
        }
        if self.partial.is_empty() {
            return Some(Piece::Line(without_end(bytes)));
        }
        self.partial.extend_from_slice(bytes);
        self.handed_out = true;
        Some(Piece::Line(without_end(&self.partial)))
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `parts` one after the other; a line `!N` announces N octets.
    fn read(parts: &[&[u8]]) -> Vec<String> {
        let mut reader = LineReader::default();
        let mut found: Vec<String> = Vec::new();
        let mut octets = Vec::new();
        for part in parts {
            let mut input = *part;
            loop {
                let announced = match reader.next(&mut input) {
                    None => break,
                    Some(Piece::TooLong) => {
                        found.push("too long".to_owned());
                        return found;
                    }
                    Some(Piece::Octets { bytes, last }) => {
                        octets.extend_from_slice(bytes);
                        if last {
                            found.push(format!("octets {octets:?}"));
                            octets.clear();
                        }
                        0
                    }
                    Some(Piece::Line(line)) => {
                        found.push(format!("line {line:?}"));
                        let digits = line.strip_prefix(b"!").unwrap_or(b"0");
                        std::str::from_utf8(digits).unwrap_or("0").parse().unwrap_or(0)
                    }
                };
                if announced > 0 {
                    reader.expect_octets(announced);
                }
            }
        }
        found
    }

    #[test]
    fn a_split_at_every_byte_changes_nothing() {
        let input: &[u8] = b"TICK 1 2\r\n\n!5\na\nb\r\nX\r!1\nlast\n!2\n\n\nend\n";
        let whole = read(&[input]);
        assert_eq!(whole.len(), 9);
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let parts = [&input[..first], &input[first..second], &input[second..]];
                assert_eq!(read(&parts), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn a_line_has_a_bound_however_it_arrives() {
        let longest = [vec![b'x'; LINE_BYTES_MAX - 1], vec![b'\n']].concat();
        assert_eq!(read(&[&longest]).len(), 1);
        assert_ne!(read(&[&longest]), ["too long"]);
        let longer = [vec![b'x'; LINE_BYTES_MAX], vec![b'\n']].concat();
        assert_eq!(read(&[&longer]), ["too long"]);
        let pieces: Vec<&[u8]> = longer.chunks(7).collect();
        assert_eq!(read(&pieces), ["too long"]);
        assert_eq!(read(&[&vec![b'x'; 1 << 20]]), ["too long"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_pieces(input in "[a-z!0-9\r\n]{0,200}", cuts in prop::collection::vec(0usize..200, 0..8)) {
            let bytes = input.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&parts), read(&[bytes]));
        }
    }
}
