//! Room on the disk for a file that will be written in parts: set aside ahead of time, so that its bytes lie
//! together and a write has less to do. Either a hint, for what fails here the writes themselves will show; or so that
//! they cannot fail for want of it, or of a name (`place` says whether one is free). Never writes a byte.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{Statfs, fstatfs, statfs};

use crate::io::open_file::Handle;
use crate::io::place::Looks;
use crate::proto::limits::RESERVE_BYTES_MIN;

/// Room that is wanted for a file. Released or deleted meanwhile, it needs none.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) handle: Weak<Handle>,
    pub(super) bytes: u64,
    pub(super) need: Need,
    /// The name that it will have, if it is not known that one of its numbered ones is free.
    pub(super) crowded: Option<PathBuf>,
}

/// How much it matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// It saves work.
    Hint,
    /// The file is refused without it. That there is so much beside what others were promised was found before.
    Must,
}

impl Wish {
    /// Returns whether room is set aside; there are file systems that cannot.
    ///
    /// # Errors
    /// If it must be, `StorageFull` and those of the file system; `TooManyLinks` if every name is taken.
    pub(super) fn carry_out(&self, looks: &mut Looks) -> io::Result<bool> {
        let Some(file) = self.handle.upgrade() else { return Ok(false) };
        if file.metadata().is_ok_and(|facts| facts.nlink() == 0) {
            return Ok(false);
        }
        if self.crowded.as_deref().is_some_and(|path| looks.is_full(path)) {
            return Err(ErrorKind::TooManyLinks.into());
        }
        match self.need {
            // What is written at once needs nothing set aside.
            _ if self.bytes < RESERVE_BYTES_MIN => Ok(false),
            Need::Must => demand(&file, self.bytes),
            Need::Hint => Ok(reserve(&file, self.bytes)
                .inspect_err(|error| debug!("room not set aside bytes={} error=\"{error}\"", self.bytes))
                .is_ok()),
        }
    }
}

/// Whether a file of that size has room in a folder, beside what others will take.
///
/// # Errors
/// `StorageFull`, and those of the file system.
pub(super) fn check_room(folder: &Path, bytes: u64, promised_bytes: u64) -> io::Result<()> {
    let facts = statfs(folder)?;
    // Some file systems know no bound, or do not tell it.
    if facts.blocks() > 0 && bytes.saturating_add(promised_bytes) > free_bytes(&facts) {
        return Err(ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Sets room aside for the first `bytes` of the file, which is empty and stays so.
fn demand(file: &File, bytes: u64) -> io::Result<bool> {
    let len = i64::try_from(bytes).map_err(|_| ErrorKind::StorageFull)?;
    loop {
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
            Ok(()) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn free_bytes(facts: &Statfs) -> u64 {
    facts.blocks_available().saturating_mul(facts.block_size() as u64)
}

/// What the file has of the disk, bytes not yet written to included.
///
/// # Errors
/// Those of the file system.
pub(super) fn taken_bytes(file: &File) -> io::Result<u64> {
    Ok(blocks_bytes(&file.metadata()?))
}

/// The same of a file that was looked at.
pub(super) fn blocks_bytes(facts: &Metadata) -> u64 {
    // A block of the file's own size has 512 bytes wherever it is.
    facts.blocks().saturating_mul(512)
}

/// Sets room aside for the first `bytes` of the file, which keeps its length; nothing where there is not enough
/// for all of it: who needs the last of a disk should get it.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let facts = fstatfs(file)?;
    let missing_bytes = bytes.saturating_sub(taken_bytes(file)?);
    if missing_bytes > free_bytes(&facts) {
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
    use std::sync::Arc;

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
    fn a_deleted_file_gets_no_room() {
        let handle = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
        for need in [Need::Must, Need::Hint] {
            let wish = Wish { handle: Arc::downgrade(&handle), bytes: 1 << 20, need, crowded: None };
            assert!(!wish.carry_out(&mut Looks::default()).unwrap());
            assert_eq!(taken_bytes(&handle).unwrap(), 0);
        }
    }

    #[test]
    fn the_last_of_a_disk_is_left_to_others() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 1 << 60).unwrap();
        assert_eq!(file.metadata().unwrap().blocks(), 0);
    }
}
