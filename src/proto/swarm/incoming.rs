//! A chunk that is coming in over a link, hashed as it comes. Says where its bytes belong, and at
//! the end whether they were right; does not know who asked for it.

use blake3::{Hash, Hasher};

use crate::proto::swarm::Manifest;

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
    /// The bytes are not those of the manifest.
    #[error("chunk {0} failed its hash")]
    Hash(u64),
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
