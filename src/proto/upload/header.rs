//! What a client says first: how large its file is, and what it is called there. Takes it apart; what may be a
//! name is decided elsewhere.

use crate::proto::limits::HEADER_SIZE_BYTES;

/// A header, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// Size of the file.
    pub(super) bytes: u64,
    /// All the rest: whatever the client calls a name.
    pub(super) name: &'a [u8],
}

impl<'a> Header<'a> {
    /// `None` if these bytes are not a whole one: there is no name.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Header<'a>> {
        let (size, name) = bytes.split_first_chunk::<HEADER_SIZE_BYTES>()?;
        (!name.is_empty()).then_some(Header { bytes: u64::from_be_bytes(*size), name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_size_and_the_rest() {
        let parse = |bytes| Header::parse(bytes).map(|header| (header.bytes, header.name));
        assert_eq!(parse(b"\0\0\0\0\0\0\x01\x02a"), Some((258, b"a".as_slice())));
        assert_eq!(parse(b"\x80\0\0\0\0\0\0\0x y\0"), Some((1 << 63, b"x y\0".as_slice())));
        assert_eq!(parse(&[0xff; 9]), Some((u64::MAX, [0xff].as_slice())));
        for len in 0..=HEADER_SIZE_BYTES {
            assert_eq!(parse(&b"\0\0\0\0\0\0\0\0"[..len]), None);
        }
    }
}
