//! What a machine is told of its folder, and what is deleted there.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::proto::limits::UPLOAD_LEFT_AGE;
use crate::proto::machine::{FolderFile, Stamp, counted_bytes, is_temp_name};
use crate::proto::time::{Wall, ns};
use crate::sim::disk::{Disk, Inode};

/// What is in a folder.
#[derive(Debug)]
pub(in crate::sim) struct Surveyed {
    pub(in crate::sim) bytes: u64,
    pub(in crate::sim) files: Vec<FolderFile>,
    pub(in crate::sim) removed: u64,
}

impl Disk {
    /// A file is being written that others may take for one that was left.
    pub(in crate::sim) fn touch(&mut self, inode: Inode, at: Wall) {
        self.inodes[inode].written_at = at;
    }

    /// Counts files that are in no folder below, but for those `untold`; deletes unfinished ones that are old, if nobody has
    /// them open.
    pub(in crate::sim) fn survey(
        &mut self,
        files_max: usize,
        now: Wall,
        untold: &BTreeSet<Inode>,
    ) -> Result<Surveyed, ErrorKind> {
        if let Some(error) = self.surveys_fail {
            return Err(error);
        }
        let is_left = |inode: Inode| self.inodes[inode].holders == 1;
        let is_old =
            |inode: Inode| now.0.saturating_sub(self.inodes[inode].written_at.0) > ns(UPLOAD_LEFT_AGE);
        let (mut bytes, mut files, mut old) = (0, Vec::new(), Vec::new());
        for (name, inode) in self.names.iter().filter(|(name, _)| !name.contains('/')) {
            let contents = &self.inodes[*inode];
            if is_temp_name(name) {
                match (is_left(*inode), is_old(*inode)) {
                    (false, _) => {}
                    (true, true) => old.push(name.clone()),
                    (true, false) => bytes += counted_bytes(contents.len + contents.aside_bytes),
                }
            } else if !untold.contains(inode) {
                bytes += counted_bytes(contents.len);
                if files.len() < files_max {
                    files.push(FolderFile { name: name.clone(), stamp: self.stamp_of(*inode) });
                }
            }
        }
        old.iter().for_each(|name| self.remove(name));
        Ok(Surveyed { bytes, files, removed: old.len() as u64 })
    }

    /// What a file is now.
    pub fn stamp(&self, path: &str) -> Stamp {
        self.find(path).map_or_else(Stamp::default, |inode| self.stamp_of(inode))
    }

    fn stamp_of(&self, inode: Inode) -> Stamp {
        let contents = &self.inodes[inode];
        Stamp { inode: inode as u64, bytes: contents.len, written_at: Wall(contents.change) }
    }

    /// Something has become of a file that a stamp must show.
    pub(super) fn note_change(&mut self, inode: Inode) {
        self.changes += 1;
        self.inodes[inode].change = self.changes;
    }
}
