//! What there is in a machine's folder: counted, and cleared of what was left unfinished long ago. Reads no file, and
//! looks into no folder below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{info, warn};

use crate::io::disk::Disk;
use crate::io::errands::Job;
use crate::io::opening::refuse_if_written;
use crate::io::reactor::Reactor;
use crate::io::room::blocks_bytes;
use crate::io::sockets::kind;
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
    /// Unfinished files that machines with this folder had open then.
    pub(super) ours: Vec<PathBuf>,
}

/// What is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surveyed {
    /// Of plain files, as [`counted_bytes`] has it, without unfinished ones.
    pub(super) bytes: u64,
    /// Unfinished ones that no machine had open, and what each has of the disk. Some may have been opened since.
    pub(super) left: Vec<(PathBuf, u64)>,
    /// The first ones, in order.
    pub(super) files: Vec<FolderFile>,
    /// Unfinished ones that were old, and are deleted now.
    pub(super) removed: u64,
}

impl Surveyed {
    /// Counts what was left, but for files that were opened since: room was promised to those.
    pub(super) fn count_left(&mut self, opened_since: impl Fn(&Path) -> bool) {
        for (path, bytes) in std::mem::take(&mut self.left) {
            if !opened_since(&path) {
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
        let ours: BTreeSet<&Path> = self.ours.iter().map(PathBuf::as_path).collect();
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
                if ours.contains(&*path) {
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

impl Reactor {
    /// Has the helper look at a machine's folder. Only we know which unfinished files are ours: a lock says that somebody
    /// writes to one, where there are locks, but to ask takes the lock from whoever has just made it. Ours are those of every
    /// machine with that folder: a drop box may have them, and another machine offer what is there.
    pub(super) fn begin_survey(&mut self, machine: usize, files_max: usize) {
        let (root, now) = (Arc::clone(self.seats[machine].disk.root()), self.clock.now().wall);
        let mut ours = Vec::new();
        self.disks_at(&root).for_each(|disk| disk.begin_survey(&mut ours));
        self.hand_over(Job::Survey(machine, Survey { root, files_max, now, ours }));
    }

    /// What the folder has, with what was left unfinished.
    pub(super) fn end_survey(
        &mut self,
        machine: usize,
        result: io::Result<Surveyed>,
    ) -> Result<Surveyed, ErrorKind> {
        let root = Arc::clone(self.seats[machine].disk.root());
        let result = match result {
            Ok(mut surveyed) => {
                surveyed.count_left(|path| self.seats.iter().any(|seat| seat.disk.has_opened_since(path)));
                Ok(surveyed)
            }
            Err(error) => {
                warn!("folder op=survey path={root:?} error=\"{error}\"");
                Err(kind(&error))
            }
        };
        self.disks_at(&root).for_each(Disk::end_survey);
        result
    }

    fn disks_at<'a>(&'a mut self, root: &'a Path) -> impl Iterator<Item = &'a mut Disk> {
        self.seats.iter_mut().map(|seat| &mut seat.disk).filter(move |disk| **disk.root() == *root)
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
