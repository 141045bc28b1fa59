//! What there is in a machine's folder: counted, and cleared of what was left unfinished long ago. Reads no file, and
//! looks into no folder below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{info, warn};

use crate::io::opening::refuse_if_written;
use crate::io::room::blocks_bytes;
use crate::proto::limits::UPLOAD_LEFT_AGE;
use crate::proto::machine::{FolderFile, Stamp, counted_bytes, is_temp_name};
use crate::proto::time::{SECOND_NS, Wall, ns};

/// A folder to look at.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) root: Arc<Path>,
    /// Most files to be told.
    pub(super) files_max: usize,
    /// The time of day when it was asked for.
    pub(super) now: Wall,
    /// Unfinished files that the machine had open then.
    pub(super) ours: BTreeSet<PathBuf>,
}

/// What is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surveyed {
    /// Of plain files, as [`counted_bytes`] has it, without unfinished ones.
    pub(super) bytes: u64,
    /// Unfinished ones that the machine did not have open, and what each has of the disk. Some may be its own, opened since.
    pub(super) left: Vec<(PathBuf, u64)>,
    /// The first ones, in order.
    pub(super) files: Vec<FolderFile>,
    /// Unfinished ones that were old, and are deleted now.
    pub(super) removed: u64,
}

impl Surveyed {
    /// Counts what was left, but for files that the machine has opened since it asked: room was promised to those.
    pub(super) fn count_left(&mut self, opened_since: &BTreeSet<PathBuf>) {
        for (path, bytes) in std::mem::take(&mut self.left) {
            if !opened_since.contains(&path) {
                self.count(bytes);
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(counted_bytes(bytes));
    }
}

impl Survey {
    /// Looks at everything there; a folder that is not there is empty.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn carry_out(&self) -> io::Result<Surveyed> {
        let mut found = Surveyed::default();
        let mut files = BTreeMap::new();
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let facts = match entry.metadata() {
                // Somebody else has removed it since.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                facts => facts?,
            };
            if !facts.is_file() {
                continue;
            }
            let name = entry.file_name();
            if name.to_str().is_some_and(is_temp_name) {
                let path = entry.path();
                if self.ours.contains(&path) {
                    continue;
                }
                if self.is_old(&facts) && remove(&path) {
                    found.removed += 1;
                } else {
                    found.left.push((path, facts.len().max(blocks_bytes(&facts))));
                }
                continue;
            }
            found.count(facts.len());
            files.extend(name.into_string().map(|name| (name, stamp(&facts))));
            if files.len() > self.files_max {
                files.pop_last();
            }
        }
        found.files = files.into_iter().map(|(name, stamp)| FolderFile { name, stamp }).collect();
        Ok(found)
    }

    /// Whether it was written to so long ago that nobody does any more.
    fn is_old(&self, facts: &fs::Metadata) -> bool {
        self.now.0.saturating_sub(stamp(facts).written_at.0) > ns(UPLOAD_LEFT_AGE)
    }
}

/// By what a file is known that is replaced later.
pub(super) fn stamp(facts: &fs::Metadata) -> Stamp {
    let written_at = wall_of(facts.mtime(), facts.mtime_nsec());
    Stamp { inode: facts.ino(), bytes: facts.len(), written_at }
}

/// A time of the file system, which has years that no [`Wall`] has: it is as near to that as one can be.
fn wall_of(seconds: i64, rest_ns: i64) -> Wall {
    let [seconds, rest_ns] = [seconds, rest_ns].map(|part| u64::try_from(part).unwrap_or(0));
    Wall(seconds.saturating_mul(SECOND_NS).saturating_add(rest_ns))
}

/// Unless another program writes to it. Its lock is asked for only here: whoever has just made a file finds it free.
fn remove(path: &Path) -> bool {
    let removed = refuse_if_written(path).and_then(|()| fs::remove_file(path));
    match &removed {
        Ok(()) => info!("file removed path={path:?} why=\"left unfinished\""),
        Err(error) => warn!("file op=remove path={path:?} error=\"{error}\""),
    }
    removed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_year_have_a_time() {
        for (seconds, rest_ns, expected) in [
            (2, 5, 2 * SECOND_NS + 5),
            (-1, 5, 5),
            (i64::MIN, 0, 0),
            (20_000_000_000, 0, u64::MAX),
            (i64::MAX, 999_999_999, u64::MAX),
        ] {
            assert_eq!(wall_of(seconds, rest_ns), Wall(expected), "{seconds}");
        }
    }
}
