//! One file that a machine has open: its handle, what is written to it, and what becomes of it when it is
//! closed. Never opens one.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::warn;
use nix::fcntl::Flock;

use crate::io::finish::Naming;
use crate::io::place::{is_named, partial, temp};
use crate::io::room::{give_back, taken_bytes};
use crate::proto::machine::{Holes, OpenMode};

/// A descriptor that links may be sending from while the machine has released the file.
#[derive(Debug)]
pub(super) enum Handle {
    /// Nobody else writes to this file.
    Locked(Flock<File>),
    /// A file that is new by construction, is only read, or is on a file system without locks.
    Plain(File),
}

/// A file that a machine has open.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) handle: Arc<Handle>,
    pub(super) mode: OpenMode,
    pub(super) stage: Stage,
    pub(super) path: PathBuf,
    pub(super) aside: String,
    pub(super) len: u64,
    pub(super) promise: Promise,
    /// Written since the disk was last told to begin.
    pub(super) unstarted_bytes: u64,
    /// While there are any, the file must not look finished.
    pub(super) holes: Holes,
    /// Somebody else has cut it, or made it longer.
    pub(super) disturbed: bool,
    /// Hashes and reads of it that the helper is at.
    pub(super) reads: usize,
}

/// Room that the file will take, and that the file system still calls free: others must not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It has all that it was promised, or was promised nothing.
    Nothing,
    /// It will be that long, and takes room as it is written.
    ToWrite { bytes: u64 },
    /// The helper sets so much aside, or will soon.
    ToReserve { bytes: u64 },
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It can be written to.
    Open,
    /// The helper brings it to disk. `released`: for the machine it is gone already.
    Finishing { released: bool },
    /// It is on disk, and only read from now on.
    Finished,
}

impl OpenFile {
    /// Writes at a place, all of it unless it fails.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.stage != Stage::Open {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "the file is finished"));
        }
        self.look();
        if let Err(error) = self.handle.write_all_at(bytes, offset) {
            // A part may have been written.
            self.len = self.resumed_len().unwrap_or(self.len);
            return Err(error);
        }
        let len = bytes.len() as u64;
        self.holes.fill(offset, len);
        self.len = self.len.max(offset + len);
        self.unstarted_bytes += len;
        Ok(())
    }

    /// Whether a file that is worth going on with is as we left it. Of its bytes nobody could tell.
    pub(super) fn look(&mut self) {
        self.disturbed |= self.resumed_len().is_some_and(|len| len != self.len);
    }

    /// How long it is on the disk; asked in the way that costs least, also far away.
    fn resumed_len(&self) -> Option<u64> {
        let mut file: &File = &self.handle;
        matches!(self.mode, OpenMode::Resume { .. }).then(|| file.seek(SeekFrom::End(0)).ok())?
    }

    pub(super) fn is_released(&self) -> bool {
        self.stage == Stage::Finishing { released: true }
    }

    /// What a file of [`OpenMode::Fresh`] is called until it is finished.
    pub(super) fn fresh_path(&self) -> Option<PathBuf> {
        let OpenMode::Fresh { tag, .. } = self.mode else { return None };
        Some(temp(&self.path, tag))
    }

    /// How it gets its name in the end.
    pub(super) fn naming(&self) -> Naming {
        match self.mode {
            OpenMode::Named | OpenMode::Existing => Naming::Named,
            OpenMode::Partial | OpenMode::Resume { .. } => Naming::Partial { aside: self.aside.clone() },
            OpenMode::Fresh { tag, .. } => Naming::Fresh { tag },
        }
    }

    /// Room that was promised to it, and not taken yet.
    pub(super) fn promised_left(&self) -> u64 {
        match self.promise {
            _ if self.stage != Stage::Open => 0,
            Promise::Nothing => 0,
            Promise::ToWrite { bytes } => bytes.saturating_sub(self.len),
            // What is set aside already is not free any more, whether we have heard of it or not.
            Promise::ToReserve { bytes } => bytes.saturating_sub(taken_bytes(&self.handle).unwrap_or(0)),
        }
    }

    /// Closes the file. An unfinished one loses its name. The handle of a file without a name, whoever took it away, is
    /// returned: it may be the last, and big.
    pub(super) fn release(self) -> Option<Arc<Handle>> {
        let (released, is_deleted) = match self.mode {
            _ if self.stage != Stage::Open => (Ok(()), false),
            OpenMode::Partial => (self.unlink(&partial(&self.path)), true),
            OpenMode::Fresh { tag, .. } => (self.unlink(&temp(&self.path, tag)), true),
            // It is worth nothing to who would go on with it.
            OpenMode::Resume { .. } if self.resumed_len() == Some(0) => {
                (self.unlink(&partial(&self.path)), true)
            }
            OpenMode::Resume { reserve: true, .. } => (give_back(&self.handle, self.len), false),
            OpenMode::Resume { .. } | OpenMode::Named | OpenMode::Existing => (Ok(()), false),
        };
        if let Err(error) = released {
            warn!("file op=release path={:?} error=\"{error}\"", self.path);
        }
        let is_nameless = is_deleted || self.handle.metadata().is_ok_and(|facts| facts.nlink() == 0);
        is_nameless.then_some(self.handle)
    }

    /// Takes its name away, unless that is another file's by now.
    fn unlink(&self, path: &Path) -> io::Result<()> {
        match is_named(&self.handle, path) {
            Ok(true) => fs::remove_file(path),
            Ok(false) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
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
