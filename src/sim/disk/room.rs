//! The room on a disk: what is taken, set aside, and given back.

use std::io::ErrorKind;

use crate::sim::disk::{Disk, Inode};

impl Disk {
    /// How many more bytes fit from now on; `None`: any number.
    pub fn set_room(&mut self, room_bytes: Option<u64>) {
        self.room_bytes = room_bytes;
    }

    /// Sets room aside for a new file.
    ///
    /// # Errors
    /// `StorageFull`
    pub(in crate::sim) fn set_room_aside(&mut self, inode: Inode, bytes: u64) -> Result<(), ErrorKind> {
        self.take_room(bytes)?;
        self.inodes[inode].aside_bytes = bytes;
        Ok(())
    }

    /// Takes room for what a file grows by, first of what is set aside for it.
    pub(super) fn take_room_for(&mut self, inode: Inode, bytes: u64) -> Result<(), ErrorKind> {
        let from_aside = bytes.min(self.inodes[inode].aside_bytes);
        self.take_room(bytes - from_aside)?;
        self.inodes[inode].aside_bytes -= from_aside;
        Ok(())
    }

    pub(super) fn give_room_back(&mut self, bytes: u64) {
        if let Some(room_bytes) = &mut self.room_bytes {
            *room_bytes += bytes;
        }
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), ErrorKind> {
        if let Some(room_bytes) = &mut self.room_bytes {
            *room_bytes = room_bytes.checked_sub(bytes).ok_or(ErrorKind::StorageFull)?;
        }
        Ok(())
    }
}
