//! What a power loss takes from a disk.

use crate::proto::machine::is_temp_name;
use crate::sim::disk::{Contents, Data, Disk, Inode, PARTIAL_SUFFIX};
use crate::sim::rng::Rng;

impl Disk {
    /// Takes what no `Finish` covered: all of it, some, or nothing; of unfinished files also
    /// something in the middle, or the whole.
    /// Nobody may have a file open.
    pub(in crate::sim) fn lose_power(&mut self, rng: &mut Rng) {
        let unsafe_names: Vec<(String, Inode)> = self
            .names
            .iter()
            .filter(|(_, inode)| self.inodes[**inode].synced_bytes < self.inodes[**inode].len)
            .map(|(path, inode)| (path.clone(), *inode))
            .collect();
        for (path, inode) in unsafe_names {
            let Contents { len, synced_bytes, .. } = self.inodes[inode];
            if is_unfinished(&path) && rng.chance(0.5) {
                self.remove(&path);
            } else {
                let kept_bytes = synced_bytes + rng.below(len - synced_bytes + 1);
                self.cut(inode, kept_bytes);
                // What was written at places need not have reached the disk in that order.
                if is_unfinished(&path) && rng.chance(0.5) {
                    let from = synced_bytes + rng.below(kept_bytes - synced_bytes + 1);
                    self.zero(inode, from, from + rng.below(kept_bytes - from + 1));
                }
            }
        }
    }

    fn zero(&mut self, inode: Inode, from: u64, to: u64) {
        match &mut self.inodes[inode].data {
            Data::Kept(bytes) => bytes[from as usize..to as usize].fill(0),
            Data::Digest(digest) => *digest = None,
        }
    }
}

/// Whether a file of that name is not whole.
fn is_unfinished(path: &str) -> bool {
    path.ends_with(PARTIAL_SUFFIX) || is_temp_name(path)
}
