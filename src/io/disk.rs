//! The files of one machine, below one folder. Answers with what failed; never decides what follows
//! from it. Nothing here overwrites a file or follows a symbolic link to one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use log::{Level, log};

use crate::io::finish::{Finish, Outcome};
use crate::io::open_file::{Handle, OpenFile, Promise, Stage};
use crate::io::opening::{open_existing, open_fresh, open_named, open_partial};
use crate::io::place::{folder_of, inside, is_taken, make_folder_of, set_aside};
use crate::io::room::{Need, Wish, check_room};
use crate::io::sockets::kind;
use crate::proto::ids::FileId;
use crate::proto::limits::{DISK_JOBS_MAX, FRESH_TRIES_MAX, RESERVE_BYTES_MIN, WRITEBACK_BYTES};
use crate::proto::machine::{FileOp, Holes, OpenMode, Why};

/// Open files by the machine's ids.
#[derive(Debug)]
pub(super) struct Disk {
    root: Arc<Path>,
    files: BTreeMap<FileId, OpenFile>,
    /// Folders that were made here, and whose own names are not on disk yet.
    new_folders: BTreeSet<PathBuf>,
    /// Hashes and reads that the helper is at, those of released files included.
    reads: usize,
    /// Surveys of the folder that the helper is at, and the unfinished files that were opened meanwhile.
    surveys: usize,
    opened_since: BTreeSet<PathBuf>,
    /// Files that have lost their names. Closing the last handle of a big one takes long.
    nameless: Vec<Arc<Handle>>,
}

/// What a [`Disk::finish`] leads to.
#[derive(Debug)]
pub(super) enum Finishing {
    /// The helper has something to do.
    Begins(Finish),
    /// It is on disk already.
    Finished,
    /// Not now.
    Failed(ErrorKind),
}

/// What opening found: the length of the file, and the name that an older one was given.
pub(super) type Opened = (u64, Option<String>);

impl Disk {
    pub(super) fn new(root: &Path) -> Disk {
        Disk {
            root: root.into(),
            files: BTreeMap::new(),
            new_folders: BTreeSet::new(),
            reads: 0,
            surveys: 0,
            opened_since: BTreeSet::new(),
            nameless: Vec::new(),
        }
    }

    pub(super) fn open(
        &mut self,
        file: FileId,
        name: &str,
        mode: OpenMode,
        aside: &str,
    ) -> Result<Opened, ErrorKind> {
        debug_assert!(!self.files.contains_key(&file), "ids of files are never used again");
        match self.try_open(name, mode, aside) {
            Ok((open, moved)) => {
                let len = open.len;
                if self.surveys > 0 {
                    self.opened_since.extend(open.fresh_path());
                }
                self.files.insert(file, open);
                Ok((len, moved))
            }
            // Who looks for a file says what is in its way, and who takes them from strangers why it does not.
            Err(error)
                if mode != OpenMode::Named && mode != OpenMode::Partial && Why(error.kind()).is_plain() =>
            {
                Err(kind(&error))
            }
            Err(error) => Err(failed(FileOp::Open, &self.root.join(name), &error)),
        }
    }

    /// Moves what is at a name aside, a whole folder too, and returns the name that it was given.
    pub(super) fn set_aside(&self, name: &str, aside: &str) -> Result<Option<String>, ErrorKind> {
        let moved = inside(&self.root, name).and_then(|path| set_aside(&self.root, &path, aside));
        moved.map_err(|error| failed(FileOp::SetAside, &self.root.join(name), &error))
    }

    fn try_open(
        &mut self,
        name: &str,
        mode: OpenMode,
        aside: &str,
    ) -> io::Result<(OpenFile, Option<String>)> {
        let path = inside(&self.root, name)?;
        if mode != OpenMode::Existing {
            if !matches!(mode, OpenMode::Fresh { .. }) {
                // Checked now, so that nothing is fetched that could not be named.
                inside(&self.root, aside)?;
            }
            if make_folder_of(&path)? {
                self.new_folders.insert(folder_of(&path).to_owned());
            }
        }
        let mut promise = Promise::Nothing;
        let (handle, moved) = match mode {
            OpenMode::Named => open_named(&self.root, &path, aside, self.is_finishing(&path))?,
            OpenMode::Partial => (open_partial(&path, 0)?, None),
            OpenMode::Resume { bytes, .. } => (open_partial(&path, bytes)?, None),
            OpenMode::Fresh { bytes, tag } => {
                // Promises first: room that is set aside meanwhile is counted twice, not never.
                check_room(folder_of(&path), bytes, self.promised_bytes())?;
                promise = match bytes {
                    ..RESERVE_BYTES_MIN => Promise::ToWrite { bytes },
                    _ => Promise::ToReserve { bytes },
                };
                (open_fresh(&path, tag)?, None)
            }
            OpenMode::Existing => (open_existing(&self.root, name)?, None),
        };
        let open = OpenFile {
            len: handle.metadata()?.len(),
            handle: Arc::new(handle),
            mode,
            stage: if mode == OpenMode::Existing { Stage::Finished } else { Stage::Open },
            path,
            aside: aside.to_owned(),
            promise,
            unstarted_bytes: 0,
            holes: Holes::default(),
            disturbed: false,
            reads: 0,
        };
        Ok((open, moved))
    }

