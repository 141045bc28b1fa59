//! The files of one machine, below one folder. Answers with what failed; never decides what follows
//! from it. Nothing here overwrites a file or follows a symbolic link to one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use log::{Level, log, warn};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::io::place::{inside, make_folder_of, move_aside, rename_new, set_aside, sync_names};
use crate::io::sockets::kind;
use crate::proto::ids::FileId;
use crate::proto::limits::WRITEBACK_BYTES;
use crate::proto::machine::{FileOp, OpenMode};

/// Open files by the machine's ids.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    files: BTreeMap<FileId, OpenFile>,
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
    handle: Rc<Handle>,
    stage: Stage,
    path: PathBuf,
    aside: String,
    /// A folder was made for it, whose own name is not on disk yet.
    folder_is_new: bool,
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
    /// It is on disk, and only read from now on.
    Finished,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Disk {
        Disk { root: root.to_owned(), files: BTreeMap::new() }
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
        let opened = opened.and_then(|path| match mode {
            OpenMode::Named => open_named(&self.root, path, aside),
            OpenMode::Partial => open_partial(path, aside),
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
        let open = self.files.get_mut(&file)?;
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
        let open = self.files.get_mut(&file)?;
        Some(open.write(bytes, offset).map_err(|error| {
            let kind = failed(FileOp::WriteAt, &open.path, &error);
            open.hole = Some(kind);
            kind
        }))
    }

    /// Brings the file to disk, a partial under its name, and returns the name that an older file
    /// was given.
    pub(super) fn finish(&mut self, file: FileId) -> Option<Result<Option<String>, ErrorKind>> {
        let open = self.files.get_mut(&file)?;
        Some(open.finish(&self.root).map_err(|error| failed(FileOp::Finish, &open.path, &error)))
    }

    /// Closes the file, and deletes an unfinished partial.
    pub(super) fn release(&mut self, file: FileId) {
        if let Some(open) = self.files.remove(&file) {
            open.release();
        }
    }

    pub(super) fn release_all(&mut self) {
        for open in std::mem::take(&mut self.files).into_values() {
            open.release();
        }
    }

    /// For sending from it.
    pub(super) fn handle(&self, file: FileId) -> Option<Rc<Handle>> {
        self.files.get(&file).map(|open| Rc::clone(&open.handle))
    }
}

impl OpenFile {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.stage == Stage::Finished {
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

    fn finish(&mut self, root: &Path) -> io::Result<Option<String>> {
        if let Some(kind) = self.hole {
            return Err(io::Error::new(kind, "a write to it has failed before"));
        }
        self.handle.sync_data()?;
        let mut moved = None;
        if self.stage == Stage::Partial {
            moved = move_aside(root, &self.path, &self.aside)?;
            if let Err(error) = rename_new(&partial(&self.path), &self.path) {
                put_back(root, &self.path, moved.as_deref());
                return Err(error);
            }
        }
        // From here on it has its name, whatever becomes of the rest.
        self.stage = Stage::Finished;
        sync_names(root, &self.path, self.folder_is_new)?;
        Ok(moved)
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
    let folder_is_new = make_folder_of(&path)?;
    refuse_if_written(&path)?;
    let moved = move_aside(root, &path, aside)?;
    match options().create_new(true).open(&path) {
        Ok(file) => {
            let handle = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => Handle::Locked(file),
                Err((file, _)) => Handle::Plain(file),
            };
            Ok((OpenFile::new(handle, Stage::Named, path, aside, folder_is_new), moved))
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
    let folder_is_new = make_folder_of(&path)?;
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
    Ok((OpenFile::new(handle, Stage::Partial, path, aside, folder_is_new), None))
}

impl OpenFile {
    fn new(handle: Handle, stage: Stage, path: PathBuf, aside: &str, folder_is_new: bool) -> OpenFile {
        let (handle, aside) = (Rc::new(handle), aside.to_owned());
        OpenFile { handle, stage, path, aside, folder_is_new, len: 0, unstarted_bytes: 0, hole: None }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Not waiting for the other end of a pipe that somebody put there.
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Undoes a [`move_aside`], so that the failed effect changed nothing.
fn put_back(root: &Path, path: &Path, moved: Option<&str>) {
    let Some(moved) = moved else { return };
    if let Err(error) = rename_new(&root.join(moved), path) {
        warn!("file op=restore path={path:?} moved={moved:?} error=\"{error}\"");
    }
}

/// What machines try again and again, they report once themselves.
fn failed(op: FileOp, path: &Path, error: &io::Error) -> ErrorKind {
    let level = if matches!(op, FileOp::Append | FileOp::WriteAt) { Level::Debug } else { Level::Warn };
    log!(level, "file op={op} path={path:?} error=\"{error}\"");
    kind(error)
}

/// Tells the disk to begin with what was written, so that the last sync finds little to do. Only
/// a hint: an error will show itself in that sync.
#[allow(unsafe_code)] // no crate of ours offers the call
fn start_writeback(file: &File) {
    // SAFETY: the descriptor is open, and the call touches no memory of ours.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(test)]
mod tests;
