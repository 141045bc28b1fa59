//! A chunk that is coming in over a link: as it is, hashed as it comes, or packed, kept until it is all
//! there. Says where its bytes belong, and at the end whether they were right; does not know who asked for it.

use blake3::{Hash, Hasher};

use crate::proto::limits::PACKED_CHUNK_BYTES_MAX;
use crate::proto::swarm::{Kept, Manifest, Unpacker};

/// One announced chunk; a link has at most one at a time.
#[derive(Debug)]
pub struct Incoming {
    chunk: u64,
    offset: u64,
    left: u64,
    expected: Hash,
    /// In a box, as it has 2 KB.
    hasher: Box<Hasher>,
}

/// What the other side sent does not agree with what it offered or was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Nobody asked for that chunk.
    #[error("chunk {0} was not asked for")]
    NotAsked(u64),
    /// The chunk has another length.
    #[error("chunk {0} has {1} bytes, not {2}")]
    Length(u64, u64, u64),
    /// What is packed is longer than the chunk, or the chunk is not one of those that are packed.
    #[error("chunk {0} cannot come packed in {1} octets")]
    PackedLength(u64, u64),
    /// The octets are not one zstd frame of the chunk's length.
    #[error("chunk {0} cannot be unpacked")]
    Packed(u64),
    /// The bytes are not those of the manifest.
    #[error("chunk {0} failed its hash")]
    Hash(u64),
}

/// One announced chunk that comes packed. Nothing of it is believed, or goes anywhere, before all of it is right.
#[derive(Debug)]
pub struct Packed {
    chunk: u64,
    offset: u64,
    len: u64,
    expected: Hash,
    octets: Vec<u8>,
}

impl Packed {
    /// A chunk is announced that is packed in `octets` octets. `buffer` is empty, and will take them.
    ///
    /// # Errors
    /// If the file has no such chunk, or one of that length does not come in so many octets.
    pub fn begin(manifest: &Manifest, chunk: u64, octets: u64, buffer: Vec<u8>) -> Result<Packed, Lie> {
        let (Some((offset, len)), Some(expected)) = (manifest.range(chunk), manifest.hash(chunk)) else {
            return Err(Lie::NotAsked(chunk));
        };
        if octets == 0 || octets > len || len > PACKED_CHUNK_BYTES_MAX {
            return Err(Lie::PackedLength(chunk, octets));
        }
        Ok(Packed { chunk, offset, len, expected: *expected, octets: buffer })
    }

    /// Which chunk it is.
    pub fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Some of its octets.
    pub fn take(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The octets are all there: the chunk's place in the file, and its bytes. Right ones go to `kept` as they came.
    ///
    /// # Errors
    /// If they cannot be unpacked, or the hash of what comes out is wrong.
    pub fn end<'a>(
        self,
        unpacker: &'a mut Unpacker,
        kept: Option<&mut Kept>,
    ) -> Result<(u64, &'a [u8]), Lie> {
        let Packed { chunk, offset, len, expected, octets } = self;
        let is_right = unpacker.unpack(&octets, len as usize).map(|bytes| blake3::hash(bytes) == expected);
        if let (Some(true), Some(kept)) = (is_right, kept) {
            kept.keep(&expected, &octets);
        }
        unpacker.take_back(octets);
        match is_right {
            Some(true) => Ok((offset, unpacker.last(len as usize))),
            Some(false) => Err(Lie::Hash(chunk)),
            None => Err(Lie::Packed(chunk)),
        }
    }
}

impl Incoming {
    /// A chunk of `octets` bytes is announced. Whether it was asked for is for the caller to know.
    ///
    /// # Errors
    /// If the file has no such chunk, or its length is another.
    pub fn begin(manifest: &Manifest, chunk: u64, octets: u64) -> Result<Incoming, Lie> {
        let (Some((offset, len)), Some(expected)) = (manifest.range(chunk), manifest.hash(chunk)) else {
            return Err(Lie::NotAsked(chunk));
        };
        if octets != len {
            return Err(Lie::Length(chunk, octets, len));
        }
        Ok(Incoming { chunk, offset, left: len, expected: *expected, hasher: Box::new(Hasher::new()) })
    }

    /// Which chunk it is.
    pub fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Bytes that have not come yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Some bytes of the chunk; returns their place in the file.
    ///
    /// # Panics
    /// If these are more bytes than it has left: the reader of lines hands out no more than was
    /// announced.
    pub fn take(&mut self, bytes: &[u8]) -> u64 {
        let offset = self.offset;
        self.left = self.left.checked_sub(bytes.len() as u64).expect("no more than announced");
        self.offset += bytes.len() as u64;
        self.hasher.update(bytes);
        offset
    }

    /// The chunk is all there.
    ///
    /// # Errors
    /// If its hash is wrong.
    ///
    /// # Panics
    /// If bytes of it are missing.
    pub fn end(self) -> Result<(), Lie> {
        assert_eq!(self.left, 0, "a chunk ends with its last byte");
        if self.hasher.finalize() == self.expected { Ok(()) } else { Err(Lie::Hash(self.chunk)) }
    }
}