    /// Writes at the end, all or nothing. `None` if the file is not open, here and below.
    pub(super) fn append(&mut self, file: FileId, bytes: &[u8]) -> Option<Result<(), ErrorKind>> {
        let open = self.opened(file)?;
        let end = open.len;
        let written = open.write(bytes, end).inspect_err(|_| {
            if open.stage == Stage::Open
                && let Err(error) = open.handle.set_len(end)
            {
                failed(FileOp::Append, &open.path, &error);
            }
        });
        Some(written.map_err(|error| failed(FileOp::Append, &open.path, &error)))
    }

    pub(super) fn write_at(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: &[u8],
    ) -> Option<Result<(), ErrorKind>> {
        let open = self.opened(file)?;
        Some(open.write(bytes, offset).map_err(|error| {
            let kind = failed(FileOp::WriteAt, &open.path, &error);
            if open.stage == Stage::Open {
                open.holes.add(offset, bytes.len() as u64, kind);
            }
            kind
        }))
    }

    /// The file, if so much of it was written since the last time that the disk should begin with it.
    pub(super) fn unstarted(&mut self, file: FileId) -> Option<Weak<Handle>> {
        let open = self.files.get_mut(&file).filter(|open| open.unstarted_bytes >= WRITEBACK_BYTES)?;
        open.unstarted_bytes = 0;
        Some(Arc::downgrade(&open.handle))
    }

    /// Room that should be set aside for the file, or must be, and whether it is to be looked for a name. That looks at one
    /// name only: as long as the last one is free, the file will get one.
    pub(super) fn to_reserve(&self, file: FileId, mode: OpenMode) -> Option<Wish> {
        let (bytes, need) = match mode {
            OpenMode::Resume { bytes, reserve: true } => (bytes, Need::Hint),
            OpenMode::Fresh { bytes, .. } => (bytes, Need::Must),
            _ => return None,
        };
        let open = self.files.get(&file)?;
        let is_crowded = matches!(need, Need::Must) && is_taken(&open.path, FRESH_TRIES_MAX);
        let crowded = is_crowded.then(|| open.path.clone());
        let is_wish = bytes >= RESERVE_BYTES_MIN || is_crowded;
        is_wish.then(|| Wish { handle: Arc::downgrade(&open.handle), bytes, need, crowded })
    }

    /// What became of that: the length of the file, if it is still open. A file that has no room is gone.
    pub(super) fn on_reserved(
        &mut self,
        file: FileId,
        set_aside: io::Result<bool>,
    ) -> Option<Result<u64, ErrorKind>> {
        let open = self.files.get_mut(&file)?;
        match (set_aside, open.mode) {
            (Ok(true), OpenMode::Fresh { .. }) => open.promise = Promise::Nothing,
            (Ok(false), OpenMode::Fresh { bytes, .. }) => open.promise = Promise::ToWrite { bytes },
            (Ok(_), _) => {}
            (Err(error), _) => {
                self.release(file);
                return Some(Err(kind(&error)));
            }
        }
        Some(Ok(open.len))
    }

    /// What open files will take of the room that the file system says is free.
    fn promised_bytes(&self) -> u64 {
        self.files.values().map(OpenFile::promised_left).fold(0, u64::saturating_add)
    }

    /// What the helper has to do to bring the file to disk, a partial under its name; nothing if
    /// that is under way.
    pub(super) fn finish(&mut self, file: FileId) -> Option<Finishing> {
        let root = Arc::clone(&self.root);
        let open = self.opened(file)?;
        match (open.stage, open.holes.error()) {
            (Stage::Finishing { .. }, _) => return None,
            (Stage::Finished, _) => return Some(Finishing::Finished),
            (Stage::Open, Some(kind)) => {
                let error = io::Error::new(kind, "a write to it has failed before");
                return Some(Finishing::Failed(failed(FileOp::Finish, &open.path, &error)));
            }
            (Stage::Open, None) => {}
        }
        open.look();
        if open.disturbed {
            let error = io::Error::new(ErrorKind::InvalidData, "somebody else has changed it");
            return Some(Finishing::Failed(failed(FileOp::Finish, &open.path, &error)));
        }
        open.stage = Stage::Finishing { released: false };
        let (handle, path, naming) = (Arc::clone(&open.handle), open.path.clone(), open.naming());
        let folder_is_new = self.new_folders.contains(folder_of(&path));
        Some(Finishing::Begins(Finish { handle, root, path, naming, folder_is_new }))
    }

