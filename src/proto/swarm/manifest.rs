//! What a file consists of: its name, its size, and the BLAKE3 hash of each chunk. Decides how a
//! file is cut, and checks what others say about one before anything is allocated for it.

use blake3::{Hash, Hasher};

use crate::proto::ids::FileName;
use crate::proto::limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNKS_DEFAULT_MAX, CHUNKS_MAX, FILE_BYTES_MAX, LINE_BYTES_MAX,
    LINK_QUEUE_BYTES_MAX,
};

/// Octets of one hash in an offer: 64 hexadecimal digits and LF.
pub const HASH_LINE_BYTES: u64 = 65;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

const _: () = {
    // One offer of any file fits the queue of a link, and so do both of a member's records.
    assert!(CHUNKS_MAX * HASH_LINE_BYTES + (LINE_BYTES_MAX as u64) < LINK_QUEUE_BYTES_MAX as u64);
    let records = 2 * (CHUNKS_DEFAULT_MAX * HASH_LINE_BYTES + LINE_BYTES_MAX as u64);
    assert!(records < LINK_QUEUE_BYTES_MAX as u64);
};

/// Name, size and chunk hashes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    file: FileName,
    bytes: u64,
    chunk_bytes: u64,
    hashes: Vec<Hash>,
    root: Hash,
}

/// What is wrong with an offer, or with a wish to cut a file. Whoever sent or typed it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A file above [`FILE_BYTES_MAX`].
    #[error("a file has at most {FILE_BYTES_MAX} bytes, not {0}")]
    FileSize(u64),
    /// A chunk size of nothing, or above [`CHUNK_BYTES_MAX`].
    #[error("chunks of {0} bytes are not allowed")]
    ChunkSize(u64),
    /// More chunks than [`CHUNKS_MAX`].
    #[error("a file has at most {CHUNKS_MAX} chunks, not {0}")]
    TooManyChunks(u64),
    /// The number of octets is not that of the hashes of so many chunks.
    #[error("{0} octets cannot be the hashes of {1} chunks")]
    Octets(u64, u64),
    /// Something between the hashes is no hash.
    #[error("hash {0} is not 64 hexadecimal digits and a line end")]
    Hash(u64),
    /// Chunks of one size cannot be so many: every size gives either fewer or more.
    #[error("{bytes} bytes cannot be cut into {count} chunks of one size; {}", nearest(*below, *above))]
    Count {
        /// Size of the file.
        bytes: u64,
        /// The number asked for.
        count: u64,
        /// The nearest smaller number that is possible.
        below: Option<u64>,
        /// The nearest greater number that is possible.
        above: Option<u64>,
    },
}

impl Manifest {
    /// The manifest of a file of ours.
    pub fn new(file: FileName, bytes: u64, chunk_bytes: u64, hashes: Vec<Hash>) -> Manifest {
        assert_eq!(hashes.len() as u64, bytes.div_ceil(chunk_bytes), "one hash a chunk");
        let root = root_of(bytes, chunk_bytes, &hashes);
        Manifest { file, bytes, chunk_bytes, hashes, root }
    }

    /// The size of the chunks, in bytes, for a file whose owner does not care: [`CHUNK_BYTES`],
    /// doubled until there are at most [`CHUNKS_DEFAULT_MAX`].
    pub fn chunk_bytes_for(bytes: u64) -> u64 {
        let mut chunk_bytes = CHUNK_BYTES;
        while bytes.div_ceil(chunk_bytes) > CHUNKS_DEFAULT_MAX {
            chunk_bytes *= 2;
        }
        chunk_bytes
    }

