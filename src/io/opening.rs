//! How each kind of file is opened: what must not be there, what is moved away, who else may be
//! writing. Keeps no file; nothing here overwrites one or follows a symbolic link to one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use crate::io::finish::put_back;
use crate::io::open_file::Handle;
use crate::io::place::{inside, is_named, move_aside, partial, temp};

/// A new file under its own name, and the name that an older one was given. `ours`: an older one is
/// ours, and nobody writes to it any more.
///
/// # Errors
/// `ResourceBusy`, `AlreadyExists`, and those of the file system.
pub(super) fn open_named(
    root: &Path,
    path: &Path,
    aside: &str,
    ours: bool,
) -> io::Result<(Handle, Option<String>)> {
    if !ours {
        refuse_if_written(path)?;
    }
    let moved = move_aside(root, path, aside)?;
    match options().create_new(true).open(path) {
        Ok(file) => Ok((locked(file), moved)),
        Err(error) => {
            put_back(root, path, moved.as_deref());
            Err(error)
        }
    }
}

/// A new file that will get the name `path`, or one of its numbered names. It has a lock, so that nobody takes it for one
/// that was left.
///
/// # Errors
/// `AlreadyExists`, and those of the file system.
pub(super) fn open_fresh(path: &Path, tag: u32) -> io::Result<Handle> {
    Ok(locked(options().create_new(true).open(temp(path, tag))?))
}

/// A file that was just made, with a lock if there are any on its file system. Nobody else writes to it, but another program
/// may be asking at this moment whether anybody does, and so have its lock: then it stays without.
fn locked(file: File) -> Handle {
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_or_else(|(file, _)| Handle::Plain(file), Handle::Locked)
}

/// Nobody's file is moved away while it is being written: two programs with one folder find out.
///
/// # Errors
/// `ResourceBusy`.
pub(super) fn refuse_if_written(path: &Path) -> io::Result<()> {
    let Ok(file) = options().open(path) else { return Ok(()) };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => Err(busy("somebody else is writing this file")),
        _ => Ok(()),
    }
}

/// A file that will have the name `path`, with so much of what an earlier run left in it.
///
/// # Errors
/// `ResourceBusy`, `AlreadyExists`, and those of the file system.
pub(super) fn open_partial(path: &Path, kept_bytes: u64) -> io::Result<Handle> {
    let file = match options().create(true).truncate(false).open(partial(path)) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a symbolic link may lead anywhere"));
        }
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something that is no plain file"));
    }
    let handle = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Handle::Locked(file),
        Err((_, Errno::EWOULDBLOCK)) => return Err(busy("somebody else is writing this file")),
        Err((file, _)) => Handle::Plain(file),
    };
    // Its writer may have finished it between our open and our lock: then it is not ours to empty.
    if !is_named(&handle, &partial(path))? {
        return Err(busy("somebody else was writing this file"));
    }
    if handle.metadata()?.len() > kept_bytes {
        handle.set_len(kept_bytes)?;
    }
    Ok(handle)
}

/// A file that is there, only for reading.
///
/// # Errors
/// As [`OpenMode::Existing`](crate::proto::machine::OpenMode::Existing) has them.
pub(super) fn open_existing(root: &Path, name: &str) -> io::Result<Handle> {
    inside(root, name)?;
    let mut folder: OwnedFd = File::open(root)?.into();
    let (folders, name) = name.rsplit_once('/').unwrap_or(("", name));
    // One by one: only the last part of a path can be opened without following a link.
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        refuse_link(&folder, part)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        folder = openat(&folder, part, flags, Mode::empty())?;
    }
    // Looked at first: opening a device can do something to it.
    refuse_no_file(refuse_link(&folder, name)?)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::empty())?);
    refuse_no_file(SFlag::from_bits_truncate(file.metadata()?.mode()))?;
    Ok(Handle::Plain(file))
}

/// What is there, if it is no symbolic link.
fn refuse_link(folder: impl AsFd, name: &str) -> io::Result<SFlag> {
    let facts = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match kind_of(SFlag::from_bits_truncate(facts.st_mode)) {
        SFlag::S_IFLNK => Err(io::Error::new(ErrorKind::InvalidInput, "a symbolic link may lead anywhere")),
        kind => Ok(kind),
    }
}

fn refuse_no_file(mode: SFlag) -> io::Result<()> {
    match kind_of(mode) {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFDIR => Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder")),
        _ => Err(io::Error::new(ErrorKind::Unsupported, "it is no plain file")),
    }
}

fn kind_of(mode: SFlag) -> SFlag {
    mode & SFlag::S_IFMT
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Not waiting for the other end of a pipe that somebody put there.
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn busy(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, why)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_left_of_a_longer_file_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (kept_bytes, expected) in [(9, "too long"), (3, "too"), (0, "")] {
            fs::write(partial(&path), "too long").unwrap();
            drop(open_partial(&path, kept_bytes).unwrap());
            assert_eq!(fs::read_to_string(partial(&path)).unwrap(), expected);
        }
    }
}
