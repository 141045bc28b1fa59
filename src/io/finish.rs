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

use crate::io::open_file::Handle;
use crate::io::place::{folder_of, is_named, move_aside, numbered, partial, rename_new, sync_folder, temp};
use crate::proto::limits::{FRESH_TRIES_MAX, SWEEP_FILES_MIN};

/// A file that has all its bytes. Nobody writes to it any more.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) handle: Arc<Handle>,
    /// The machine's folder.
    pub(super) root: Arc<Path>,
    /// The final name, or the first of those that it may get.
    pub(super) path: PathBuf,
    pub(super) naming: Naming,
    /// A folder was made for it, whose own name is not on disk yet.
    pub(super) folder_is_new: bool,
}

/// How a file gets its final name.
#[derive(Debug)]
pub(super) enum Naming {
    /// It has it already.
    Named,
    /// It is a partial. An older file of that name is called `aside` from now on.
    Partial { aside: String },
    /// It has the temporary name of that tag, and gets the first numbered one that is free.
    Fresh { tag: u32 },
}

/// What became of one file.
#[derive(Debug)]
pub(super) struct Outcome {
    /// It has its name, whatever became of the rest.
    pub(super) is_named: bool,
    /// The name that an older file was given, or a fresh one itself, once all of it is on disk.
    pub(super) result: io::Result<Option<String>>,
}

/// Finishes files, in order. One has its final name only when its bytes are on disk, and succeeds
/// only when the name is too.
pub(super) fn finish_all(files: &[Finish]) -> Vec<Outcome> {
    let synced = sync_contents(files);
    let mut taken = BTreeMap::new();
    let mut name = |(file, synced): (_, io::Result<()>)| {
        let named = synced.and_then(|()| take_name(file, &mut taken));
        Outcome { is_named: named.is_ok(), result: named }
    };
    let mut outcomes: Vec<Outcome> = files.iter().zip(synced).map(&mut name).collect();
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

/// `taken`: how many numbered names were found taken a moment ago.
fn take_name<'a>(file: &'a Finish, taken: &mut BTreeMap<&'a Path, u32>) -> io::Result<Option<String>> {
    let unfinished = match &file.naming {
        Naming::Named => return Ok(None),
        Naming::Partial { .. } => partial(&file.path),
        Naming::Fresh { tag } => temp(&file.path, *tag),
    };
    if !is_named(&file.handle, &unfinished)? {
        return Err(io::Error::new(ErrorKind::NotFound, "another file has its name"));
    }
    if let Naming::Partial { aside } = &file.naming {
        let moved = move_aside(&file.root, &file.path, aside)?;
        return match rename_new(&unfinished, &file.path) {
            Ok(()) => Ok(moved),
            Err(error) => {
                put_back(&file.root, &file.path, moved.as_deref());
                Err(error)
            }
        };
    }
    let taken = taken.entry(&file.path).or_default();
    for number in *taken..=FRESH_TRIES_MAX {
        let path = numbered(&file.path, number);
        match rename_new(&unfinished, &path) {
            Ok(()) => {
                *taken = number + 1;
                let name = path.strip_prefix(&file.root).unwrap_or(&path);
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "every name that it may have is taken"))
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