    /// What became of a [`Disk::finish`]; a release that came meanwhile is made up for.
    pub(super) fn on_finished(
        &mut self,
        file: FileId,
        outcome: Outcome,
    ) -> Result<Option<String>, ErrorKind> {
        let open = self.files.get_mut(&file).expect("a file stays until it is finished");
        let released = open.is_released();
        open.stage = if outcome.is_named { Stage::Finished } else { Stage::Open };
        if outcome.result.is_ok() {
            self.new_folders.remove(folder_of(&open.path));
        }
        let result = outcome.result.map_err(|error| failed(FileOp::Finish, &open.path, &error));
        if released {
            self.release(file);
        }
        result
    }

    /// For a hash or a read by the helper, which [`Disk::end_read`] must follow.
    pub(super) fn begin_read(&mut self, file: FileId) -> Option<Result<Arc<Handle>, ErrorKind>> {
        if self.opened(file).is_some() && self.reads >= DISK_JOBS_MAX {
            return Some(Err(ErrorKind::ResourceBusy));
        }
        let open = self.opened(file)?;
        open.reads += 1;
        let handle = Arc::clone(&open.handle);
        self.reads += 1;
        Some(Ok(handle))
    }

    /// Returns whether the machine still waits for it.
    pub(super) fn end_read(&mut self, file: FileId) -> bool {
        self.reads -= 1;
        let Some(open) = self.opened(file) else { return false };
        open.reads -= 1;
        true
    }

    /// Logs what failed on the helper's side.
    pub(super) fn read_failed(&self, file: FileId, op: FileOp, error: &io::Error) -> ErrorKind {
        self.files.get(&file).map_or(error.kind(), |open| failed(op, &open.path, error))
    }

    /// Closes the file, and deletes an unfinished one. One that is being finished stays until
    /// that is done. Returns whether hashes or reads of it are under way, for nobody now.
    pub(super) fn release(&mut self, file: FileId) -> bool {
        let Some(open) = self.files.get_mut(&file) else { return false };
        let reads = std::mem::take(&mut open.reads) > 0;
        if let Stage::Finishing { released } = &mut open.stage {
            *released = true;
        } else if let Some(open) = self.files.remove(&file) {
            self.nameless.extend(open.release());
        }
        reads
    }

    /// Handles of files that are deleted, to be dropped by somebody who has time.
    pub(super) fn take_nameless(&mut self) -> Vec<Arc<Handle>> {
        std::mem::take(&mut self.nameless)
    }

    /// The helper looks at the folder; [`Disk::end_survey`] must follow. Adds what the machine has open and not finished.
    pub(super) fn begin_survey(&mut self, ours: &mut Vec<PathBuf>) {
        self.surveys += 1;
        ours.extend(self.files.values().filter_map(OpenFile::fresh_path));
    }

    /// Whether the machine has opened an unfinished file with that name while the helper looked.
    pub(super) fn has_opened_since(&self, path: &Path) -> bool {
        self.opened_since.contains(path)
    }

    pub(super) fn end_survey(&mut self) {
        self.surveys -= 1;
        if self.surveys == 0 {
            self.opened_since.clear();
        }
    }

    /// The machine's folder.
    pub(super) fn root(&self) -> &Arc<Path> {
        &self.root
    }

    /// Returns those files of which hashes or reads are under way.
    pub(super) fn release_all(&mut self) -> Vec<FileId> {
        let mut files: Vec<FileId> = self.files.keys().copied().collect();
        files.retain(|file| self.release(*file));
        files
    }

    /// For sending from it.
    pub(super) fn handle(&self, file: FileId) -> Option<Arc<Handle>> {
        self.files.get(&file).filter(|open| !open.is_released()).map(|open| Arc::clone(&open.handle))
    }

    fn opened(&mut self, file: FileId) -> Option<&mut OpenFile> {
        self.files.get_mut(&file).filter(|open| !open.is_released())
    }

    /// Whether a file of ours with that name has all its bytes, and waits for the disk only.
    fn is_finishing(&self, path: &Path) -> bool {
        let whole =
            |open: &&OpenFile| open.mode == OpenMode::Named && matches!(open.stage, Stage::Finishing { .. });
        self.files.values().filter(whole).any(|open| open.path == path)
    }
}

/// What machines try again and again, they report once themselves.
fn failed(op: FileOp, path: &Path, error: &io::Error) -> ErrorKind {
    let quiet = matches!(op, FileOp::Append | FileOp::WriteAt | FileOp::Read | FileOp::Hash);
    let level = if quiet { Level::Debug } else { Level::Warn };
    log!(level, "file op={op} path={path:?} error=\"{error}\"");
    kind(error)
}

#[cfg(test)]
mod tests;
