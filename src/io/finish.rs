//! Brings finished files to disk, many at once: their bytes, then their names, then the folders
//! that the names are in. Blocks for as long as the disk takes, and so runs on the helper's thread;
//! knows no reactor and no machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::warn;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::syncfs;

use crate::io::disk::Handle;
use crate::io::place::{folder_of, move_aside, partial, rename_new, sync_folder};
use crate::proto::limits::SWEEP_FILES_MIN;

/// A file that has all its bytes. Nobody writes to it any more.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) handle: Arc<Handle>,
    /// The machine's folder.
    pub(super) root: Arc<Path>,
    /// The final name, which the file has already unless it is a partial.
    pub(super) path: PathBuf,
    pub(super) is_partial: bool,
    /// What an older file of the final name is called from now on.
    pub(super) aside: String,
    /// A folder was made for it, whose own name is not on disk yet.
    pub(super) folder_is_new: bool,
}

/// What became of one file.
#[derive(Debug)]
pub(super) struct Outcome {
    /// It has its name, whatever became of the rest.
    pub(super) is_named: bool,
    /// The name that an older file was given, once all of it is on disk.
    pub(super) result: io::Result<Option<String>>,
}

/// Finishes files, in order. One has its final name only when its bytes are on disk, and succeeds
/// only when the name is too.
pub(super) fn finish_all(files: &[Finish]) -> Vec<Outcome> {
    let synced = sync_contents(files);
    let mut outcomes: Vec<Outcome> =
        files.iter().zip(synced).map(|(file, synced)| take_name(file, synced)).collect();
    sync_names(files, &mut outcomes);
    outcomes
}

/// Tells the disk to begin with what was written, so that the last sync finds little to do. Only
/// a hint: an error will show itself in that sync.
pub(super) fn start_writeback(file: &File) {
    let _ = sync_range(file, libc::SYNC_FILE_RANGE_WRITE);
}

fn sync_contents(files: &[Finish]) -> Vec<io::Result<()>> {
    let device = |file: &Finish| file.handle.metadata().map_or(0, |facts| facts.dev());
    let mut by_device: BTreeMap<u64, Vec<&Finish>> = BTreeMap::new();
    for file in files {
        by_device.entry(device(file)).or_default().push(file);
    }
    let mut swept = BTreeSet::new();
    for (device, files) in &by_device {
        if files.len() >= SWEEP_FILES_MIN && sweep(&files[0].handle) {
            swept.insert(*device);
        } else {
            files.iter().for_each(|file| start_writeback(&file.handle));
        }
    }
    let sync = |file: &Finish| {
        // A sweep says whether it was done, and each file whether its own bytes were written.
        if swept.contains(&device(file)) { wait_written(&file.handle) } else { file.handle.sync_data() }
    };
    files.iter().map(sync).collect()
}

fn take_name(file: &Finish, synced: io::Result<()>) -> Outcome {
    let named = synced.and_then(|()| {
        if !file.is_partial {
            return Ok(None);
        }
        let (ours, there) = (file.handle.metadata()?, fs::symlink_metadata(partial(&file.path))?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(io::Error::new(ErrorKind::NotFound, "another file has its name"));
        }
        let moved = move_aside(&file.root, &file.path, &file.aside)?;
        if let Err(error) = rename_new(&partial(&file.path), &file.path) {
            put_back(&file.root, &file.path, moved.as_deref());
            return Err(error);
        }
        Ok(moved)
    });
    Outcome { is_named: named.is_ok(), result: named }
}

/// Undoes a [`move_aside`], so that the failed effect changed nothing.
pub(super) fn put_back(root: &Path, path: &Path, moved: Option<&str>) {
    let Some(moved) = moved else { return };
    if let Err(error) = rename_new(&root.join(moved), path) {
        warn!("file op=Restore path={path:?} moved={moved:?} error=\"{error}\"");
    }
}

/// Brings to disk the names of those that have theirs, each folder once.
fn sync_names(files: &[Finish], outcomes: &mut [Outcome]) {
    let named = || files.iter().zip(outcomes.iter()).filter(|(_, outcome)| outcome.is_named);
    let mut folders: BTreeSet<&Path> = named().map(|(file, _)| folder_of(&file.path)).collect();
    // Folders that are new need their own names, and an older file is to be found under its new one.
    let above = named().filter(|(file, _)| file.folder_is_new);
    folders.extend(above.flat_map(|(file, _)| folders_above(file)));
    let moved: BTreeSet<PathBuf> =
        named().filter_map(|(file, outcome)| folder_of_moved(file, outcome)).collect();
    folders.extend(moved.iter().map(PathBuf::as_path));

    let failed = sync_folders(&folders);
    for (file, outcome) in files.iter().zip(outcomes) {
        if let (true, Some(error)) = (outcome.is_named, failed.get(folder_of(&file.path))) {
            outcome.result = Err(io::Error::new(error.kind(), error.to_string()));
        }
    }
}

/// The folders above that of a file, up to the one that the machine's folder is in.
fn folders_above(file: &Finish) -> impl Iterator<Item = &Path> {
    let folders = std::iter::successors(Some(folder_of(&file.path)), |folder| {
        let above = folder_of(folder);
        (folder.starts_with(&*file.root) && above != *folder).then_some(above)
    });
    folders.skip(1)
}

fn folder_of_moved(file: &Finish, outcome: &Outcome) -> Option<PathBuf> {
    let moved = outcome.result.as_ref().ok()?.as_ref()?;
    Some(folder_of(&file.root.join(moved)).to_owned())
}

/// Returns those that failed.
fn sync_folders<'a>(folders: &BTreeSet<&'a Path>) -> BTreeMap<&'a Path, io::Error> {
    let mut failed = BTreeMap::new();
    let mut by_device: BTreeMap<u64, Vec<&Path>> = BTreeMap::new();
    for folder in folders {
        match fs::metadata(folder) {
            Ok(facts) => by_device.entry(facts.dev()).or_default().push(folder),
            Err(error) => drop(failed.insert(*folder, error)),
        }
    }
    for folders in by_device.values() {
        let swept =
            folders.len() >= SWEEP_FILES_MIN && File::open(folders[0]).is_ok_and(|folder| sweep(&folder));
        for folder in folders.iter().filter(|_| !swept) {
            if let Err(error) = sync_folder(folder) {
                failed.insert(*folder, error);
            }
        }
    }
    failed
}

/// Syncs everything on the file system of `file`. False if that failed, or cannot be relied on
/// there to do what a sync of each file does: then each has to be synced by itself.
fn sweep(file: &File) -> bool {
    let known = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC];
    let kind = fstatfs(file).map(|facts| facts.filesystem_type());
    kind.is_ok_and(|kind| known.contains(&kind)) && syncfs(file).is_ok()
}

/// Whether everything that was written has reached the disk, after a sweep.
fn wait_written(file: &File) -> io::Result<()> {
    sync_range(file, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
}

#[allow(unsafe_code)] // no crate of ours offers the call
fn sync_range(file: &File, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the call touches no memory of ours.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
