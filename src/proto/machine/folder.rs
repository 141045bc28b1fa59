//! What drivers say of a machine's folder, alike: how much of it each file takes, and by what one that was replaced is known.
//! Looks at no folder.

use crate::proto::limits::COUNTED_BYTES_MIN;
use crate::proto::time::Wall;

/// A file of a machine's folder, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderFile {
    /// What it is called.
    pub name: String,
    /// Which one it is.
    pub stamp: Stamp,
}

/// If two looks find the same, nobody has replaced the file or written to it in between, as far as the file system notes such
/// things. That of a file that is not there is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The number that the file system has for it.
    pub inode: u64,
    /// How long it is.
    pub bytes: u64,
    /// When it was written to.
    pub written_at: Wall,
}

/// What a file of so many bytes counts in an [`Effect::Survey`](crate::proto::machine::Effect::Survey), and in every sum that is
/// compared with one: its length, and at least [`COUNTED_BYTES_MIN`].
pub fn counted_bytes(len: u64) -> u64 {
    len.max(COUNTED_BYTES_MIN)
}
