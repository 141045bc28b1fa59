//! Room on the disk for a file that will be written in parts: set aside ahead of time, so that its bytes lie
//! together and a write has less to do. Only ever a hint; what fails here, the writes themselves will show.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::fstatfs;

/// Sets room aside for the first `bytes` of the file, which keeps its length; nothing where there is not enough
/// for all of it: who needs the last of a disk should get it.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let facts = fstatfs(file)?;
    let free_bytes = facts.blocks_available().saturating_mul(facts.block_size() as u64);
    // A block of the file's own size has 512 bytes wherever it is.
    let missing_bytes = bytes.saturating_sub(file.metadata()?.blocks() * 512);
    if missing_bytes > free_bytes {
        return Ok(());
    }
    let len = i64::try_from(bytes).map_err(|_| ErrorKind::InvalidInput)?;
    Ok(fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len)?)
}

/// Gives back what was set aside beyond the file's length, which is `len`. Nobody else writes to it.
pub(super) fn give_back(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn room_is_set_aside_and_given_back() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"here", 0).unwrap();
        let blocks = || file.metadata().unwrap().blocks();
        let before = blocks();
        // Some file systems cannot.
        if reserve(&file, 1 << 20).is_ok() {
            assert!(blocks() * 512 >= 1 << 20);
        }
        assert_eq!(file.metadata().unwrap().len(), 4);
        give_back(&file, 4).unwrap();
        assert_eq!(blocks(), before);
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"here");
    }

    #[test]
    fn the_last_of_a_disk_is_left_to_others() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 1 << 60).unwrap();
        assert_eq!(file.metadata().unwrap().blocks(), 0);
    }
}