    /// The size of the chunks, in bytes, that cuts a file into exactly `count` of them.
    ///
    /// # Errors
    /// If no allowed size does; [`ManifestError::Count`] says which numbers are possible instead.
    pub fn chunk_bytes_of_count(bytes: u64, count: u64) -> Result<u64, ManifestError> {
        if bytes > FILE_BYTES_MAX {
            return Err(ManifestError::FileSize(bytes));
        }
        if count > CHUNKS_MAX {
            return Err(ManifestError::TooManyChunks(count));
        }
        if (bytes, count) == (0, 0) {
            return Ok(CHUNK_BYTES);
        }
        // The smallest size that gives at most `count` chunks; one byte less gives more.
        let chunk_bytes = bytes.checked_div(count).map_or(u64::MAX, |_| bytes.div_ceil(count).max(1));
        if chunk_bytes <= CHUNK_BYTES_MAX && bytes.div_ceil(chunk_bytes) == count {
            return Ok(chunk_bytes);
        }
        let chunks_of = |size: u64| bytes.div_ceil(size);
        let below = (chunk_bytes <= CHUNK_BYTES_MAX).then(|| chunks_of(chunk_bytes));
        let smaller = (chunk_bytes - 1).min(CHUNK_BYTES_MAX);
        let above = (smaller > 0).then(|| chunks_of(smaller)).filter(|above| *above <= CHUNKS_MAX);
        Err(ManifestError::Count { bytes, count, below, above })
    }

    /// Checks the announcement of an offer, before its octets are taken.
    ///
    /// # Errors
    /// If the sizes are not allowed or contradict each other.
    pub fn check_offer(bytes: u64, chunk_bytes: u64, octets: u64) -> Result<(), ManifestError> {
        if chunk_bytes == 0 || chunk_bytes > CHUNK_BYTES_MAX {
            return Err(ManifestError::ChunkSize(chunk_bytes));
        }
        if bytes > FILE_BYTES_MAX {
            return Err(ManifestError::FileSize(bytes));
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
            line.strip_suffix(b"\n").and_then(unhex).ok_or(ManifestError::Hash(index as u64))
        };
        let lines = octets.chunks_exact(HASH_LINE_BYTES as usize).enumerate();
        let hashes = lines.map(hash).collect::<Result<_, _>>()?;
        Ok(Manifest::new(file, bytes, chunk_bytes, hashes))
    }

    /// Appends the octets of an offer.
    pub fn encode_hashes(&self, out: &mut Vec<u8>) {
        out.reserve(self.octets() as usize);
        for hash in &self.hashes {
            let mut line = [b'\n'; HASH_LINE_BYTES as usize];
            for (digits, byte) in line.chunks_exact_mut(2).zip(hash.as_bytes()) {
                digits[0] = DIGITS[usize::from(byte >> 4)];
                digits[1] = DIGITS[usize::from(byte & 15)];
            }
            out.extend_from_slice(&line);
        }
    }

    /// What stands for the whole content: the BLAKE3 hash of the size, the chunk size (each 8 bytes,
    /// little endian), and the chunk hashes in order. Two files have the same root exactly if they
    /// have the same bytes and are cut alike; their names may differ.
    pub fn root(&self) -> Hash {
        self.root
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

    /// The hash of each chunk.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
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

/// Thousands of hashes: too much for each time that somebody asks.
fn root_of(bytes: u64, chunk_bytes: u64, hashes: &[Hash]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(&bytes.to_le_bytes());
    hasher.update(&chunk_bytes.to_le_bytes());
    for hash in hashes {
        hasher.update(hash.as_bytes());
    }
    hasher.finalize()
}

/// Which numbers of chunks are possible, in words.
fn nearest(below: Option<u64>, above: Option<u64>) -> String {
    match (below, above) {
        (Some(below), Some(above)) => format!("{below} and {above} are possible"),
        (Some(only), None) | (None, Some(only)) => format!("{only} is possible"),
        (None, None) => "no number is possible".to_owned(),
    }
}

/// A hash from its digits. A list of thousands is read in one turn, so this is not left to a parser
/// that takes its time.
fn unhex(digits: &[u8]) -> Option<Hash> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(Hash::from_bytes(bytes))
}
