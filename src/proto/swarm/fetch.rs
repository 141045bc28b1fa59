//! A file that is being fetched: which of its chunks are needed, asked for, stored; and the one
//! that is coming in, hashed as it comes. A wrong byte is never counted as stored.

use blake3::Hasher;

use crate::proto::swarm::Manifest;

/// How far a file has come. Each chunk is in exactly one state.
#[derive(Debug)]
pub struct Fetch {
    manifest: Manifest,
    chunks: Vec<Chunk>,
    stored: u64,
    incoming: Option<Incoming>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Needed,
    Asked,
    Stored,
}

#[derive(Debug)]
struct Incoming {
    chunk: u64,
    offset: u64,
    left: u64,
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

impl Fetch {
    /// Nothing is there yet.
    pub fn new(manifest: Manifest) -> Fetch {
        let chunks = vec![Chunk::Needed; manifest.chunks() as usize];
        Fetch { manifest, chunks, stored: 0, incoming: None }
    }

    /// What the file consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Chunks that are stored.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Every chunk is stored.
    pub fn is_whole(&self) -> bool {
        self.stored == self.manifest.chunks()
    }

    /// Chunks that were asked for and have not come.
    pub fn asked(&self) -> usize {
        self.chunks.iter().filter(|chunk| **chunk == Chunk::Asked).count()
    }

    /// The next chunk to ask for, which now counts as asked for.
    pub fn ask(&mut self) -> Option<u64> {
        let next = self.chunks.iter().position(|chunk| *chunk == Chunk::Needed)?;
        self.chunks[next] = Chunk::Asked;
        Some(next as u64)
    }

    /// A chunk is announced.
    ///
    /// # Errors
    /// If it was not asked for, or its length is wrong.
    pub fn begin(&mut self, chunk: u64, octets: u64) -> Result<(), Lie> {
        let (offset, len) = self.manifest.range(chunk).ok_or(Lie::NotAsked(chunk))?;
        if self.chunks[chunk as usize] != Chunk::Asked || self.incoming.is_some() {
            return Err(Lie::NotAsked(chunk));
        }
        if octets != len {
            return Err(Lie::Length(chunk, octets, len));
        }
        self.incoming = Some(Incoming { chunk, offset, left: len, hasher: Box::new(Hasher::new()) });
        Ok(())
    }

    /// Some bytes of the announced chunk; returns their place in the file.
    ///
    /// # Panics
    /// If no chunk is announced, or these are more bytes than it has left: the reader of lines
    /// hands out no more than was announced.
    pub fn take(&mut self, bytes: &[u8]) -> u64 {
        let incoming = self.incoming.as_mut().expect("octets follow an announcement");
        let offset = incoming.offset;
        incoming.hasher.update(bytes);
        incoming.left = incoming.left.checked_sub(bytes.len() as u64).expect("no more than announced");
        incoming.offset += bytes.len() as u64;
        offset
    }

    /// The announced chunk is all there; it counts as stored if it is right.
    ///
    /// # Errors
    /// If its hash is wrong; the chunk is needed again.
    ///
    /// # Panics
    /// If no chunk is announced, or bytes of it are missing.
    pub fn end(&mut self) -> Result<(), Lie> {
        let incoming = self.incoming.take().expect("octets follow an announcement");
        assert_eq!(incoming.left, 0, "a chunk ends with its last byte");
        let right = self.manifest.hash(incoming.chunk) == Some(&incoming.hasher.finalize());
        self.chunks[incoming.chunk as usize] = if right { Chunk::Stored } else { Chunk::Needed };
        self.stored += u64::from(right);
        if right { Ok(()) } else { Err(Lie::Hash(incoming.chunk)) }
    }

    /// The link is gone: what was asked for over it is needed again.
    pub fn forget_asked(&mut self) {
        self.incoming = None;
        self.chunks
            .iter_mut()
            .filter(|chunk| **chunk == Chunk::Asked)
            .for_each(|chunk| *chunk = Chunk::Needed);
    }

    /// Panics if the counts contradict the chunks.
    pub fn check_invariants(&self) {
        let stored = self.chunks.iter().filter(|chunk| **chunk == Chunk::Stored).count() as u64;
        assert_eq!(stored, self.stored);
        if let Some(incoming) = &self.incoming {
            assert_eq!(self.chunks[incoming.chunk as usize], Chunk::Asked);
            let (offset, len) = self.manifest.range(incoming.chunk).expect("a chunk of the file");
            assert_eq!(incoming.offset + incoming.left, offset + len);
        }
    }
}
