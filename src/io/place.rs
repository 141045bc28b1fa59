//! Names of files in a machine's folder: checked, looked for, moved without ever overwriting anything, and
//! brought to disk. Never reads or writes what is in a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::proto::limits::{ASIDE_TRIES_MAX, FRESH_TRIES_MAX};
use crate::proto::machine::{aside_name, numbered_name, temp_name};

/// The place of `name` in the folder `root`.
///
/// # Errors
/// If the name is empty, absolute, or could lead out of the folder.
pub(super) fn inside(root: &Path, name: &str) -> io::Result<PathBuf> {
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a name inside the folder"));
    }
    Ok(root.join(path))
}

/// Makes the folder of `path` where it is missing, and says whether it was.
///
/// # Errors
/// Those of the file system.
pub(super) fn make_folder_of(path: &Path) -> io::Result<bool> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(folder)?;
    Ok(true)
}

/// Moves an older file at `path` to the first free name of those that [`aside_name`] makes, and
/// returns that name.
///
/// # Errors
/// If what is there is no file (a symbolic link, a folder, a device), if every name is taken,
/// and those of the file system.
pub(super) fn move_aside(root: &Path, path: &Path, aside: &str) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(old) if !old.is_file() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something that is no plain file"));
        }
        Ok(_) => {}
    }
    rename_aside(root, path, aside)
}

/// Moves whatever is at `path` aside, a folder with all that is in it too, and returns its new
/// name. Nothing and an empty folder stay.
///
/// # Errors
/// If every name is taken, and those of the file system.
pub(super) fn set_aside(root: &Path, path: &Path, aside: &str) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(old) if old.is_dir() && fs::read_dir(path)?.next().is_none() => Ok(None),
        Ok(_) => rename_aside(root, path, aside),
    }
}

fn rename_aside(root: &Path, path: &Path, aside: &str) -> io::Result<Option<String>> {
    make_folder_of(&inside(root, aside)?)?;
    for attempt in 0..=ASIDE_TRIES_MAX {
        let name = aside_name(aside, attempt);
        match rename_new(path, &inside(root, &name)?) {
            Ok(()) => return Ok(Some(name)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "every name for what is older is taken"))
}

/// Renames, unless the new name is taken.
///
/// # Errors
/// `AlreadyExists`, and those of the file system.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_exclusive(from, to) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)) =>
        {
            rename_by_link(from, to)
        }
        result => result,
    }
}

/// Brings the names in a folder to disk.
///
/// # Errors
/// Those of the file system.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems cannot do it for a folder, and need not.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// What a file is called until it is finished.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// The same for a file that takes no other's name.
pub(super) fn temp(path: &Path, tag: u32) -> PathBuf {
    path.with_file_name(temp_name(&file_name(path), tag))
}

/// The name that such a file gets when so many are taken.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_file_name(numbered_name(&file_name(path), number))
}

/// What was found about names a moment ago: those who bring the same one at once cause one look at all its numbers.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<PathBuf, bool>);

impl Looks {
    pub(super) fn is_full(&mut self, path: &Path) -> bool {
        let look = || (0..=FRESH_TRIES_MAX).all(|number| is_taken(path, number));
        *self.0.entry(path.to_owned()).or_insert_with(look)
    }
}

/// Whether some file has that numbered name.
pub(super) fn is_taken(path: &Path, number: u32) -> bool {
    numbered(path, number).symlink_metadata().is_ok()
}

/// Machines name files in UTF-8, whatever the folder is called.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether `path` is a name of that very file.
///
/// # Errors
/// `NotFound` if nothing has that name, and those of the file system.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// The folder that the name is in; `.` for a name alone.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(target_env = "gnu")]
fn rename_exclusive(from: &Path, to: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    Ok(renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)?)
}

#[cfg(not(target_env = "gnu"))]
fn rename_exclusive(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// For file systems that cannot rename exclusively; those without hard links get a check instead,
/// which another process could slip past.
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        let root = Path::new("/root/folder");
        assert_eq!(inside(root, "a/b.txt").unwrap(), Path::new("/root/folder/a/b.txt"));
        for bad in ["", "/etc/passwd", "..", "../x", "a/../../x", "./a", "."] {
            assert_eq!(inside(root, bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for rename in [rename_new, rename_by_link] {
            fs::write(at("a"), "a").unwrap();
            fs::write(at("b"), "b").unwrap();
            assert_eq!(rename(&at("a"), &at("b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(fs::read(at("b")).unwrap(), b"b");
            rename(&at("a"), &at("c")).unwrap();
            assert_eq!((fs::read(at("c")).unwrap(), at("a").exists()), (b"a".to_vec(), false));
            fs::remove_file(at("c")).unwrap();
        }
    }

    #[test]
    fn older_files_get_the_next_free_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        assert_eq!(move_aside(dir.path(), &path, "old/table.txt").unwrap(), None);
        for expected in ["old/table.txt", "old/table.1.txt", "old/table.2.txt"] {
            fs::write(&path, expected).unwrap();
            assert_eq!(move_aside(dir.path(), &path, "old/table.txt").unwrap().unwrap(), expected);
        }
        for expected in ["old/table.txt", "old/table.1.txt", "old/table.2.txt"] {
            assert_eq!(fs::read_to_string(dir.path().join(expected)).unwrap(), expected);
        }
    }

    #[test]
    fn only_plain_files_are_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("name");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(move_aside(dir.path(), &path, "old").is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(move_aside(dir.path(), &path, "old").is_err());
    }

    #[test]
    fn a_folder_is_set_aside_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copies");
        let set_aside = || set_aside(dir.path(), &path, "copies.old").unwrap();
        assert_eq!(set_aside(), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(set_aside(), None, "nothing is in it");
        for expected in ["copies.old", "copies.1.old"] {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), expected).unwrap();
            assert_eq!(set_aside().unwrap(), expected);
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(dir.path().join(expected).join("file")).unwrap(), expected);
        }
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(set_aside().unwrap(), "copies.2.old");
    }

    #[test]
    fn folders_are_made_once_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        assert!(make_folder_of(&path).unwrap());
        assert!(!make_folder_of(&path).unwrap());
        sync_folder(folder_of(&path)).unwrap();
        assert!(sync_folder(&path).is_err());
        assert_eq!(folder_of(Path::new("name")), Path::new("."));
    }
}
