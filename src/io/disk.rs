//! The files of one machine, below one folder. Answers with what failed; never decides what follows
//! from it. Nothing here overwrites a file or follows a symbolic link to one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{Level, log, warn};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::io::finish::{Finish, Outcome, put_back, start_writeback};
use crate::io::place::{folder_of, inside, make_folder_of, move_aside, partial, set_aside};
use crate::io::sockets::kind;
use crate::proto::ids::FileId;
use crate::proto::limits::WRITEBACK_BYTES;
use crate::proto::machine::{FileOp, OpenMode};

/// Open files by the machine's ids.
#[derive(Debug)]
pub(super) struct Disk {
    root: Arc<Path>,
    files: BTreeMap<FileId, OpenFile>,
    /// Folders that were made here, and whose own names are not on disk yet.
    new_folders: BTreeSet<PathBuf>,
}

/// A descriptor that links may be sending from while the machine has released the file.
#[derive(Debug)]
pub(super) enum Handle {
    /// Nobody else writes to this file.
    Locked(Flock<File>),
    /// A file that is new by construction, or of a file system without locks.
    Plain(File),
}

#[derive(Debug)]
struct OpenFile {
    handle: Arc<Handle>,
    stage: Stage,
    path: PathBuf,
    aside: String,
    len: u64,
    /// Written since the disk was last told to begin.
    unstarted_bytes: u64,
    /// A write at a place failed: bytes are missing, and the file must never look finished.
    hole: Option<ErrorKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has its name.
    Named,
    /// It has its name with `.partial` behind it.
    Partial,
    /// The helper brings it to disk. `released`: for the machine it is gone already.
    Finishing { partial: bool, released: bool },
    /// It is on disk, and only read from now on.
    Finished,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Disk {
        Disk { root: root.into(), files: BTreeMap::new(), new_folders: BTreeSet::new() }
    }

    /// Opens a new, empty file, and returns the name that an older one was given.
    pub(super) fn open(
        &mut self,
        file: FileId,
        name: &str,
        mode: OpenMode,
        aside: &str,
    ) -> Result<Option<String>, ErrorKind> {
        debug_assert!(!self.files.contains_key(&file), "ids of files are never used again");
        // Both names are checked now, so that nothing is fetched that could not be named.
        let opened = inside(&self.root, aside).and_then(|_| inside(&self.root, name));
        let opened = opened.and_then(|path| {
            if make_folder_of(&path)? {
                self.new_folders.insert(folder_of(&path).to_owned());
            }
            match mode {
                OpenMode::Named if self.is_finishing(&path) => open_named(&self.root, path, aside),
                OpenMode::Named => {
                    refuse_if_written(&path)?;
                    open_named(&self.root, path, aside)
                }
                OpenMode::Partial => open_partial(path, aside),
            }
        });
        match opened {
            Ok((open, moved)) => {
                self.files.insert(file, open);
                Ok(moved)
            }
            Err(error) => Err(failed(FileOp::Open, &self.root.join(name), &error)),
        }
    }

    /// Moves what is at a name aside, a whole folder too, and returns the name that it was given.
    pub(super) fn set_aside(&self, name: &str, aside: &str) -> Result<Option<String>, ErrorKind> {
        let moved = inside(&self.root, name).and_then(|path| set_aside(&self.root, &path, aside));
        moved.map_err(|error| failed(FileOp::SetAside, &self.root.join(name), &error))
    }

    /// Writes at the end, all or nothing. `None` if the file is not open, here and below.
    pub(super) fn append(&mut self, file: FileId, bytes: &[u8]) -> Option<Result<(), ErrorKind>> {
        let open = self.opened(file)?;
        let end = open.len;
        let written = open.write(bytes, end).inspect_err(|_| {
            if let Err(error) = open.handle.set_len(end) {
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
            if matches!(open.stage, Stage::Named | Stage::Partial) {
                open.hole = Some(kind);
            }
            kind
        }))
    }

    /// What the helper has to do to bring the file to disk, a partial under its name; nothing if
    /// that is done already, or under way.
    pub(super) fn finish(&mut self, file: FileId) -> Option<Finishing> {
        let root = Arc::clone(&self.root);
        let open = self.opened(file)?;
        let is_partial = match open.stage {
            Stage::Finishing { .. } => return None,
            Stage::Finished => return Some(Finishing::Finished),
            Stage::Named => false,
            Stage::Partial => true,
        };
        if let Some(kind) = open.hole {
            let error = io::Error::new(kind, "a write to it has failed before");
            return Some(Finishing::Failed(failed(FileOp::Finish, &open.path, &error)));
        }
        open.stage = Stage::Finishing { partial: is_partial, released: false };
        let OpenFile { handle, path, aside, .. } = open;
        let (handle, path, aside) = (Arc::clone(handle), path.clone(), aside.clone());
        let folder_is_new = self.new_folders.contains(folder_of(&path));
        Some(Finishing::Begins(Finish { handle, root, path, is_partial, aside, folder_is_new }))
    }

