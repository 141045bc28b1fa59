//! Names of things: links and files as the driver knows them, members, groups and files as
//! people know them. Checks what may be a name; never says who has it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::proto::limits::{FILE_NAME_BYTES_MAX, NAME_BYTES_MAX};

/// A TCP connection as the driver knows it: a place in its table and how often that place was
/// used before, so that the id of a link that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId {
    /// Place in the driver's table; small, and used again.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

/// A file as a machine knows it: chosen by the machine, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// An attempt to connect as a machine knows it: chosen by the machine, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialId(pub u32);

/// A secret of 128 bits that the server deals out, written as 32 hexadecimal digits: a member's
/// key to its place in the group, or the ticket of a pair of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u128);

impl FromStr for Key {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Key, std::num::ParseIntError> {
        // Only one spelling: other lengths, signs and capitals become an error.
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let strict = text.len() == 32 && text.bytes().all(digits);
        u128::from_str_radix(if strict { text } else { "" }, 16).map(Key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The name of a member or a group: ASCII letters, digits, `-`, `_` and `.`, neither first nor
/// last; case matters. It can be part of a file name, of a log line and of a protocol line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// The number, if the name is one, kept for a quick order; else [`NO_NUMBER`].
    number: u32,
    len: u8,
    bytes: [u8; NAME_BYTES_MAX],
}

const NO_NUMBER: u32 = u32::MAX;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than its bound.
    #[error("a name has at most {0} bytes")]
    TooLong(usize),
    /// A byte that no name has.
    #[error(
        "a name has only letters, digits, '-', '_' and '.', and begins and ends with a letter, digit or '_'"
    )]
    BadByte,
}

impl Name {
    /// # Errors
    /// If `bytes` is empty, too long, or has a byte that no name has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Name, NameError> {
        check(bytes, NAME_BYTES_MAX)?;
        let mut name = Name { number: number(bytes), len: bytes.len() as u8, bytes: [0; NAME_BYTES_MAX] };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }

    /// The name of the peer with that number.
    pub fn from_number(number: u32) -> Name {
        let mut buffer = itoa::Buffer::new();
        Name::from_bytes(buffer.format(number).as_bytes()).expect("digits are a name")
    }

    /// The number, if the name is one, written the only way that [`Name::from_number`] writes it.
    pub fn number(&self) -> Option<u32> {
        (self.number != NO_NUMBER).then_some(self.number)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a name is ASCII")
    }

    /// As bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_str())
    }
}

/// Numbers come first, in their own order, so that peer 10 follows peer 9; then names by their bytes.
impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        // No name has a zero byte, so what is behind its end is less than anything.
        self.number.cmp(&other.number).then_with(|| self.bytes.cmp(&other.bytes))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The name of a file on the wire and in a folder of ours. It holds no separator, so it cannot
/// lead out of the folder, and does not begin with a dot, so it hides nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(Box<str>);

impl FileName {
    /// # Errors
    /// If `bytes` is empty, too long, or has a byte that no name has.
    pub fn check(bytes: &[u8]) -> Result<(), NameError> {
        check(bytes, FILE_NAME_BYTES_MAX)
    }

    /// Whether files of that name are unfinished ones, which nobody shares.
    pub fn is_partial(name: &str) -> bool {
        name.ends_with(".partial")
    }

    /// # Errors
    /// See [`FileName::check`].
    pub fn from_bytes(bytes: &[u8]) -> Result<FileName, NameError> {
        FileName::check(bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|_| NameError::BadByte)?;
        Ok(FileName(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<FileName, NameError> {
        FileName::from_bytes(text.as_bytes())
    }
}

/// So that a map by names can be searched with a text that is none of ours.
impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number that `bytes` spell without sign or needless zeros, or [`NO_NUMBER`].
fn number(bytes: &[u8]) -> u32 {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let strict = text == "0" || !text.starts_with(['0', '+']);
    if strict { text.parse().unwrap_or(NO_NUMBER) } else { NO_NUMBER }
}

fn check(bytes: &[u8], bytes_max: usize) -> Result<(), NameError> {
    let edge = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let inside = |byte: &u8| edge(byte) || *byte == b'-' || *byte == b'.';
    match (bytes.first(), bytes.last()) {
        _ if bytes.len() > bytes_max => Err(NameError::TooLong(bytes_max)),
        (Some(first), Some(last)) if edge(first) && edge(last) && bytes.iter().all(inside) => Ok(()),
        (None, _) => Err(NameError::Empty),
        _ => Err(NameError::BadByte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["0", "alice", "a.b-c_d", "_", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "a.",
            "-a",
            "a/b",
            "a b",
            "a\n",
            "é",
            "a%b",
            "*",
            "a\0b",
            "../../x",
            &"x".repeat(NAME_BYTES_MAX + 1),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
            if bad.len() <= NAME_BYTES_MAX {
                assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
            }
        }
    }

    #[test]
    fn numbers_sort_before_names_and_by_value() {
        let mut names: Vec<Name> =
            ["b", "10", "9", "a", "007", "0"].iter().map(|text| text.parse().unwrap()).collect();
        names.sort();
        let sorted: Vec<&str> = names.iter().map(Name::as_str).collect();
        assert_eq!(sorted, ["0", "9", "10", "007", "a", "b"]);
    }

    #[test]
    fn only_one_spelling_of_a_number_is_one() {
        assert_eq!("7".parse::<Name>().unwrap().number(), Some(7));
        assert_eq!("07".parse::<Name>().unwrap().number(), None);
        assert_eq!("+7".parse::<Name>(), Err(NameError::BadByte));
        assert_eq!("4294967295".parse::<Name>().unwrap().number(), None);
        assert_eq!(Name::from_number(4_294_967_294).number(), Some(4_294_967_294));
    }
}
