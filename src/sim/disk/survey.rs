//! What a machine is told of its folder, and what is deleted there.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::proto::limits::UPLOAD_LEFT_AGE;
use crate::proto::machine::{counted_bytes, is_temp_name};
use crate::proto::time::{Wall, ns};
use crate::sim::disk::{Disk, Inode};

/// What is in a folder.
#[derive(Debug)]
pub(in crate::sim) struct Surveyed {
    pub(in crate::sim) bytes: u64,
    pub(in crate::sim) names: Vec<String>,
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
        names_max: usize,
        now: Wall,
        untold: &BTreeSet<Inode>,
    ) -> Result<Surveyed, ErrorKind> {
        if let Some(error) = self.surveys_fail {
            return Err(error);
        }
        let is_left = |inode: Inode| self.inodes[inode].holders == 1;
        let is_old =
            |inode: Inode| now.0.saturating_sub(self.inodes[inode].written_at.0) > ns(UPLOAD_LEFT_AGE);
        let (mut bytes, mut names, mut old) = (0, Vec::new(), Vec::new());
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
                names.extend((names.len() < names_max).then(|| name.clone()));
            }
        }
        old.iter().for_each(|name| self.remove(name));
        Ok(Surveyed { bytes, names, removed: old.len() as u64 })
    }
}