    /// What became of a [`Disk::finish`]; a release that came meanwhile is made up for.
    pub(super) fn on_finished(
        &mut self,
        file: FileId,
        outcome: Outcome,
    ) -> Result<Option<String>, ErrorKind> {
        let open = self.files.get_mut(&file).expect("a file stays until it is finished");
        let Stage::Finishing { partial, released } = open.stage else {
            unreachable!("it was being finished")
        };
        open.stage = match partial {
            _ if outcome.is_named => Stage::Finished,
            false => Stage::Named,
            true => Stage::Partial,
        };
        if outcome.result.is_ok() {
            self.new_folders.remove(folder_of(&open.path));
        }
        let result = outcome.result.map_err(|error| failed(FileOp::Finish, &open.path, &error));
        if released {
            self.release(file);
        }
        result
    }

    /// Closes the file, and deletes an unfinished partial. One that is being finished stays until
    /// that is done.
    pub(super) fn release(&mut self, file: FileId) {
        match self.files.get_mut(&file) {
            Some(OpenFile { stage: Stage::Finishing { released, .. }, .. }) => *released = true,
            Some(_) => self.files.remove(&file).into_iter().for_each(OpenFile::release),
            None => {}
        }
    }

    pub(super) fn release_all(&mut self) {
        let files: Vec<FileId> = self.files.keys().copied().collect();
        files.into_iter().for_each(|file| self.release(file));
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
        let whole = |open: &&OpenFile| matches!(open.stage, Stage::Finishing { partial: false, .. });
        self.files.values().filter(whole).any(|open| open.path == path)
    }
}

/// What a [`Disk::finish`] leads to.
#[derive(Debug)]
pub(super) enum Finishing {
    /// The helper has something to do.
    Begins(Finish),
    /// It is on disk already.
    Finished,
    /// It can never be.
    Failed(ErrorKind),
}

impl OpenFile {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if matches!(self.stage, Stage::Finishing { .. } | Stage::Finished) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "the file is finished"));
        }
        self.handle.write_all_at(bytes, offset)?;
        self.len = self.len.max(offset + bytes.len() as u64);
        self.unstarted_bytes += bytes.len() as u64;
        if self.unstarted_bytes >= WRITEBACK_BYTES {
            self.unstarted_bytes = 0;
            start_writeback(&self.handle);
        }
        Ok(())
    }

    fn is_released(&self) -> bool {
        matches!(self.stage, Stage::Finishing { released: true, .. })
    }

    fn release(self) {
        if self.stage == Stage::Partial
            && let Err(error) = fs::remove_file(partial(&self.path))
        {
            warn!("file op=release path={:?} error=\"{error}\"", self.path);
        }
    }
}

impl Deref for Handle {
    type Target = File;
    fn deref(&self) -> &File {
        match self {
            Handle::Locked(file) => file,
            Handle::Plain(file) => file,
        }
    }
}

impl From<File> for Handle {
    fn from(file: File) -> Handle {
        Handle::Plain(file)
    }
}

fn open_named(root: &Path, path: PathBuf, aside: &str) -> io::Result<(OpenFile, Option<String>)> {
    let moved = move_aside(root, &path, aside)?;
    match options().create_new(true).open(&path) {
        Ok(file) => {
            let handle = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => Handle::Locked(file),
                Err((file, _)) => Handle::Plain(file),
            };
            Ok((OpenFile::new(handle, Stage::Named, path, aside), moved))
        }
        Err(error) => {
            put_back(root, &path, moved.as_deref());
            Err(error)
        }
    }
}

/// Nobody's file is moved away while it is being written: two programs with one folder find out.
fn refuse_if_written(path: &Path) -> io::Result<()> {
    let Ok(file) = options().open(path) else { return Ok(()) };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => {
            Err(io::Error::new(ErrorKind::ResourceBusy, "somebody else is writing this file"))
        }
        _ => Ok(()),
    }
}

fn open_partial(path: PathBuf, aside: &str) -> io::Result<(OpenFile, Option<String>)> {
    let file = options().create(true).truncate(false).open(partial(&path))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something that is no plain file"));
    }
    let handle = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Handle::Locked(file),
        Err((_, Errno::EWOULDBLOCK)) => {
            return Err(io::Error::new(ErrorKind::ResourceBusy, "somebody else is writing this file"));
        }
        Err((file, _)) => Handle::Plain(file),
    };
    // Its writer may have finished it between our open and our lock: then it is not ours to empty.
    let (ours, there) = (handle.metadata()?, fs::symlink_metadata(partial(&path))?);
    if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
        return Err(io::Error::new(ErrorKind::ResourceBusy, "somebody else was writing this file"));
    }
    // What an earlier run left.
    handle.set_len(0)?;
    Ok((OpenFile::new(handle, Stage::Partial, path, aside), None))
}

impl OpenFile {
    fn new(handle: Handle, stage: Stage, path: PathBuf, aside: &str) -> OpenFile {
        let (handle, aside) = (Arc::new(handle), aside.to_owned());
        OpenFile { handle, stage, path, aside, len: 0, unstarted_bytes: 0, hole: None }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Not waiting for the other end of a pipe that somebody put there.
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// What machines try again and again, they report once themselves.
fn failed(op: FileOp, path: &Path, error: &io::Error) -> ErrorKind {
    let level = if matches!(op, FileOp::Append | FileOp::WriteAt) { Level::Debug } else { Level::Warn };
    log!(level, "file op={op} path={path:?} error=\"{error}\"");
    kind(error)
}

#[cfg(test)]
mod tests;
