//! What a file consists of: its name, its size, and the BLAKE3 hash of each chunk. Checks what
//! others say about a file before anything is allocated for it.

use blake3::Hash;

use crate::proto::ids::FileName;
use crate::proto::limits::{CHUNK_BYTES_MAX, CHUNKS_MAX};

/// Octets of one hash in an offer: 64 hexadecimal digits and LF.
pub const HASH_LINE_BYTES: u64 = 65;

/// Name, size and chunk hashes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    file: FileName,
    bytes: u64,
    chunk_bytes: u64,
    hashes: Vec<Hash>,
}

/// What is wrong with an offer. Whoever sent it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A chunk size of nothing, or above [`CHUNK_BYTES_MAX`].
    #[error("chunks of {0} bytes are not allowed")]
    ChunkSize(u64),
    /// More chunks than [`CHUNKS_MAX`].
    #[error("{0} chunks are too many")]
    TooManyChunks(u64),
    /// The number of octets is not that of the hashes of so many chunks.
    #[error("{0} octets cannot be the hashes of {1} chunks")]
    Octets(u64, u64),
    /// Something between the hashes is no hash.
    #[error("hash {0} is not 64 hexadecimal digits and a line end")]
    Hash(u64),
}

impl Manifest {
    /// The manifest of a file of ours.
    pub fn new(file: FileName, bytes: u64, chunk_bytes: u64, hashes: Vec<Hash>) -> Manifest {
        assert_eq!(hashes.len() as u64, bytes.div_ceil(chunk_bytes), "one hash a chunk");
        Manifest { file, bytes, chunk_bytes, hashes }
    }

    /// Checks the announcement of an offer, before its octets are taken.
    ///
    /// # Errors
    /// If the sizes are not allowed or contradict each other.
    pub fn check_offer(bytes: u64, chunk_bytes: u64, octets: u64) -> Result<(), ManifestError> {
        if chunk_bytes == 0 || chunk_bytes > CHUNK_BYTES_MAX {
            return Err(ManifestError::ChunkSize(chunk_bytes));
        }
        let chunks = bytes.div_ceil(chunk_bytes);
        if chunks > CHUNKS_MAX {
            return Err(ManifestError::TooManyChunks(chunks));
        }
        if octets != chunks * HASH_LINE_BYTES {
            return Err(ManifestError::Octets(octets, chunks));
        }
        Ok(())
    }

    /// Reads an offer whose announcement has passed [`Manifest::check_offer`].
    ///
    /// # Errors
    /// As `check_offer`, and if the octets are not hashes.
    pub fn from_offer(
        file: FileName,
        bytes: u64,
        chunk_bytes: u64,
        octets: &[u8],
    ) -> Result<Manifest, ManifestError> {
        Manifest::check_offer(bytes, chunk_bytes, octets.len() as u64)?;
        let hash = |(index, line): (usize, &[u8])| {
            let digits = line.strip_suffix(b"\n").and_then(|digits| Hash::from_hex(digits).ok());
            digits.ok_or(ManifestError::Hash(index as u64))
        };
        let lines = octets.chunks_exact(HASH_LINE_BYTES as usize).enumerate();
        let hashes = lines.map(hash).collect::<Result<_, _>>()?;
        Ok(Manifest { file, bytes, chunk_bytes, hashes })
    }

    /// Appends the octets of an offer.
    pub fn encode_hashes(&self, out: &mut Vec<u8>) {
        for hash in &self.hashes {
            out.extend_from_slice(hash.to_hex().as_bytes());
            out.push(b'\n');
        }
    }

    /// The file's name.
    pub fn file(&self) -> &FileName {
        &self.file
    }

    /// Size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Size of each chunk but the last, in bytes.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// Number of chunks; an empty file has none.
    pub fn chunks(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Octets of the offer.
    pub fn octets(&self) -> u64 {
        self.chunks() * HASH_LINE_BYTES
    }

    /// The hash of a chunk, if there is such a chunk.
    pub fn hash(&self, chunk: u64) -> Option<&Hash> {
        self.hashes.get(usize::try_from(chunk).ok()?)
    }

    /// Where a chunk lies in the file: offset and length in bytes, if there is such a chunk.
    pub fn range(&self, chunk: u64) -> Option<(u64, u64)> {
        self.hash(chunk)?;
        let offset = chunk * self.chunk_bytes;
        Some((offset, self.chunk_bytes.min(self.bytes - offset)))
    }
}
